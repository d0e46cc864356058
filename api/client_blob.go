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
	"time"

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
	has, _, err := c.cameOf(ctx, d)
	return has, err
}

// UploadOffsetHeader says, in the answer to a HEAD of a blob that the broker lacks, how many of its bytes have come, so that a PUT
// with a Content-Range can bring the rest.
const UploadOffsetHeader = "Upload-Offset"

// ResumableFrom is the size in bytes from which what has come of an upload stays when its link breaks.
const ResumableFrom = 1 << 20

// cameOf reports whether the broker holds a blob, and how much of it has come if not. Earlier brokers keep no part.
func (c *Client) cameOf(ctx context.Context, d job.Digest) (has bool, came int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.do(ctx, call{method: http.MethodHead, path: []string{"v1", "blobs", string(d)}})
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return false, e.came, nil
	}
	if err != nil {
		return false, 0, err
	}
	return true, 0, resp.Body.Close()
}

// An upload whose link breaks is resumed until nothing more has come for resumeWithin. One that stands still for stillAfter
// counts as broken: the system may notice only after a quarter of an hour.
const (
	resumeWithin = 5 * time.Minute
	stillAfter   = 30 * time.Second
	resumePause  = time.Second // doubled up to resumeMost while nothing comes
	resumeMost   = 15 * time.Second
)

// PutBlob uploads content whose name is known (see Measure); isNew is false when
// the broker held it already. The broker checks the digest. Of a large one only what has not come yet is sent, and when the link
// breaks, or the broker is started again, it goes on from there.
func (c *Client) PutBlob(ctx context.Context, b Blob, content Content) (isNew bool, err error) {
	if b.Size < ResumableFrom {
		return c.putFrom(ctx, b, content, 0)
	}
	has, at, err := c.cameOf(ctx, b.Digest)
	if err != nil || has {
		return false, err
	}
	u := resuming{client: c, blob: b, at: at, last: time.Now(), pause: resumePause}
	for wrong := 0; ; {
		isNew, err = c.putFrom(ctx, b, content, u.at)
		if err == nil || ctx.Err() != nil {
			return isNew, err
		}
		if refused := new(Error); errors.As(err, &refused) {
			if wrong++; !refused.mayResume(u.at) || wrong > 3 && refused.Code != CodeBusy {
				return false, err
			}
		} else if !brokeOff(err) {
			return false, err
		}
		if has, failed := u.again(ctx, err); failed != nil || has {
			return has, failed
		}
	}
}

// resuming is an upload that has broken off.
type resuming struct {
	client *Client
	blob   Blob
	at     int64         // bytes that have come
	last   time.Time     // when something had come last
	pause  time.Duration // before it is tried again
}

// again waits until the broker says how much has come, or that it has all of it. When nothing has come for too long it returns
// why the upload broke off.
func (u *resuming) again(ctx context.Context, why error) (has bool, err error) {
	for {
		if time.Since(u.last) > resumeWithin {
			return false, why
		}
		if err := Sleep(ctx, u.pause); err != nil {
			return false, err
		}
		u.pause = min(2*u.pause, resumeMost)
		has, at, err := u.client.cameOf(ctx, u.blob.Digest)
		if errors.As(err, new(*UnreachableError)) {
			continue
		}
		if at > u.at {
			u.last, u.pause = time.Now(), resumePause
		}
		u.at = at
		return has, err
	}
}

// mayResume reports whether a refusal of the rest of an upload may be mended by asking again how much has come: another sends
// the same, what had come was wrong, or has gone.
func (e *Error) mayResume(at int64) bool {
	return e.Code == CodeBusy || at > 0 && (e.Status == http.StatusConflict || e.Status == http.StatusUnprocessableEntity)
}

// brokeOff reports whether an upload has ended since its link broke.
func brokeOff(err error) bool {
	var u *UnreachableError
	return errors.As(err, &u) && u.Sent || errors.Is(err, errStill)
}

// errStill ends an upload of which nothing gets away any more.
var errStill = silentFor(stillAfter)

// putFrom uploads what follows the first bytes of a blob.
func (c *Client) putFrom(ctx context.Context, b Blob, content Content, at int64) (isNew bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k := call{
		method: http.MethodPut, path: []string{"v1", "blobs", string(b.Digest)},
		contentType: "application/octet-stream", body: content, size: b.Size - at,
	}
	if b.Size >= ResumableFrom {
		k.body = func() (io.ReadCloser, error) { return contentFrom(content, at, func() { cancel(errStill) }) }
	}
	if at > 0 {
		k.contentRange = fmt.Sprintf("bytes %d-%d/%d", at, b.Size-1, b.Size)
	}
	resp, err := c.do(ctx, k)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusCreated, resp.Body.Close()
}

// contentFrom opens what follows the first bytes of a content. When it is not read on for stillAfter, before its end, still is
// called.
func contentFrom(content Content, at int64, still func()) (io.ReadCloser, error) {
	r, err := content()
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, at); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &resumed{ReadCloser: r, timer: time.AfterFunc(stillAfter, still)}, nil
}

// resumed is a content that is watched as it is read.
type resumed struct {
	io.ReadCloser
	timer *time.Timer
}

// Read implements io.Reader.
func (r *resumed) Read(b []byte) (int, error) {
	r.timer.Stop()
	n, err := r.ReadCloser.Read(b)
	if err == nil {
		r.timer.Reset(stillAfter)
	}
	return n, err
}

// Close implements io.Closer.
func (r *resumed) Close() error {
	r.timer.Stop()
	return r.ReadCloser.Close()
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
