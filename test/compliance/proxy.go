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

// proxy stands at a broker's advertised HTTP address: peers that want to tell it
// something reach it instead. It lets them pass, breaks the connection, or lets them
// wait indefinitely, and notes each message.
type proxy struct {
	listener net.Listener
	server   *http.Server
	served   chan error
	decoder  *zstd.Decoder

	mu     sync.Mutex
	mode   proxyMode
	inside *httputil.ReverseProxy
	visits []*visit
}

// proxyMode is what the proxy does.
type proxyMode int

// The modes.
const (
	passes proxyMode = iota
	slams            // breaks the connection
	holds            // reads the message and never answers: a black hole
)

// visit is one message of a peer.
type visit struct {
	from         string // the broker that sent it
	mode         proxyMode
	began, ended time.Time
	sent, plain  int // bytes of the body: on the wire, and decompressed
	compressed   bool
	accepts      string
}

func newProxy() (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the proxy finds no port: %w", err)
	}
	d := &proxy{listener: l, served: make(chan error, 1)}
	if d.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err != nil {
		return nil, err
	}
	d.server = &http.Server{Handler: d}
	go func() { d.served <- d.server.Serve(l) }() // close waits for it
	return d, nil
}

// addr is where he stands.
func (d *proxy) addr() string { return d.listener.Addr().String() }

// guards tells him where the broker itself is.
func (d *proxy) guards(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
}

// set changes what he does, from now on.
func (d *proxy) set(m proxyMode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mode = m
}

// close sends everybody away.
func (d *proxy) close() {
	_ = d.server.Close() // so that Serve returns
	if err := <-d.served; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "compliance: the proxy:", err)
	}
	d.decoder.Close()
}

// of lists the visits of a broker that have ended, in this mode.
func (d *proxy) of(from string, modes ...proxyMode) (out []visit) {
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
func (d *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
func (d *proxy) slam(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close() // it is to be gone
		}
	}
}

// read notes what a message says of itself.
func (d *proxy) read(v *visit, body []byte, h http.Header) {
	plain := body
	compressed := h.Get("Content-Encoding") == "zstd"
	if compressed {
		var err error
		if plain, err = d.decoder.DecodeAll(body, nil); err != nil {
			return
		}
	}
	var m struct {
		From string `codec:"from"`
	}
	_ = codec.NewDecoderBytes(plain, &codec.MsgpackHandle{}).Decode(&m) // what is not a message has no sender
	d.mu.Lock()
	defer d.mu.Unlock()
	v.from, v.sent, v.plain, v.compressed, v.accepts = m.From, len(body), len(plain), compressed, h.Get("Accept-Encoding")
}
