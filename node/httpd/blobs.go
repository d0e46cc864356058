package httpd

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

func pathDigest(r *http.Request) (string, error) {
	d := r.PathValue("digest")
	if !job.ValidDigest(d) {
		return "", fail(http.StatusBadRequest, api.CodeBadRequest, "%.80q is not a SHA-256: 64 lower-case hexadecimal digits", d)
	}
	return d, nil
}

// handlePutBlob stores a blob, or the rest of one, under its digest; 201 when it is new.
func (srv *Server) handlePutBlob(w http.ResponseWriter, r *http.Request) error {
	d, err := pathDigest(r)
	if err != nil {
		return err
	}
	if err := plainBody(r); err != nil {
		return err
	}
	status := http.StatusCreated
	if size, ok := srv.store.Blobs().Touch(d); ok && srv.host.Sound(r.Context(), job.Digest(d)) {
		// What the client sends is taken in, or it would see its connection reset instead of the answer; one that waits for
		// our word before it sends (100-continue) gets the answer at once.
		if r.Header.Get("Expect") == "" {
			if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, job.MaxBlob)); err != nil {
				return err
			}
		}
		writeJSON(w, http.StatusOK, api.Blob{Digest: job.Digest(d), Size: size})
		return nil
	}
	if err := srv.diskReserve(); err != nil {
		return err
	}
	announced := min(max(r.ContentLength, 0), job.MaxBlob)
	give, why := srv.host.Hold(announced)
	if why != "" {
		return noSpace(why)
	}
	body := &counted{r: http.MaxBytesReader(w, r.Body, job.MaxBlob), arrived: give, left: announced}
	defer func() { give(body.left) }()
	err = srv.receive(w, r, d, body)
	var mismatch *store.MismatchError
	switch {
	case errors.As(err, &mismatch):
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "the bytes do not have the SHA-256 of the address: %v", err)
	case errors.Is(err, store.ErrTooLarge):
		return fail(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "%v", err)
	case errors.Is(err, syscall.ENOSPC):
		return fail(http.StatusInsufficientStorage, api.CodeNoSpace, "%v", err)
	case err != nil:
		return err
	}
	size, _ := srv.store.Blobs().Has(d)
	writeJSON(w, status, api.Blob{Digest: job.Digest(d), Size: size})
	return nil
}

// handleGetBlob sends a blob that is here; it asks nobody else.
func (srv *Server) handleGetBlob(w http.ResponseWriter, r *http.Request) error {
	d, err := pathDigest(r)
	if err != nil {
		return err
	}
	missing := queryYes(r, "missing")
	if c := callerOf(r); c.ownOnly && r.Method != http.MethodHead && !missing {
		return fail(http.StatusForbidden, api.CodeForbidden, "%s may %s, and sees the output of jobs of their own: GET /v1/jobs/{id}/stdout; to read blobs takes the scope read", c.how, c.scopes)
	}
	if !srv.host.Sound(r.Context(), job.Digest(d)) {
		srv.sayCame(w, r, d)
		return fail(http.StatusNotFound, api.CodeNotFound, "blob %.12s is not at this broker", d)
	}
	if missing {
		return srv.sendMissing(w, r, job.TreeOf(job.Digest(d)))
	}
	b, err := srv.store.Blobs().Open(d)
	if errors.Is(err, store.ErrNotFound) {
		return fail(http.StatusNotFound, api.CodeNotFound, "blob %.12s is not at this broker", d)
	}
	if err != nil {
		return err
	}
	defer b.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+d+`"`)
	var from io.ReadSeeker = b
	if ofBroker(r) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr) // all of it is as good where it has no port
		from = ratedBlob{b, srv.host.Rated(r.Context(), host, b)}
	}
	http.ServeContent(w, r, "", time.Time{}, from) // the client sees that bytes are missing
	return nil
}

// ratedBlob is a blob that is read no faster than a rate.
type ratedBlob struct {
	io.Seeker
	io.Reader
}

// handleChunks sends the list of chunks of a blob that is here.
func (srv *Server) handleChunks(w http.ResponseWriter, r *http.Request) error {
	d, err := pathDigest(r)
	if err != nil {
		return err
	}
	list, err := srv.host.Chunks(r.Context(), job.Digest(d))
	if errors.Is(err, store.ErrNotFound) {
		return fail(http.StatusNotFound, api.CodeNotFound, "blob %.12s is not at this broker, or is too small to have a list of chunks", d)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(list)))
	_, _ = w.Write(list) // the peer sees a short answer
	return nil
}

// maxMissing bounds the files that one answer names as missing.
const maxMissing = 10_000

// sendMissing says which files of a directory are not here.
func (srv *Server) sendMissing(w http.ResponseWriter, r *http.Request, d job.Digest) error {
	lacking, err := srv.host.Lacks(r.Context(), d, maxMissing)
	if err != nil {
		return srv.noDirectory(d, err)
	}
	if lacking == nil {
		lacking = []job.Digest{}
	}
	writeJSON(w, http.StatusOK, api.Missing{Missing: lacking})
	return nil
}

// counted tells what has arrived of the bytes of a body that were announced.
type counted struct {
	r       io.Reader
	arrived func(bytes int64)
	left    int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	came := min(int64(n), c.left)
	c.left -= came
	c.arrived(came)
	return n, err
}

// modules remembers blobs that were seen to be WebAssembly.
type modules struct {
	mu   sync.Mutex
	seen map[job.Digest]bool
}

const maxModules = 1024

func (m *modules) known(d job.Digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[d]
}

func (m *modules) add(d job.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) >= maxModules {
		m.seen = map[job.Digest]bool{}
	}
	m.seen[d] = true
}

// diskReserve is nil when new jobs and blobs may be stored; reads go on in any case.
func (srv *Server) diskReserve() error {
	if why := srv.host.DiskFull(); why != "" {
		return noSpace(why)
	}
	return nil
}

func noSpace(why string) error {
	return fail(http.StatusInsufficientStorage, api.CodeNoSpace, "%s; what is here can still be read; submit at another broker, or free some space", why)
}
