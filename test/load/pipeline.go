package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// PipelineAnswer is what the bare pipeline answers when both stages have a request.
const PipelineAnswer = `{"replicas":2}`

// ServePipeline is one stage of the bare pipeline, which does for each request what a durable submission costs at least: it syncs the
// body to Pebble in dir with a Set of its own (Pebble lets concurrent ones share an fsync), forwards it to the next stage over a kept connection, and
// answers. The last stage has no next one, "". It calls up with its address, and ends when stop is closed.
func ServePipeline(dir, next string, up func(addr string), stop <-chan struct{}) error {
	db, err := pebble.Open(dir, &pebble.Options{Logger: noLog{}})
	if err != nil {
		return err
	}
	if next != "" {
		next = "http://" + next + "/"
	}
	forward := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	var last atomic.Uint64
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := stage(r, db, last.Add(1), forward, next); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, PipelineAnswer) // who went away misses it
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, db.Close())
	}
	up(l.Addr().String())
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	<-stop
	err = server.Close()
	<-served
	return errors.Join(err, db.Close())
}

func stage(r *http.Request, db *pebble.DB, n uint64, forward *http.Client, next string) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
	if err != nil {
		return err
	}
	if err := db.Set(binary.BigEndian.AppendUint64([]byte("r"), n), body, pebble.Sync); err != nil || next == "" {
		return err
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, next, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := forward.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return errors.New("the next stage says " + resp.Status)
	}
	return nil
}

type noLog struct{}

func (noLog) Infof(string, ...any)         {}
func (noLog) Errorf(string, ...any)        {}
func (noLog) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
