package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// While a submission waits for word of a job that the broker does not know, that is said, once; not before it has taken a while.
func TestSayWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := api.New("127.0.0.1:1", api.WithTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/known") {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"id":"known"}`))}, nil
			}
			return &http.Response{StatusCode: 404, Body: io.NopCloser(strings.NewReader(`{"error":"no","code":"not_found"}`))}, nil
		})))
		require.NoError(t, err)
		defer client.Close()
		said := func(takes time.Duration, after ...string) string {
			var out bytes.Buffer
			c := &cli{err: &out}
			stop := c.sayWhatItWaitsFor(t.Context(), client, after)
			time.Sleep(takes)
			stop()
			return out.String()
		}
		require.Equal(t, "ucp: the broker does not know nosuch (--after) and waits a while for word of that before it refuses\n", said(2*time.Second, "known", "nosuch", "array[0-9]"))
		require.Empty(t, said(2*time.Second, "known", "array[0-9]"))
		require.Empty(t, said(slowAfter-time.Millisecond, "nosuch"))
		require.Empty(t, said(2*time.Second))
	})
}
