package httpd

import (
	"io"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/gossip"
)

// memberHost is a cluster with one member, at 10.0.0.2.
type memberHost struct{ Host }

func (memberHost) Members() []gossip.Member {
	return []gossip.Member{{Name: "b", Addr: "10.0.0.2:7946", Status: "alive"}}
}

// Strangers have 64 MiB of bodies under way at most, one of them half of that, and members as much for themselves, however
// much strangers send: one that finds none free waits for its turn, and is refused when that takes too long.
func TestBodiesUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := New(Config{Name: "a", PeerTimeout: 3 * time.Second, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, memberHost{}, nil)
		reserve := func(from string, size int64) (func(), error) {
			r := httptest.NewRequest("POST", "/broker/sync-metadata", nil)
			r.RemoteAddr, r.ContentLength = from+":4711", size
			return srv.reserve(r, wire.MaxMessage)
		}
		var held []func()
		fill := func(from string, bytes int64) {
			for range bytes / wire.MaxMessage {
				release, err := reserve(from, -1) // of a length that is not said
				require.NoError(t, err, from)
				held = append(held, release)
			}
		}
		full := func(from string) {
			t.Helper()
			began := time.Now()
			_, err := reserve(from, 1)
			require.Equal(t, 3*time.Second, time.Since(began))
			var e *api.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, api.CodeUnavailable, e.Code)
		}
		fill("10.0.0.8", 32<<20)
		full("10.0.0.8")
		fill("10.0.0.9", 32<<20)
		full("10.0.0.7")
		fill("10.0.0.2", 64<<20)
		full("10.0.0.2")
		time.AfterFunc(time.Second, func() { held[0](); held[len(held)-1]() })
		for _, from := range []string{"10.0.0.2", "10.0.0.8"} {
			release, err := reserve(from, 1)
			require.NoError(t, err, "when one has gone there is room again")
			defer release()
		}
		for _, release := range held[1 : len(held)-1] {
			release()
		}
		require.Len(t, srv.memory.by, 1, "nothing is kept of who sends nothing any more")
	})
}

// A batch counts with all that it may have, and not with what a message may.
func TestBatchesUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := New(Config{Name: "a", PeerTimeout: 3 * time.Second, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, memberHost{}, nil)
		body, half := io.Pipe() // nothing comes
		var work sync.WaitGroup
		read := func() error {
			r := httptest.NewRequest("POST", "/v1/jobs:batch", body)
			r.RemoteAddr, r.ContentLength = "10.0.0.8:4711", -1
			r.Header.Set("Content-Type", api.NDJSON)
			_, err := srv.readBatch(httptest.NewRecorder(), r)
			return err
		}
		for range inFlightSource / api.MaxBatchBytes {
			work.Go(func() { _ = read() })
		}
		synctest.Wait()
		var e *api.Error
		require.ErrorAs(t, read(), &e)
		require.Equal(t, api.CodeUnavailable, e.Code)
		require.NoError(t, half.Close())
		work.Wait()
	})
}
