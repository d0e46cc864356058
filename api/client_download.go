package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/urban-compute/ucp/job"
)

// download is content that comes from a broker, and goes on where it was when the link breaks, or the broker is started again:
// there, or at another broker that has the same. It is given up when nothing more has come for resumeWithin.
type download struct {
	client *Client
	ctx    context.Context // of the whole; a reader has no other
	call   call
	etag   string // what it is: another content is never joined to it
	at     int64  // bytes that have been read
	size   int64  // of the whole
	body   io.ReadCloser
	stop   context.CancelCauseFunc // ends the request that body comes from
	last   time.Time               // when something had come last, or when it was waited for from
	pause  time.Duration           // before it is asked for again
}

// begun is what is there already of content that is asked for.
type begun struct {
	bytes  int64
	digest job.Digest
}

type begunKey struct{}

// WithBegun says that the first so many bytes of the content with a digest are there already: where a method of a Client hands out content, it begins
// behind them if it is that one. [Begins] says whether it does. Only the digest of the whole shows that what was there is its beginning.
func WithBegun(ctx context.Context, bytes int64, digest job.Digest) context.Context {
	return context.WithValue(ctx, begunKey{}, begun{bytes, digest})
}

// Begins says at which byte content begins that a Client has handed out, before it is read.
func Begins(content io.ReadCloser) int64 {
	if d, is := content.(*download); is {
		return d.at
	}
	return 0
}

// stream sends the call and hands out the answer's body, which the caller closes, behind what is there already ([WithBegun]). Content that can be asked for in parts, which
// brokers say of what is stored, is resumed when it breaks off.
func (c *Client) stream(ctx context.Context, k call) (io.ReadCloser, error) {
	if b, is := ctx.Value(begunKey{}).(begun); is && b.bytes > 0 {
		k.from, k.etag = b.bytes, `"`+string(b.digest)+`"`
	}
	one, stop := context.WithCancelCause(ctx)
	resp, err := c.do(one, k)
	if err != nil {
		stop(nil)
		return nil, err
	}
	etag := resp.Header.Get("ETag")
	d := &download{client: c, ctx: ctx, call: k, etag: etag, size: resp.ContentLength, body: resp.Body, stop: stop, last: time.Now(), pause: resumePause}
	if resp.StatusCode == http.StatusPartialContent {
		d.at, d.size, d.etag = k.from, k.from+resp.ContentLength, k.etag
		return d, d.joins(resp)
	}
	if etag == "" || resp.Header.Get("Accept-Ranges") != "bytes" || d.size < 0 {
		return &held{resp.Body, func() { stop(nil) }}, nil
	}
	return d, nil
}

// Read implements io.Reader.
func (d *download) Read(b []byte) (int, error) {
	d.last = time.Now() // who reads may have paused for long, as somebody who pages does
	for {
		if d.at >= d.size {
			return 0, io.EOF
		}
		n, err := d.read(b)
		d.at += int64(n)
		switch {
		case n > 0: // an error comes again
			d.last, d.pause = time.Now(), resumePause
			return n, nil
		case err == nil || d.ctx.Err() != nil:
			return 0, err
		}
		if err := d.again(err); err != nil {
			return 0, err
		}
	}
}

// read reads of the present answer, and ends that when nothing comes for stillAfter.
func (d *download) read(b []byte) (int, error) {
	watch := time.AfterFunc(stillAfter, func() { d.stop(errStill) })
	defer watch.Stop()
	return d.body.Read(b)
}

// again asks for what has not come yet, until a broker sends it. When nothing has come for too long it returns why the content broke
// off.
func (d *download) again(why error) error {
	_ = d.Close() // it has broken off
	missing := 0
	for time.Since(d.last) <= resumeWithin {
		if err := Sleep(d.ctx, d.pause); err != nil {
			return err
		}
		d.pause = min(2*d.pause, resumeMost)
		one, stop := context.WithCancelCause(d.ctx)
		k := d.call
		k.from, k.etag = d.at, d.etag
		resp, err := d.client.do(one, k)
		if err == nil {
			d.body, d.stop = resp.Body, stop
			return d.joins(resp)
		}
		stop(nil)
		refused := new(Error)
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound && missing < d.client.others() {
			missing++ // a broker that has not heard of it yet, or does not hold it: another one may
			d.client.avoid(d.client.present())
			continue
		}
		if refused.Status != 0 && refused.Status < http.StatusInternalServerError || d.ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("%d of %d bytes have come, and no more for %v: %w", d.at, d.size, resumeWithin, why)
}

// joins is an error where an answer is not what follows that which has come.
func (d *download) joins(resp *http.Response) error {
	want := fmt.Sprintf("bytes %d-%d/%d", d.at, d.size-1, d.size)
	if resp.StatusCode == http.StatusPartialContent && resp.Header.Get("ETag") == d.etag && resp.Header.Get("Content-Range") == want {
		return nil
	}
	return errors.Join(fmt.Errorf("%d of %d bytes had come when it broke off, and %s does not send the rest of the same content", d.at, d.size, d.client.Addr()), d.Close())
}

// Close implements io.Closer.
func (d *download) Close() error {
	defer d.stop(nil)
	return d.body.Close()
}
