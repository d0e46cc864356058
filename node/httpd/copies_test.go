package httpd

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// holdersHost is a node among others that hold blobs.
type holdersHost struct {
	shownHost
	held map[string][]job.Digest // by broker; who is not in it does not answer
}

func (h *holdersHost) Sound(_ context.Context, d job.Digest) bool {
	return slices.Contains(h.held["a"], d)
}

func (h *holdersHost) Holds(_ context.Context, m membership.Member, d job.Digest) (bool, error) {
	list, ok := h.held[m.Name]
	if !ok {
		return false, errors.New("no answer")
	}
	return slices.Contains(list, d), nil
}

// A copy is who holds all of the output. Who does not answer, or is away, may be one: that is said, and not guessed.
func TestCopies(t *testing.T) {
	spec := job.Spec{Command: "work"}
	r := job.New("j", spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1}).With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *job.Record) {
		rep := job.Report{Dot: clock.Dot{Actor: "a~1", Counter: 2}, Phase: job.Done, Result: &job.Result{
			Outcome: job.Succeeded, Stdout: &job.Blob{Digest: "1"}, Outputs: map[string]job.Blob{"x": {Digest: "2"}},
		}}
		r.SetReport(rep)
		r.AddVerdict(job.Verdict{Outcome: job.Succeeded, Dot: clock.Dot{Actor: "a~1", Counter: 2}, Report: &rep})
	})
	host := &holdersHost{
		shownHost: shownHost{names: []string{"a", "b", "c", "d"}, overview: &broker.Overview{Roll: []broker.Enrolled{{Name: "a"}, {Name: "b"}, {Name: "e", Absent: true}, {Name: "f", Absent: true, Closed: "removed"}}}},
		held:      map[string][]job.Digest{"a": {"1", "2"}, "b": {"1"}, "c": {"2", "1"}},
	}
	srv := &Server{cfg: Config{Name: "a", Replicas: 3, Now: time.Now}, host: host, asking: make(chan struct{}, 1)}
	got, err := srv.copies(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, &api.Copies{Want: 3, Holders: []string{"a", "c"}, Silent: []string{"d", "e"}}, got)

	// Who was given up, and is not back, is not waited for, and may hold it.
	host.names = []string{"a", "b"}
	host.failed = []string{"f"}
	got, err = srv.copies(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, &api.Copies{Want: 3, Holders: []string{"a"}, Silent: []string{"e"}, GivenUp: []string{"f"}}, got)
	host.failed = nil

	host.held["a"], host.names, host.overview = nil, []string{"a", "b"}, nil
	got, err = srv.copies(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, &api.Copies{Want: 2, Holders: []string{}, Silent: []string{}}, got, "two brokers are all that there are")

	none, err := srv.copies(t.Context(), job.New("j", spec, spec.Digest(), job.Stamp{At: 1}))
	require.NoError(t, err)
	require.Nil(t, none, "it has no output")
}
