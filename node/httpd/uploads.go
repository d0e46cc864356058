package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// An upload whose link breaks goes on where it ended: HEAD of a blob that is not here says how much has come, and a PUT with a
// Content-Range brings the rest.

// stalledAfter is how long an upload may bring nothing before another one of the same blob may take its place: the broker sees
// later than the client that a link has broken.
const stalledAfter = 3 * time.Second

// uploads are those under way whose bytes stay when they break.
type uploads struct {
	mu sync.Mutex
	by map[string]*uploading
}

// uploading is one of them.
type uploading struct {
	last atomic.Int64 // Unix nanoseconds of the last byte
	stop func()       // ends it soon
	done chan struct{}
}

// begin makes room for an upload of a blob, unless another one is coming in; the caller ends it with the function that it gets.
func (u *uploads) begin(ctx context.Context, d string, stop func()) (x *uploading, end func(), ok bool) {
	x = &uploading{stop: stop, done: make(chan struct{})}
	x.last.Store(time.Now().UnixNano())
	for {
		u.mu.Lock()
		other := u.by[d]
		if other == nil {
			break
		}
		u.mu.Unlock()
		if time.Since(time.Unix(0, other.last.Load())) < stalledAfter {
			return nil, nil, false
		}
		other.stop()
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, nil, false
		}
	}
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = map[string]*uploading{}
	}
	u.by[d] = x
	return x, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.by, d)
		close(x.done)
	}, true
}

// noting notes when a body brings something.
type noting struct {
	io.Reader
	x *uploading
}

func (n noting) Read(b []byte) (int, error) {
	read, err := n.Reader.Read(b)
	if read > 0 {
		n.x.last.Store(time.Now().UnixNano())
	}
	return read, err
}

// uploadRange reads which bytes of a blob a request brings: those from at on, of so many altogether; total is negative where that is
// not said.
func uploadRange(r *http.Request) (at, total int64, err error) {
	s := r.Header.Get("Content-Range")
	if s == "" {
		return 0, r.ContentLength, nil
	}
	bad := fail(http.StatusBadRequest, api.CodeBadRequest, "Content-Range: %.80s: write bytes FIRST-LAST/SIZE of all that is left of the blob, and send as many", s)
	span, all, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	total, err1 := strconv.ParseInt(all, 10, 64)
	at, err2 := strconv.ParseInt(first, 10, 64)
	end, err3 := strconv.ParseInt(last, 10, 64)
	if !ok || !ok2 || errors.Join(err1, err2, err3) != nil || at < 0 || end != total-1 || at > end || r.ContentLength >= 0 && r.ContentLength != total-at {
		return 0, 0, bad
	}
	if total > job.MaxBlob {
		return 0, 0, fail(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "a blob has at most %d bytes", job.MaxBlob)
	}
	return at, total, nil
}

// receive stores a blob, or the rest of it, as it comes in. Of a large one what has come stays when that breaks.
func (srv *Server) receive(w http.ResponseWriter, r *http.Request, d string, body io.Reader) error {
	at, total, err := uploadRange(r)
	if err != nil {
		return err
	}
	blobs := srv.store.Blobs()
	if at == 0 && total < api.ResumableFrom {
		return blobs.PutExpect(r.Context(), d, body, job.MaxBlob)
	}
	stop := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) }
	x, end, ok := srv.uploads.begin(r.Context(), d, stop)
	var part *store.Partial
	if ok {
		defer end()
		part, err = blobs.Resume(d)
	} else {
		err = store.ErrBusy
	}
	switch {
	case errors.Is(err, store.ErrBusy) && at == 0: // what comes of it twice does no harm
		return blobs.PutExpect(r.Context(), d, body, job.MaxBlob)
	case errors.Is(err, store.ErrBusy):
		return fail(http.StatusTooManyRequests, api.CodeBusy, "blob %.12s is coming in already: ask with HEAD how much of it there is", d)
	case err != nil:
		return err
	}
	return errors.Join(srv.receivePart(r.Context(), part, noting{body, x}, at, total), part.Close())
}

// receivePart writes what comes in behind what has come, and makes the blob of it.
func (srv *Server) receivePart(ctx context.Context, part *store.Partial, body io.Reader, at, total int64) error {
	if part.Len() > total || at == 0 && part.Holey() {
		if err := part.Reset(); err != nil {
			return err
		}
	}
	if at > part.Len() {
		return fail(http.StatusConflict, api.CodeConflict, "%d bytes have come of the blob, and what was sent begins at %d: ask with HEAD how much of it there is", part.Len(), at)
	}
	err := part.Append(ctx, body, at, total)
	if err == nil && part.Len() != total {
		err = fmt.Errorf("store blob: %d of %d bytes have come: %w", part.Len(), total, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	err = part.Finish(ctx)
	if errors.As(err, new(*store.MismatchError)) {
		return errors.Join(err, part.Reset())
	}
	return err
}

// sayCame tells who asks for a blob that is not here how much of it has come, since it may want to send the rest.
func (srv *Server) sayCame(w http.ResponseWriter, r *http.Request, d string) {
	if r.Method == http.MethodHead {
		w.Header().Set(api.UploadOffsetHeader, strconv.FormatInt(srv.store.Blobs().Came(d), 10))
	}
}
