package job

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
)

// A stub is what stays of a finished job when its retention is over, as long as some member may not know of its end
// (rule M4): who made it, how it ended, and the dots by which others know what they lack. What it asked for, its
// attempts and its output are gone.
//
// A stub is a record of which less is known: merging it with a whole one gives a whole one. So to make one is no update, and
// nobody else hears of it: each broker does it by its own retention.

// IsStub reports whether only the stub of the job is known here.
func (r *Record) IsStub() bool { return r.Stub != "" }

// ToStub returns the stub of a finished record.
func (r *Record) ToStub() *Record {
	if r.IsStub() {
		return r
	}
	_, spec, _ := strings.Cut(r.key, "~")
	return r.stub(Digest(spec))
}

// stub returns the stub of a record whose spec has this digest, of which a stub keeps half.
func (r *Record) stub(spec Digest) *Record {
	s := &Record{ID: r.ID, Stub: spec, Origin: r.Created[0].Dot.Actor.Broker(), Dots: r.Dots, Seal: r.Seal, key: r.key}
	for _, c := range r.Created {
		s.Created = append(s.Created, Stamp{Dot: c.Dot, At: c.At})
	}
	for _, v := range r.Verdicts {
		s.Verdicts = append(s.Verdicts, v.bare(r.Dots))
	}
	return s
}

// validateStub checks what only a stub may look like.
func (r *Record) validateStub() error {
	switch half, err := hex.DecodeString(string(r.Stub)); {
	case err != nil || len(half) != sha256.Size/2 || hex.EncodeToString(half) != string(r.Stub):
		return fmt.Errorf("its digest %.80q is not half of one", r.Stub)
	case len(r.Verdicts) == 0:
		return errors.New("it is the stub of a job that has not ended")
	}
	return nil
}

// bare returns what a stub keeps of a verdict: when, by whom and how, and which broker the job ran on.
func (v Verdict) bare(dots clock.Vector) Verdict {
	b := Verdict{At: v.At, Dot: v.Dot, Outcome: v.Outcome}
	if v.Report != nil && dots.Has(v.Report.Dot) {
		b.Report = &Report{Dot: v.Report.Dot, Phase: Done, Result: &Result{Outcome: v.Outcome}}
	}
	return b
}

// IsBare reports whether no more is known of the verdict than a stub keeps: the attempt, the reason and the output
// are gone.
func (v *Verdict) IsBare() bool { return v.Report != nil && v.Report.Attempt.IsZero() }

// fuller reports whether v tells more than w, where both are the same verdict.
func (v Verdict) fuller(w Verdict) bool {
	whole := func(v Verdict) int {
		n := len(v.Reason)
		if v.Report != nil && !v.IsBare() {
			n += 1 << 20
		}
		return n
	}
	return whole(v) > whole(w)
}

// fuller reports whether s tells more than t, where both are the same creation.
func (s Stamp) fuller(t Stamp) bool { return len(s.Deps) > len(t.Deps) }

// fullest puts into a sorted list what another one tells more of. It reports whether there was any.
func fullest[T any](list *[]T, other []T, compare func(T, T) int, fuller func(T, T) bool) (changed bool) {
	for _, x := range other {
		if i, ok := slices.BinarySearchFunc(*list, x, compare); ok && fuller(x, (*list)[i]) {
			if !changed {
				*list = slices.Clone(*list)
			}
			(*list)[i], changed = x, true
		}
	}
	return changed
}

// stubFormat is the first byte of a stored stub.
const stubFormat = 1

// outcomes are numbered as they stand in stored stubs.
var outcomes = []Outcome{Succeeded, Failed, Cancelled, Expired}

