package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// FollowOptions choose what is followed.
type FollowOptions struct {
	Stderr  bool   // rather than stdout
	Attempt string // one of Job.Attempts; "" is the latest, for which a job that has none yet is waited for
	From    int64  // how many bytes of the attempt are known already
}

// Follow hands out what one attempt of a job writes to stdout or stderr, from any broker, while it runs. Reading ends with
// io.EOF when the attempt has ended; with another error the connection was lost, and Follow goes on behind the bytes that
// were read. The caller closes the reader.
func (c *Client) Follow(ctx context.Context, id string, o FollowOptions) (io.ReadCloser, error) {
	name := "stdout"
	if o.Stderr {
		name = "stderr"
	}
	q := url.Values{"follow": {"1"}}
	if o.Attempt != "" {
		q.Set("attempt", o.Attempt)
	}
	if o.From > 0 {
		q.Set("from", strconv.FormatInt(o.From, 10))
	}
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"v1", "jobs", id, name}, query: q})
}
