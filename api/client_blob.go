package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/urban-compute/ucp/job"
)

// Measure reads the content once and returns its name: SHA-256 and size. Nothing
// is kept in memory. Content above job.MaxBlob bytes is an error.
func Measure(content Content) (Blob, error) {
	r, err := content()
	if err != nil {
		return Blob{}, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, job.MaxBlob+1))
	if err != nil {
		return Blob{}, err
	}
	if n > job.MaxBlob {
		return Blob{}, fmt.Errorf("it has more than %d MiB, the most that a blob may have", job.MaxBlob>>20)
	}
	return Blob{Digest: job.Digest(hex.EncodeToString(h.Sum(nil))), Size: n}, nil
}

// HasBlob reports whether the broker holds the blob already.
func (c *Client) HasBlob(ctx context.Context, d job.Digest) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.do(ctx, call{method: http.MethodHead, path: []string{"v1", "blobs", string(d)}})
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, resp.Body.Close()
}

// PutBlob uploads content whose name is known (see Measure); isNew is false when
// the broker held it already. The broker checks the digest.
func (c *Client) PutBlob(ctx context.Context, b Blob, content Content) (isNew bool, err error) {
	resp, err := c.do(ctx, call{
		method: http.MethodPut, path: []string{"v1", "blobs", string(b.Digest)},
		contentType: "application/octet-stream", body: content, size: b.Size,
	})
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusCreated, resp.Body.Close()
}

// Blob hands out the bytes of a blob; the caller closes the reader.
func (c *Client) Blob(ctx context.Context, d job.Digest) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"v1", "blobs", string(d)}})
}

// MissingFiles lists the files of a directory that the broker lacks, some of them where there are many; the manifest must be
// there. An upload of these, and so on until there are none, brings the directory to it.
func (c *Client) MissingFiles(ctx context.Context, manifest job.Digest) ([]job.Digest, error) {
	var m Missing
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "blobs", string(manifest)}, query: url.Values{"missing": {"1"}}}, 0, &m)
	return m.Missing, err
}
