package clock

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// hundred returns a vector of 100 actors with names like those of brokers. Each
// counter is n, except for the last, which is n+ahead.
func hundred(n, ahead uint64) Vector {
	var v Vector
	for i := range 100 {
		v.Set(Dot{Actor(fmt.Sprintf("broker-%03d~0a1b2c3d", i)), n})
	}
	v[99].Counter += ahead
	return v
}

// BenchmarkVectorCompare100 compares vectors that differ only in their last entry,
// so that the result is not known earlier.
func BenchmarkVectorCompare100(b *testing.B) {
	v, w := hundred(7, 0), hundred(7, 1)
	b.ReportAllocs()
	for b.Loop() {
		if v.Compare(w) != Before {
			b.Fatal("wrong order")
		}
	}
}

// BenchmarkVectorMerge100 merges a vector in which all 100 entries are news.
func BenchmarkVectorMerge100(b *testing.B) {
	v, w := hundred(1, 0), hundred(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range w {
			w[i].Counter++
		}
		if !v.Merge(w) {
			b.Fatal("no news")
		}
	}
}

// BenchmarkVectorMergeNew100 merges 100 actors into 100 others: the only case in which the vector
// must grow.
func BenchmarkVectorMergeNew100(b *testing.B) {
	v, w := hundred(1, 0), hundred(1, 0)
	for i := range w {
		w[i].Actor += "x"
	}
	b.ReportAllocs()
	for b.Loop() {
		u := v.Clone()
		if u.Merge(w); len(u) != 200 {
			b.Fatal("lost entries")
		}
	}
}

// TestNoAllocation checks that Compare, Covers, Get, Set and a Merge of known actors do not allocate.
func TestNoAllocation(t *testing.T) {
	v, w := hundred(7, 0), hundred(7, 1)
	u := hundred(1, 0)
	for name, f := range map[string]func(){
		"Compare": func() { v.Compare(w) },
		"Covers":  func() { w.Covers(v) },
		"Get":     func() { v.Get("broker-042~0a1b2c3d") },
		"Set":     func() { u.Set(u.Next("broker-042~0a1b2c3d")) },
		"Merge": func() {
			for i := range w {
				w[i].Counter++
			}
			u.Merge(w)
		},
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

// BenchmarkLineageCovers100 compares two clocks of 100 brokers with 4,096 starts each: one that lists the same
// starts, and one of a broker that has not heard of the last start of another.
func BenchmarkLineageCovers100(b *testing.B) {
	var l Lineage
	var v Tips
	for i := range 100 {
		name := fmt.Sprintf("broker-%03d", i)
		var last Tips
		for s := range 4096 {
			a := StartActor(name, Start(s+1)<<32)
			if err := l.Add(a, last); err != nil {
				b.Fatal(err)
			}
			last = Tips{{a, 7}}
		}
		v = append(v, last[0])
	}
	w := v.Clone()
	w[42] = Dot{StartActor("broker-042", 4095<<32), 7}
	for name, other := range map[string]Tips{"the same starts": v.Clone(), "one start behind": w} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !l.Covers(v, other) {
					b.Fatal("it is implied")
				}
			}
		})
	}
}
