package node

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

func pathDigest(r *http.Request) (string, error) {
	d := r.PathValue("digest")
	if !job.ValidDigest(d) {
		return "", fail(http.StatusBadRequest, api.CodeBadRequest, "%.80q is no SHA-256: 64 lower-case hexadecimal digits", d)
	}
	return d, nil
}

// handlePutBlob stores a blob under its digest; 201 when it is new.
func (n *Node) handlePutBlob(w http.ResponseWriter, r *http.Request) error {
	d, err := pathDigest(r)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if size, ok := n.store.Blobs().Touch(d); ok && n.sound(r.Context(), job.Digest(d)) {
		writeJSON(w, http.StatusOK, api.Blob{Digest: job.Digest(d), Size: size})
		return nil
	}
	if err := n.hasRoom(); err != nil {
		return err
	}
	body := &counted{r: http.MaxBytesReader(w, r.Body, job.MaxBlob)}
	err = n.store.Blobs().PutExpect(r.Context(), d, body, job.MaxBlob)
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
	writeJSON(w, status, api.Blob{Digest: job.Digest(d), Size: body.n})
	return nil
}

// handleGetBlob sends a blob that is here; it asks nobody else.
func (n *Node) handleGetBlob(w http.ResponseWriter, r *http.Request) error {
	d, err := pathDigest(r)
	if err != nil {
		return err
	}
	if !n.sound(r.Context(), job.Digest(d)) {
		return fail(http.StatusNotFound, api.CodeNotFound, "blob %.12s is not at this broker", d)
	}
	b, err := n.store.Blobs().Open(d)
	if errors.Is(err, store.ErrNotFound) {
		return fail(http.StatusNotFound, api.CodeNotFound, "blob %.12s is not at this broker", d)
	}
	if err != nil {
		return err
	}
	defer b.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(b.Size()))
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, b) // the client sees that bytes are missing
	}
	return nil
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
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
