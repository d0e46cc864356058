package httpd

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// whyHost is a node to which something comes, or another one that says why a job waits there.
type whyHost struct {
	Host
	arriving, says string
	asked          int
}

func (h *whyHost) Arriving(string) string { return h.arriving }
func (h *whyHost) Follow(_ context.Context, name, path string) (io.ReadCloser, error) {
	h.asked++
	if h.says == "" {
		return nil, errors.New(name + " is not there")
	}
	return io.NopCloser(strings.NewReader(h.says)), nil
}

// Why a queued job does not run is asked of the broker where it is, if that is another one: its inputs may be on their way.
func TestWhyThere(t *testing.T) {
	spec := job.Spec{Command: "work"}
	placed := func(at string) *broker.Found {
		r := job.New("j", spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
		return &broker.Found{Record: r.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *job.Record) {
			r.Place = job.Placement{Attempt: job.Attempt{Seq: 1}, Broker: at, Actor: clock.Actor(at + "~1")}
		})}
	}
	h := &whyHost{}
	srv := &Server{cfg: Config{Name: "a"}, host: h}
	why := func(url, at string) string {
		return srv.whyThere(httptest.NewRequest("GET", url, nil), placed(at), "known")
	}
	require.Equal(t, job.StateQueued, placed("a").Record.State())
	require.Equal(t, "known", why("/v1/jobs/j", "a"))
	h.arriving = "fetching its inputs: 1 MiB"
	require.Equal(t, h.arriving, why("/v1/jobs/j", "a"))

	require.Equal(t, "known", why("/v1/jobs/j", "b"))
	require.Zero(t, h.asked, "only who asks for what others know has them asked")
	require.Equal(t, "known", why("/v1/jobs/j?copies=1", "b"), "it is not there")
	h.says = `{"state":"queued","executor":"b","why":"fetching its inputs: 2 MiB"}`
	require.Equal(t, "queued at b: fetching its inputs: 2 MiB", why("/v1/jobs/j?copies=1", "b"))
	for _, other := range []string{`{"state":"running","executor":"b","why":"x"}`, `{"state":"queued","executor":"c","why":"x"}`, `{"state":"queued","executor":"b"}`, "nonsense"} {
		h.says = other
		require.Equal(t, "known", why("/v1/jobs/j?copies=1", "b"), other)
	}
	h.says = `{"state":"queued","executor":"b","why":"` + strings.Repeat("x", 1000) + `"}`
	require.LessOrEqual(t, len(why("/v1/jobs/j?copies=1", "b")), maxWhy+20)
	r := httptest.NewRequest("GET", "/v1/jobs/j?copies=1", nil)
	Address(r, "a", "a~1")
	before := h.asked
	require.Equal(t, "known", srv.whyThere(r, placed("b"), "known"))
	require.Equal(t, before, h.asked, "a broker that was asked does not ask on")
}
