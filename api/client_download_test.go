package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// broken hands out some bytes, and then an error; or, where that is nil, nothing until its request ends.
type broken struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	if b.err == nil {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	return 0, b.err
}

func (*broken) Close() error { return nil }

const stored = "the quick brown fox jumps over the lazy dog"

// part answers as a broker does that holds stored content, with so many bytes of it before the link breaks.
func part(r *http.Request, etag string, bytes int, err error) *http.Response {
	from := 0
	status := http.StatusOK
	a := answer(status, "", "ETag", etag, "Accept-Ranges", "bytes")
	if s := r.Header.Get("Range"); s != "" && r.Header.Get("If-Range") == etag {
		_, _ = fmt.Sscanf(s, "bytes=%d-", &from)
		a.StatusCode = http.StatusPartialContent
		a.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(stored)-1, len(stored)))
	}
	a.ContentLength = int64(len(stored) - from)
	a.Body = &broken{r.Context(), strings.NewReader(stored[from:min(from+bytes, len(stored))]), err}
	return a
}

// Content whose link breaks, or stands still, goes on where it was, at a broker that can be had.
func TestDownloadsAreResumed(t *testing.T) {
	for name, breaks := range map[string]error{"reset": syscall.ECONNRESET, "cut short": io.ErrUnexpectedEOF, "early end": io.EOF, "silence": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				c := through(t, func(r *http.Request) (*http.Response, error) {
					asked = append(asked, r.Header.Get("Range"))
					if len(asked) == 3 {
						return nil, syscall.ECONNREFUSED
					}
					return part(r, `"fox"`, 10, breaks), nil
				})
				began := time.Now()
				r, err := c.Output(t.Context(), "j", "fox")
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.NoError(t, r.Close())
				require.Equal(t, stored, string(got))
				require.Equal(t, []string{"", "bytes=10-", "bytes=20-", "bytes=20-", "bytes=30-", "bytes=40-"}, asked)
				require.Less(t, time.Since(began), 10*time.Second+5*stillAfter)
			})
		})
	}
}

// What comes is never joined to another content, and one that is refused, or does not come for minutes, is an error.
func TestDownloadsThatCantGoOn(t *testing.T) {
	for want, then := range map[string]transport{
		"10 of 43 bytes had come when it broke off, and broker:8000 does not send the rest of the same content": func(r *http.Request) (*http.Response, error) {
			return part(r, `"another"`, 10, nil), nil
		},
		"broker:8000 does not send the rest of the same content": func(r *http.Request) (*http.Response, error) {
			a := part(r, `"fox"`, 10, nil)
			a.Header.Set("ETag", `"another"`) // though it was asked for the rest of that one alone
			return a, nil
		},
		"gone": func(*http.Request) (*http.Response, error) {
			return answer(http.StatusNotFound, `{"error":"gone","code":"not_found"}`), nil
		},
		"10 of 43 bytes have come, and no more for 5m0s: connection reset by peer": func(*http.Request) (*http.Response, error) {
			return nil, syscall.ECONNREFUSED
		},
		"the person has gone": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			first := true
			c := through(t, func(r *http.Request) (*http.Response, error) {
				if first {
					first = false
					return part(r, `"fox"`, 10, syscall.ECONNRESET), nil
				}
				return then(r)
			})
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("the person has gone"))
			defer cancel()
			r, err := c.Stdout(ctx, "j")
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.ErrorContains(t, err, want)
			require.Equal(t, stored[:10], string(got))
			_ = r.Close()
		})
	}
}

// An answer that is made as it is sent, as an archive, is not resumed: a second one is another.
func TestStreamsAreNotResumed(t *testing.T) {
	asked := 0
	c := through(t, func(r *http.Request) (*http.Response, error) {
		asked++
		a := part(r, "", 10, syscall.ECONNRESET)
		a.ContentLength = -1
		return a, nil
	})
	r, err := c.Result(t.Context(), "j", "zip")
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.NoError(t, r.Close())
	require.Equal(t, 1, asked)
}

// Who reads may pause for as long as it likes, as somebody who pages through a log does; the broker ends the connection meanwhile.
func TestDownloadsAreReadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := through(t, func(r *http.Request) (*http.Response, error) { return part(r, `"fox"`, 10, syscall.ECONNRESET), nil })
		r, err := c.Output(t.Context(), "j", "fox")
		require.NoError(t, err)
		got := make([]byte, 10)
		_, err = io.ReadFull(r, got)
		require.NoError(t, err)
		time.Sleep(3 * resumeWithin)
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, stored, string(got)+string(rest))
	})
}

// A broker that does not know of what is read, where the one that did is gone, is no end of it while there are others.
func TestDownloadsGoOnWhereTheyAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := false
		knows := "c"
		rt := func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Host == "a:1" && gone:
				return nil, syscall.ECONNREFUSED
			case r.URL.Host == "a:1":
				gone = true
				return part(r, `"fox"`, 10, syscall.ECONNRESET), nil
			case r.URL.Host == knows+":1":
				return part(r, `"fox"`, 100, io.EOF), nil
			}
			return answer(http.StatusNotFound, `{"error": "this broker knows of no job j", "code": "not_found"}`), nil
		}
		read := func() (string, error) {
			gone = false
			c, err := New("a:1,b:1,c:1", WithTransport(transport(rt)))
			require.NoError(t, err)
			r, err := c.Output(t.Context(), "j", "fox")
			require.NoError(t, err)
			b, err := io.ReadAll(r)
			return string(b), err
		}
		got, err := read()
		require.NoError(t, err)
		require.Equal(t, stored, got)
		knows = "nobody"
		_, err = read()
		require.ErrorContains(t, err, "knows of no job")
	})
}

// What is there already is not asked for again, if it is of the same content.
func TestDownloadsBeginBehindWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		c := through(t, func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.Header.Get("Range"))
			return part(r, `"fox"`, 10, syscall.ECONNRESET), nil
		})
		read := func(there int64, digest job.Digest) (int64, string) {
			asked = nil
			r, err := c.Output(WithBegun(t.Context(), there, digest), "j", "fox")
			require.NoError(t, err)
			at := Begins(r)
			b, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			return at, string(b)
		}
		at, got := read(17, "fox")
		require.EqualValues(t, 17, at)
		require.Equal(t, stored[17:], got)
		require.Equal(t, []string{"bytes=17-", "bytes=27-", "bytes=37-"}, asked)
		at, got = read(17, "another")
		require.Zero(t, at)
		require.Equal(t, stored, got)
		at, got = read(0, "fox")
		require.Zero(t, at)
		require.Equal(t, stored, got)
		require.Empty(t, asked[0])
		require.Zero(t, Begins(io.NopCloser(strings.NewReader(stored))))
	})
}
