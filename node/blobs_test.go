package node

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/register"
	"github.com/urban-compute/ucp/setting"
	"github.com/urban-compute/ucp/store"
)

// storeOfEachKind holds a job with a module and an output, an emergency, and a setting, as a
// ledger commits them, beside a blob that nothing names.
func storeOfEachKind(t *testing.T) (st *store.Store, module, output, orphan job.Digest) {
	st, err := store.Open(store.Options{Dir: "/data", FS: vfs.NewMem(), Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	put := func(text string) job.Digest {
		d, _, err := st.Blobs().Put(t.Context(), strings.NewReader(text), job.MaxBlob)
		require.NoError(t, err)
		return job.Digest(d)
	}
	module, output, orphan = put("module"), put("output"), put("orphan")

	l := ledger.New("a~1", st, kind.Schemas[kind.Job], kind.Schemas[kind.Setting], kind.Schemas[kind.Emergency])
	spec := job.Spec{Module: module, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	_, err = l.Apply(kind.JobRef(job.Key("j", spec.Digest())), func(dot clock.Dot, _ ledger.Record) ledger.Record {
		return job.New("j", spec, spec.Digest(), job.Stamp{Dot: dot, At: 1})
	})
	require.NoError(t, err)
	_, err = l.Apply(kind.JobRef(job.Key("j", spec.Digest())), func(dot clock.Dot, old ledger.Record) ledger.Record {
		return old.(*job.Record).With(dot, func(r *job.Record) {
			result := &job.Result{Outcome: job.Succeeded, Stdout: &job.Blob{Digest: output, Size: 6}}
			r.SetReport(job.Report{Attempt: r.Place.Attempt, Dot: dot, At: 2, Phase: job.Done, Result: result})
		})
	})
	require.NoError(t, err)
	_, err = l.Apply(kind.SettingRef("strategy"), func(dot clock.Dot, _ ledger.Record) ledger.Record {
		return &setting.Setting{Name: "strategy", Value: "fcfs", Seq: 1, At: 1, By: dot.Actor, Register: register.New(dot)}
	})
	require.NoError(t, err)
	d, err := emergency.ParseDeclaration([]byte(`{"id":"e1","type":"flood","level":"high"}`))
	require.NoError(t, err)
	_, err = l.Apply(ledger.Ref{Kind: kind.Emergency, Key: "e1"}, func(dot clock.Dot, _ ledger.Record) ledger.Record {
		r, err := d.Declare(clock.HybridAt(time.Unix(1_700_000_000, 0)), "x")
		require.NoError(t, err)
		r.Version, r.Created, r.Dots = emergency.Version{}.Next(1, dot.Actor), []clock.Dot{dot}, clock.NewVector(dot)
		return r
	})
	require.NoError(t, err)
	var b store.Batch
	require.NoError(t, write(st, &b, l.Take()))
	return st, module, output, orphan
}

// A blob is kept when any record names it, and removed when none does, whatever kinds of records
// the store holds (rule L8). A sweep that took every record for a job's removed nothing ever again
// once an emergency or a setting was there.
func TestSweepReadsEveryKindOfRecord(t *testing.T) {
	st, module, output, orphan := storeOfEachKind(t)
	named, err := namedBlobs(st)
	require.NoError(t, err)
	require.Equal(t, map[job.Digest]bool{module: true, output: true}, named)
	removed := 0
	for range 3 { // what was just uploaded is kept for a while
		n, _, err := st.Blobs().Sweep(t.Context(), func(d string) bool { return named[job.Digest(d)] })
		require.NoError(t, err)
		removed += n
	}
	require.Equal(t, 1, removed)
	require.NoError(t, st.Blobs().Sound(t.Context(), string(module)))
	require.NoError(t, st.Blobs().Sound(t.Context(), string(output)))
	require.ErrorIs(t, st.Blobs().Sound(t.Context(), string(orphan)), store.ErrNotFound)
}

// A record that can't be read may name any blob: nothing is removed then. That is so for one in
// quarantine, and for one of a kind that only a newer version knows.
func TestSweepKeepsWhatUnreadableRecordsMayName(t *testing.T) {
	for name, key := range map[string]string{"quarantined": "q" + "job\x00j2~x", "of a newer version": "rdance\x00waltz"} {
		st, _, _, _ := storeOfEachKind(t)
		var b store.Batch
		b.Set([]byte(key), []byte{0xc1})
		require.NoError(t, st.Commit(&b))
		_, err := namedBlobs(st)
		require.ErrorIs(t, err, errMayName, name)
	}
}

// The digest of a store describes records of every kind.
func TestDigestDescribesEveryKindOfRecord(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/jobs", `{"command":"true","constraints":["nowhere"]}`},
		{"PUT", "/v1/strategy", `{"strategy":"fcfs","cluster":true}`},
		{"POST", "/v1/emergencies", `{"id":"e1","type":"flood","level":"high"}`},
	} {
		status, body := request(t, n, c.method, c.path, []byte(c.body))
		require.Equal(t, 2, status/100, "%s", body)
	}
	_, body := request(t, n, "GET", "/broker/digest?records=1", nil)
	var d api.Digest
	require.NoError(t, json.Unmarshal([]byte(body), &d))
	require.Equal(t, 3, d.Records, "rows of starts are left out: brokers trim them at different times")
	kinds := map[string]bool{}
	for _, r := range d.List {
		kinds[r.Kind] = true
		require.Len(t, r.Created, 1, r.Kind)
	}
	require.Equal(t, map[string]bool{"job": true, "setting": true, "emergency": true}, kinds)
}

// Two sweeps are the grace apart, and five minutes where the disk is near its reserve.
func TestWhenBlobsAreSwept(t *testing.T) {
	scarce := false
	b := blobs{grace: time.Hour, scarce: func() bool { return scarce }}
	require.Equal(t, 5*time.Minute, b.look())
	require.False(t, b.due(55*time.Minute))
	require.True(t, b.due(time.Hour-time.Millisecond))
	scarce = true
	require.True(t, b.due(5*time.Minute-time.Millisecond))
	require.False(t, b.due(0))
	short := blobs{grace: time.Second, scarce: b.scarce}
	require.Equal(t, time.Second, short.look())
	require.True(t, short.due(time.Second))
}

// The disk is near its reserve when less than twice as much is free.
func TestDiskIsScarce(t *testing.T) {
	st, err := store.Open(store.Options{Dir: t.TempDir(), Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	defer func() { require.NoError(t, st.Close()) }()
	free, err := (&diskReserve{store: st}).free()
	require.NoError(t, err)
	for reserve, want := range map[int64]bool{-1: false, 0: false, 1: false, int64(free): true} {
		require.Equal(t, want, (&diskReserve{store: st, reserve: reserve}).scarce(), "%d of %d", reserve, free)
	}
}
