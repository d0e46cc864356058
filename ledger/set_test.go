package ledger

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/clock"
)

// set is the smallest record that can go wrong: it holds the dot of every update
// that it has taken in. So a test can ask whether a ledger that covers a dot has
// what that dot brought.
type set struct {
	key    string
	dots   []clock.Dot // all, sorted
	born   []clock.Dot // of these, its creations
	closed bool        // a set that is closed is finished
	stub   bool        // only its dots are known
}

const setKind Kind = "set"

var setSchema = SchemaOf(setKind, decodeSet, mergeSets).WithStubs(&StubSchema{
	Is: func(r Record) bool { return r.(*set).stub },
	Of: func(r Record) Record {
		s := *r.(*set)
		s.stub = true
		return &s
	},
	Encode: Record.Encode,
	Decode: func(key string, b []byte) (Record, error) {
		s, err := decodeSet(b)
		if err == nil && s.key != key {
			err = errors.New("set: another key")
		}
		return s, err
	},
})

func setRef(key string) Ref { return Ref{setKind, key} }

func (s *set) Key() string                    { return s.key }
func (s *set) Finished() bool                 { return s.closed }
func (s *set) Writers() clock.Vector          { return clock.NewVector(s.dots...) }
func (s *set) Creations() iter.Seq[clock.Dot] { return slices.Values(s.born) }

func (s *set) Blobs() iter.Seq[string] { return slices.Values([]string{"blob of " + s.key}) }
func (s *set) has(d clock.Dot) bool    { return slices.Contains(s.dots, d) }

// String renders the record as it travels: "j1 a~1:1* b~1:2 closed"; a star marks a creation.
func (s *set) String() string {
	words := []string{s.key}
	for _, d := range s.dots {
		mark := ""
		if slices.Contains(s.born, d) {
			mark = "*"
		}
		words = append(words, d.String()+mark)
	}
	if s.closed {
		words = append(words, "closed")
	}
	if s.stub {
		words = append(words, "stub")
	}
	return strings.Join(words, " ")
}

func (s *set) Encode() []byte { return []byte(s.String()) }

func decodeSet(b []byte) (*set, error) {
	words := strings.Fields(string(b))
	if len(words) < 2 {
		return nil, errors.New("set: no key or no dots")
	}
	s := &set{key: words[0]}
	for _, w := range words[1:] {
		if w == "closed" || w == "stub" {
			s.closed, s.stub = true, w == "stub"
			continue
		}
		w, born := strings.CutSuffix(w, "*")
		actor, n, _ := strings.Cut(w, ":")
		counter, err := strconv.ParseUint(n, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("set: dot %q: %w", w, err)
		}
		d := clock.Dot{Actor: clock.Actor(actor), Counter: counter}
		s.dots = append(s.dots, d)
		if born {
			s.born = append(s.born, d)
		}
	}
	return s, nil
}

func mergeSets(a, b *set) (*set, bool) {
	m := &set{key: a.key, dots: slices.Clone(a.dots), closed: a.closed || b.closed, stub: a.stub && b.stub}
	for _, d := range b.dots {
		if !m.has(d) {
			m.dots = append(m.dots, d)
		}
	}
	slices.SortFunc(m.dots, clock.Dot.Compare)
	m.born = slices.Concat(a.born, b.born)
	if m.String() == a.String() {
		return a, false
	}
	return m, true
}

// touch makes a local update of a set, and returns its dot.
func touch(l *Ledger, key string, closes bool) (dot clock.Dot, err error) {
	_, err = l.Apply(setRef(key), func(d clock.Dot, old Record) Record {
		dot = d
		mine := &set{key: key, dots: []clock.Dot{d}, closed: closes}
		if old == nil {
			mine.born = mine.dots
			return mine
		}
		m, _ := mergeSets(old.(*set), mine)
		return m
	})
	return dot, err
}
