package httpd

import (
	"log/slog"
	"net/http/httptest"
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

// Strangers have 64 MiB of bodies under way at most, and members as much for themselves, however much strangers send: one
// that finds none free waits for its turn, and is refused when that takes too long.
func TestBodiesUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := New(Config{Name: "a", PeerTimeout: 3 * time.Second, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, memberHost{}, nil)
		reserve := func(from string, size int64) (func(), error) {
			r := httptest.NewRequest("POST", "/broker/sync-metadata", nil)
			r.RemoteAddr, r.ContentLength = from+":4711", size
			return srv.reserve(r)
		}
		for _, from := range []string{"10.0.0.9", "10.0.0.2"} {
			var held []func()
			for range inFlight / wire.MaxMessage {
				release, err := reserve(from, -1) // of a length that is not said
				require.NoError(t, err, from)
				held = append(held, release)
			}
			began := time.Now()
			_, err := reserve(from, 1)
			require.Equal(t, 3*time.Second, time.Since(began))
			var e *api.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, api.CodeUnavailable, e.Code)
			if from == "10.0.0.9" {
				continue // and go on holding all of it
			}
			time.AfterFunc(time.Second, held[0])
			_, err = reserve(from, 1)
			require.NoError(t, err, "when one has gone there is room again")
		}
		require.EqualValues(t, 64<<20, inFlight)
	})
}