// EncodeStub returns a stub as it is stored under its key, which it leaves out. Beside its key and the actors that wrote it,
// the usual one takes about 40 bytes.
func (r *Record) EncodeStub() []byte {
	b := []byte{stubFormat}
	dot := func(d clock.Dot) {
		i := slices.IndexFunc(r.Dots, func(x clock.Dot) bool { return x.Actor == d.Actor })
		b = binary.AppendUvarint(b, uint64(i))
		b = binary.AppendUvarint(b, d.Counter)
	}
	at := func(t clock.Hybrid) { b = binary.AppendVarint(b, int64(t-r.Created[0].At)) }
	b = binary.AppendUvarint(b, uint64(len(r.Dots)))
	for _, d := range r.Dots {
		b = binary.AppendUvarint(b, uint64(len(d.Actor)))
		b = append(b, d.Actor...)
		b = binary.AppendUvarint(b, d.Counter)
	}
	b = binary.AppendUvarint(b, uint64(r.Created[0].At))
	b = binary.AppendUvarint(b, uint64(len(r.Created)))
	for _, c := range r.Created {
		dot(c.Dot)
		at(c.At)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Verdicts)))
	for _, v := range r.Verdicts {
		dot(v.Dot)
		at(v.At)
		kind := uint64(2 * slices.Index(outcomes, v.Outcome))
		if v.Report == nil {
			b = binary.AppendUvarint(b, kind)
			continue
		}
		b = binary.AppendUvarint(b, kind+1)
		dot(v.Report.Dot)
	}
	if s := r.Seal; s != nil {
		dot(s.Dot)
		dot(s.Verdict)
		b = binary.AppendUvarint(b, s.Closes)
		if s.Again > 0 {
			b = binary.AppendUvarint(b, s.Again)
		}
	}
	return b
}

var errStub = errors.New("it is damaged")

// DecodeStub reads what [Record.EncodeStub] has made of the stub with this key.
func DecodeStub(key string, b []byte) (*Record, error) {
	id, spec, _ := strings.Cut(key, "~")
	r := &Record{ID: ID(id), Stub: Digest(spec), key: key}
	in := stubReader{b: b}
	if in.number() != stubFormat {
		in.bad = true
	}
	r.Dots = make(clock.Vector, in.length(2))
	for i := range r.Dots {
		r.Dots[i] = clock.Dot{Actor: clock.Actor(in.text()), Counter: in.number()}
	}
	dot := func() clock.Dot {
		i := in.number()
		if i >= uint64(len(r.Dots)) {
			in.bad = true
			return clock.Dot{}
		}
		return clock.Dot{Actor: r.Dots[i].Actor, Counter: in.number()}
	}
	first := clock.Hybrid(in.number())
	at := func() clock.Hybrid { return first + clock.Hybrid(in.signed()) }
	r.Created = make([]Stamp, in.length(3))
	for i := range r.Created {
		r.Created[i] = Stamp{Dot: dot(), At: at()}
	}
	r.Verdicts = make([]Verdict, in.length(4))
	for i := range r.Verdicts {
		v := Verdict{Dot: dot(), At: at()}
		kind := in.number()
		if kind/2 >= uint64(len(outcomes)) {
			in.bad = true
			break
		}
		v.Outcome = outcomes[kind/2]
		if kind%2 == 1 {
			v.Report = &Report{Dot: dot(), Phase: Done, Result: &Result{Outcome: v.Outcome}}
		}
		r.Verdicts[i] = v
	}
	if !in.bad && len(in.b) > 0 {
		r.Seal = &Seal{Dot: dot(), Verdict: dot(), Closes: in.number()}
		if len(in.b) > 0 {
			r.Seal.Again = in.number()
		}
	}
	err := errStub
	if !in.bad && len(in.b) == 0 {
		if len(r.Created) > 0 {
			r.Origin = r.Created[0].Dot.Actor.Broker()
		}
		err = r.validate(0)
	}
	if err != nil {
		return nil, fmt.Errorf("the stub of job %.64q: %w", key, err)
	}
	return r, nil
}

// stubReader reads a stored stub. Once bad is set it stays set, and all that is read then is empty.
type stubReader struct {
	b   []byte
	bad bool
}

func (s *stubReader) number() uint64 {
	n, size := binary.Uvarint(s.b)
	if s.bad = s.bad || size <= 0; s.bad {
		return 0
	}
	s.b = s.b[size:]
	return n
}

func (s *stubReader) signed() int64 {
	n, size := binary.Varint(s.b)
	if s.bad = s.bad || size <= 0; s.bad {
		return 0
	}
	s.b = s.b[size:]
	return n
}

// length reads how many elements follow, each of size bytes at least.
func (s *stubReader) length(size int) int {
	n := s.number()
	if s.bad = s.bad || n > uint64(len(s.b)/size); s.bad {
		return 0
	}
	return int(n)
}

func (s *stubReader) text() string {
	n := s.length(1)
	out := string(s.b[:n])
	s.b = s.b[n:]
	return out
}
