package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/klauspost/compress/zstd"
)

// doorman stands at a broker's advertised HTTP address: peers that want to tell it
// something come to him. He lets them pass, sends them away at once, or lets them
// wait for ever, and notes who came.
type doorman struct {
	listener net.Listener
	server   *http.Server
	served   chan error
	unzip    *zstd.Decoder

	mu     sync.Mutex
	mode   doorMode
	inside *httputil.ReverseProxy
	visits []*visit
}

// doorMode is what the doorman does.
type doorMode int

// The modes.
const (
	passes doorMode = iota
	slams           // breaks the connection
	holds           // reads the message and never answers: a black hole
)

// visit is one message of a peer.
type visit struct {
	from         string // the broker that sent it
	mode         doorMode
	began, ended time.Time
	sent, plain  int // bytes of the body: on the wire, and unpacked
	packed       bool
	accepts      string
}

func newDoorman() (*doorman, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the doorman finds no port: %w", err)
	}
	d := &doorman{listener: l, served: make(chan error, 1)}
	if d.unzip, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err != nil {
		return nil, err
	}
	d.server = &http.Server{Handler: d}
	go func() { d.served <- d.server.Serve(l) }() // close waits for it
	return d, nil
}

// addr is where he stands.
func (d *doorman) addr() string { return d.listener.Addr().String() }

// guards tells him where the broker itself is.
func (d *doorman) guards(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
}

// set changes what he does, from now on.
func (d *doorman) set(m doorMode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mode = m
}

// close sends everybody away.
func (d *doorman) close() {
	_ = d.server.Close() // so that Serve returns
	if err := <-d.served; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "compliance: the doorman:", err)
	}
	d.unzip.Close()
}

// of lists the visits of a broker that have ended, in this mode.
func (d *doorman) of(from string, modes ...doorMode) (out []visit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.visits {
		for _, m := range modes {
			if v.from == from && v.mode == m && !v.ended.IsZero() {
				out = append(out, *v)
			}
		}
	}
	return out
}

// ServeHTTP implements http.Handler.
func (d *doorman) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	d.mu.Lock()
	mode, inside := d.mode, d.inside
	v := &visit{mode: mode, began: began}
	if r.URL.Path == "/broker/sync-metadata" {
		d.visits = append(d.visits, v)
	}
	d.mu.Unlock()
	d.read(v, body, r.Header)
	defer func() {
		d.mu.Lock()
		v.ended = time.Now()
		d.mu.Unlock()
	}()
	switch {
	case mode == holds:
		<-r.Context().Done() // the peer has lost patience, or we close
	case mode == slams || inside == nil:
		d.slam(w)
	default:
		r.Body = io.NopCloser(bytes.NewReader(body))
		inside.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	}
}

// slam breaks the connection.
func (d *doorman) slam(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close() // it is to be gone
		}
	}
}

// read notes what a message says of itself.
func (d *doorman) read(v *visit, body []byte, h http.Header) {
	plain := body
	packed := h.Get("Content-Encoding") == "zstd"
	if packed {
		var err error
		if plain, err = d.unzip.DecodeAll(body, nil); err != nil {
			return
		}
	}
	var m struct {
		From string `codec:"from"`
	}
	_ = codec.NewDecoderBytes(plain, &codec.MsgpackHandle{}).Decode(&m) // what is no message is from nobody
	d.mu.Lock()
	defer d.mu.Unlock()
	v.from, v.sent, v.plain, v.packed, v.accepts = m.From, len(body), len(plain), packed, h.Get("Accept-Encoding")
}
