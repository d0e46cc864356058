package ledger

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

// Issue 2 asks: Delta of 100 changed records out of 1,000,000 within twice of the
// same out of 1,000.
func BenchmarkDelta100of1000(b *testing.B)    { benchmarkDelta(b, 1000) }
func BenchmarkDelta100of1000000(b *testing.B) { benchmarkDelta(b, 1_000_000) }

func benchmarkDelta(b *testing.B, n int) {
	r, since := changed(b, n)
	runtime.GC() // of what filling it has left behind: not the delta's work
	b.ReportAllocs()
	for b.Loop() {
		if d, ok, err := r.Delta(since, 1<<20); len(d.Entries) != 100 || !ok || err != nil {
			b.Fatal(len(d.Entries), ok, err)
		}
	}
}

// BenchmarkApply updates 1,000 records in turn; Take ends a batch every 64, as a
// busy loop's commits do.
func BenchmarkApply(b *testing.B) {
	r := newReplica("a")
	refs := make([]Ref, 1000)
	for i := range refs {
		refs[i] = setRef(fmt.Sprintf("j%07d", i))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ref := refs[i%len(refs)]
		if _, err := r.Apply(ref, func(d clock.Dot, _ Record) Record { return &set{key: ref.Key, dots: []clock.Dot{d}} }); err != nil {
			b.Fatal(err)
		}
		if i++; i%64 == 0 {
			r.Stable(r.Take())
		}
	}
}

// BenchmarkMerge joins a page of 100 records that bring news.
func BenchmarkMerge(b *testing.B) {
	r, since := changed(b, 1000)
	d, _, err := r.Delta(since, 1<<20)
	must(err)
	for i, e := range d.Entries {
		d.Entries[i].Record, err = r.Decode(e.Kind, e.Encoded)
		must(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		to := New("b~1", story.Disk{}, setSchema)
		if m, err := to.Merge(d); len(m.News) != 100 || err != nil {
			b.Fatal(len(m.News), err)
		}
	}
}
