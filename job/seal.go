package job

import (
	"cmp"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// Seal says that a verdict was stable at a broker as that took in another one (rule F2). The sealed verdict
// decides, whatever the others' times: what was shown as firm does not change, even if a broker whose disk was
// restored from a copy ends the job once more, with a clock that is behind.
type Seal struct {
	Again   uint64    `codec:"again,omitempty"` // how often it was written again, since nobody's clock would ever cover its update (rule L5)
	Closes  uint64    `codec:"closes"`          // of members that its writer knew of
	Dot     clock.Dot `codec:"dot"`             // Dot.Actor is the writer
	Verdict clock.Dot `codec:"verdict"`         // it is in Record.Verdicts
}

// SetSeal seals a verdict, unless the record has a higher seal. One of the same verdict it takes the place of, even if
// that knew of more closes. It may only be called inside [Record.With], with the dot of that change.
func (r *Record) SetSeal(v Verdict, closes uint64, dot clock.Dot) {
	own := &Record{Verdicts: []Verdict{v}, Seal: &Seal{Closes: closes, Dot: dot, Verdict: v.Dot}}
	if s := r.Seal; s != nil && s.Verdict == v.Dot && s.Closes >= closes && s.Again < clock.MaxCounter {
		own.Seal.Closes, own.Seal.Again = s.Closes, s.Again+1
	}
	s, _ := mergeSeals(r, own)
	r.Verdicts, _ = mergeVerdicts(r.Verdicts, own.Verdicts, s)
	r.Seal = s
}

// mergeSeals returns the higher seal of two records, and whether that is b's. Of two seals the one counts whose
// writer knew of more closes of members, since another member may have closed that one; then the one of the
// earlier verdict, the one that was written again more often, and then the lower dot.
func mergeSeals(a, b *Record) (*Seal, bool) {
	switch {
	case b.Seal == nil:
		return a.Seal, false
	case a.Seal == nil:
		return b.Seal, true
	}
	x, y := a.Seal, b.Seal
	higher := cmp.Or(cmp.Compare(y.Closes, x.Closes), a.sealed().compare(*b.sealed()), cmp.Compare(y.Again, x.Again), x.Dot.Compare(y.Dot)) > 0
	if higher {
		return y, true
	}
	return x, false
}

// mergeVerdicts returns the maxVerdicts earliest of two lists, and the sealed one beside them, and whether the
// result differs from a. The earliest of all that ever were can be told from the result, so that it is a join.
func mergeVerdicts(a, b []Verdict, s *Seal) (out []Verdict, changed bool) {
	all, changed := canon.Smallest(a, b, Verdict.compare, 2*(maxVerdicts+1))
	if !changed && len(all) <= maxVerdicts {
		return a, false
	}
	if out = keepVerdicts(all, s); slices.EqualFunc(a, out, func(x, y Verdict) bool { return x.compare(y) == 0 }) {
		return a, false
	}
	return out, true
}

// keepVerdicts keeps the earliest verdicts of a sorted list, and the sealed one.
func keepVerdicts(all []Verdict, s *Seal) []Verdict {
	out := all[:min(len(all), maxVerdicts):min(len(all), maxVerdicts)]
	for _, v := range all[len(out):] {
		if s != nil && v.Dot == s.Verdict {
			out = append(out, v)
		}
	}
	return out
}

// sealed returns the verdict that is sealed, or nil.
func (r *Record) sealed() *Verdict {
	if r.Seal == nil {
		return nil
	}
	i := slices.IndexFunc(r.Verdicts, func(v Verdict) bool { return v.Dot == r.Seal.Verdict })
	if i < 0 {
		return nil
	}
	return &r.Verdicts[i]
}

// valid reports whether a record's seal is consistent with the rest of it: its verdict is there, beside at most
// maxVerdicts others.
func (s *Seal) valid(r *Record) bool {
	if s == nil {
		return len(r.Verdicts) <= maxVerdicts
	}
	v := r.sealed()
	return v != nil && !s.Dot.IsZero() && r.Dots.Has(s.Dot) && s.Closes <= clock.MaxCounter && s.Again <= clock.MaxCounter &&
		(len(r.Verdicts) <= maxVerdicts || len(r.Verdicts) == maxVerdicts+1 && r.Verdicts[maxVerdicts].Dot == s.Verdict)
}
