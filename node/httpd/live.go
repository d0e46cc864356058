package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

// How often it is looked whether a running job has written more, and whether an attempt has begun or ended.
const (
	tailEvery = 100 * time.Millisecond
	lookEvery = 250 * time.Millisecond
)

// follow sends what one attempt of a job writes to stdout or stderr, from the byte ?from= on, while it runs, and ends
// with it. Without ?attempt= it is the latest one; a job that has none yet is waited for.
//
// The answer is complete if it ends as HTTP says. If this broker, or the one where the attempt runs, goes away meanwhile,
// the connection is cut: whoever reads asks again, here or at another broker, from where it was.
func (srv *Server) follow(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	from, err := queryOffset(r)
	if err != nil {
		return err
	}
	if _, err := srv.caughtUp(r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(srv.host.Leaving(), cancel)()
	var standing sync.WaitGroup
	defer standing.Wait()
	defer cancel()
	standing.Go(func() {
		defer cancel()
		for api.Sleep(ctx, keepAlive) == nil {
			if _, err := srv.identify(r); err != nil {
				return // a token that ended, or was revoked, meanwhile
			}
		}
	})
	l := &live{srv: srv, w: w, stderr: strings.HasSuffix(r.URL.Path, "/stderr"), token: r.URL.Query().Get("attempt"), from: from}
	for {
		f, err := ask[*broker.Found](ctx, srv, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: id} })
		if err == nil {
			err = callerOf(r).mayTouch(f.Record)
		}
		if err == nil {
			id = f.Record.Key() // a beginning of an ID may mean more jobs later
			var over bool
			if over, err = l.step(ctx, f.Record); err == nil {
				l.begin() // though there may be nothing yet: whoever asks knows that it is heard
			}
			if over && err == nil {
				return nil
			}
		}
		if err == nil {
			err = api.Sleep(ctx, lookEvery)
		}
		if err == nil {
			continue
		}
		if l.begun {
			panic(http.ErrAbortHandler) // the client sees that there is more
		}
		return err
	}
}

// queryOffset reads ?from=, from which byte on something is asked for.
func queryOffset(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("from")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fail(http.StatusBadRequest, api.CodeBadRequest, "?from=%.40s: how many bytes are known already", text)
	}
	return n, nil
}

// live is an answer that follows an attempt.
type live struct {
	srv    *Server
	w      http.ResponseWriter
	stderr bool
	token  string // of the attempt; "" until there is one
	from   int64  // which byte comes next
	begun  bool   // the answer has begun
}

// begin sends the header, once.
func (l *live) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.w.Header().Set("Content-Type", "application/octet-stream")
	l.w.Header().Set("Cache-Control", "no-store")
	l.w.WriteHeader(http.StatusOK)
	l.flush()
}

// flush sends what was written; an error means that the client is gone, which the next write or the context says, too.
func (l *live) flush() { _ = http.NewResponseController(l.w).Flush() }

// step sends what there is of the attempt, and says whether that is all there will be.
func (l *live) step(ctx context.Context, rec *job.Record) (over bool, err error) {
	c, found := courseOf(rec, l.token)
	if !found {
		if l.token != "" {
			return false, fail(http.StatusNotFound, api.CodeNotFound, "job %s has no attempt %.80q that is known here", rec.ID, l.token)
		}
		return rec.Finished(), nil // it has not begun, or was over before
	}
	l.token = c.Attempt.Token()
	if res, _, err := resultOf(rec, l.token); err == nil {
		l.begin()
		return true, l.sendRest(ctx, res, rec)
	}
	if !goesOn(c) {
		return true, nil // it has left nothing
	}
	if c.Executor != l.srv.cfg.Name {
		return false, l.relay(ctx, c, rec)
	}
	if out, here := l.srv.host.Output(rec.Key(), l.token, l.stderr); here {
		l.begin()
		return false, l.tail(ctx, out)
	}
	return false, nil // it is about to begin, or its end about to be noted
}

// courseOf is the attempt with that token, or without one the latest that has a place.
func courseOf(rec *job.Record, token string) (c job.Course, found bool) {
	for _, x := range rec.Courses() {
		if token == "" && x.Executor != "" || token != "" && x.Attempt.Token() == token {
			c, found = x, true
		}
	}
	return c, found
}

// sendRest sends what an attempt that has ended had written, as far as it was not sent before.
func (l *live) sendRest(ctx context.Context, res *job.Result, rec *job.Record) error {
	blob := res.Stdout
	if l.stderr {
		blob = res.Stderr
	}
	if blob == nil || blob.Size <= l.from {
		return nil
	}
	if err := l.srv.fetchOutput(ctx, blob.Digest, rec); err != nil {
		return err
	}
	f, err := l.srv.store.Blobs().Open(string(blob.Digest))
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(l.w, io.NewSectionReader(f, l.from, blob.Size-l.from))
	l.from += n
	return err
}

// tail sends what an attempt writes here until it has ended.
func (l *live) tail(ctx context.Context, out Running) (err error) {
	var f *os.File
	defer func() {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	for over := false; ; {
		if f == nil {
			if f, err = out.Open(); err != nil {
				return err
			}
		}
		if f != nil {
			n, err := io.Copy(l.w, io.NewSectionReader(f, l.from, job.MaxOutput+truncationNote-l.from))
			l.from += n
			if err != nil {
				return err
			}
			if n > 0 {
				l.flush()
			}
		}
		if over {
			return nil // read once more after the end: all of it is sent
		}
		select {
		case <-out.Over:
			over = true
		case <-time.After(tailEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// truncationNote bounds what stands behind output that was cut.
const truncationNote = 4096

// relay sends what an attempt writes at another broker.
func (l *live) relay(ctx context.Context, c job.Course, rec *job.Record) error {
	stream := "stdout"
	if l.stderr {
		stream = "stderr"
	}
	q := url.Values{"follow": {"1"}, "attempt": {l.token}, "from": {strconv.FormatInt(l.from, 10)}}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		defer cancel()
		l.srv.awaitOver(ctx, rec.Key(), l.token)
	})
	body, err := l.srv.host.Follow(ctx, c.Executor, fmt.Sprintf("/v1/jobs/%s/%s?%s", url.PathEscape(rec.Key()), stream, q.Encode()))
	if err != nil {
		return nil // it may be lost: what becomes of the attempt stands in the record, sooner or later
	}
	defer body.Close()
	l.begin()
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if _, werr := l.w.Write(buf[:n]); werr != nil {
			return werr
		}
		l.from += int64(n)
		if n > 0 {
			l.flush()
		}
		if err != nil {
			return nil // it has ended there, or as above
		}
	}
}

// awaitOver waits until the record says that an attempt runs no more; what its broker still has to say gets a moment more.
func (srv *Server) awaitOver(ctx context.Context, key, token string) {
	for api.Sleep(ctx, time.Second) == nil {
		f, err := ask[*broker.Found](ctx, srv, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: key} })
		if err != nil {
			continue
		}
		if c, found := courseOf(f.Record, token); !found || !goesOn(c) {
			_ = api.Sleep(ctx, time.Second)
			return
		}
	}
}

// goesOn reports whether an attempt may still write.
func goesOn(c job.Course) bool {
	switch c.State {
	case job.AttemptQueued, job.AttemptStarting, job.AttemptLoading, job.AttemptRunning, job.AttemptSuspended, job.AttemptStopping:
		return true
	}
	return false
}
