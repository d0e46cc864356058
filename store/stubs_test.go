package store

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// A member is absent for weeks, and 20,000 jobs that have ended are held back (1,000,000 with UCP_FIGURES set): none of them is
// in memory, and each takes at most 64 bytes of disk beside its ID, its digest and the actors that wrote it (rule M4).
//
//	UCP_FIGURES=1 go test ./store -run TestHeldBackJobsCostLittle -v -timeout 0
func TestHeldBackJobsCostLittle(t *testing.T) {
	jobs := 20_000
	if os.Getenv("UCP_FIGURES") != "" {
		jobs = 1_000_000
	}
	st, err := Open(Options{Dir: t.TempDir(), Fatal: func(err error) { panic(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	const owner, executor = clock.Actor("fire-station-3~0b1c2d3e"), clock.Actor("van-12~4f5a6b7c")
	l := ledger.New(owner, st, kind.Schemas[kind.Job])
	commit := func() {
		b := l.Take()
		var out Batch
		for _, op := range b.Ops() {
			if op.Value == nil {
				out.Delete(op.Key)
			} else {
				out.Set(op.Key, op.Value)
			}
		}
		require.NoError(t, st.Commit(&out))
		l.Stable(b)
	}
	beside := 0 // the IDs, digests and actors
	var refs []ledger.Ref
	end := func(i int) {
		spec := job.Spec{Command: "true", Args: []string{fmt.Sprint(i)}, Priority: job.Priority{User: job.DefaultUser}}
		require.NoError(t, spec.Complete())
		id, digest := job.ID(fmt.Sprintf("0198c2%010x", i)), spec.Digest()
		ref := kind.JobRef(job.Key(id, digest))
		at := clock.Hybrid(1_795_000_000_000+250*i) << 16
		_, err := l.Apply(ref, func(dot clock.Dot, _ ledger.Record) ledger.Record {
			return job.New(id, spec, digest, job.Stamp{Dot: dot, At: at})
		})
		require.NoError(t, err)
		_, err = l.Apply(ref, func(dot clock.Dot, old ledger.Record) ledger.Record {
			r := old.(*job.Record)
			ran := clock.Dot{Actor: executor, Counter: uint64(3*i + 3)}
			return r.With(dot, func(r *job.Record) {
				r.Dots.Set(ran)
				rep := job.Report{Dot: ran, At: at + 700<<16, Phase: job.Done, Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: 1}, Result: &job.Result{Outcome: job.Succeeded}}
				r.SetReport(rep)
				r.AddVerdict(job.Verdict{At: at + 800<<16, Dot: dot, Outcome: job.Succeeded, Report: &rep})
			})
		})
		require.NoError(t, err)
		beside += len(id) + len(digest)/4 + len(owner) + len(executor) // half of the digest names a job: 16 bytes
		refs = append(refs, ref)
	}
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for i := range jobs {
		end(i)
		if len(refs) < 500 {
			continue
		}
		commit()
		for _, ref := range refs {
			require.NoError(t, l.Reduce(ref))
		}
		commit()
		refs = refs[:0]
		if i == jobs/4-1 {
			before = held()
		}
	}
	after := held()
	require.Equal(t, jobs, l.Stubs())
	require.NoError(t, st.db.Flush())
	require.NoError(t, st.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false))
	size := st.db.Metrics().Total().TablesSize
	each := (float64(size) - float64(beside)) / float64(jobs)
	t.Logf("%d jobs held back: %.1f bytes of disk each beside ID, digest and actors, %.1f in all; memory %.1f MiB with a quarter of them, %.1f MiB with all",
		jobs, each, float64(size)/float64(jobs), float64(before)/(1<<20), float64(after)/(1<<20))
	require.LessOrEqual(t, each, 64.0)
	require.Less(t, int64(after)-int64(before), int64(8<<20), "nothing of them is in memory")
}
