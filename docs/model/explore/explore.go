// Package explore searches every state that a small model of the protocol can reach, breadth first, so that the
// counter-example it prints is a shortest one. A model is a start and a function that lists the steps from a state;
// both are ordinary Go. docs/model/README.md says which models there are and how to read what they print; their rules
// are numbered in docs/protocol.md.
//
// Of a state that was visited only a hash of 128 bits is kept (hash compaction, Wolper and Leroy 1993), with the
// number of the state that it was reached from: that two of a hundred million states share one has a probability below
// 10^-22. The story of a counter-example is found by walking the same way again.
package explore

import (
	"flag"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Model is a system to search.
type Model[S comparable] struct {
	Start S
	// Next calls step for each state that one step leads to, with what happens in it, in words. It does so in the
	// same order each time.
	Next func(s S, step func(t S, what string))
	// Broken says what is wrong with a state, or nothing.
	Broken func(s S) string
	// Twin, where it is not nil, is a state from which the same follows but for names (symmetry reduction): one of the two is
	// searched. It is its own inverse.
	Twin func(s S) S
}

// Result is what a search has found.
type Result struct {
	States   int      // different states that were reached
	Depth    int      // steps to the farthest of them
	Complete bool     // there are no others
	Broken   string   // what is wrong with the last state of Story; empty when nothing is
	Story    []string // the steps to it
	Took     time.Duration
}

type key [2]uint64

func least(a, b key) key {
	if slices.Compare(a[:], b[:]) < 0 {
		return a
	}
	return b
}

// visited is every state that was reached, by the order in which it was.
type visited struct {
	number map[key]uint32
	from   []uint32 // the state before it
}

// Search visits the states of a model until one is broken or there are no more, but not more than most of them.
func Search[S comparable](m Model[S], most int) Result {
	began := time.Now()
	one, two := maphash.MakeSeed(), maphash.MakeSeed()
	hashOf := func(s S) key { return key{maphash.Comparable(one, s), maphash.Comparable(two, s)} }
	hash := hashOf
	if m.Twin != nil {
		hash = func(s S) key { return least(hashOf(s), hashOf(m.Twin(s))) }
	}

	v := visited{number: map[key]uint32{hash(m.Start): 0}, from: []uint32{0}}
	r := Result{Broken: m.Broken(m.Start), Complete: true}
	level, next := []S{m.Start}, []S(nil)
	for number := uint32(0); len(level) > 0 && r.Broken == "" && r.Complete; level, next = next, level[:0] {
		for _, s := range level {
			m.Next(s, func(t S, _ string) {
				if r.Broken != "" || !r.Complete {
					return
				}
				k := hash(t)
				if _, known := v.number[k]; known {
					return
				}
				if len(v.from) == most {
					r.Complete = false
					return
				}
				v.number[k] = uint32(len(v.from))
				v.from = append(v.from, number)
				next = append(next, t)
				r.Broken = m.Broken(t)
			})
			if number++; r.Broken != "" || !r.Complete {
				break
			}
		}
		if len(next) > 0 {
			r.Depth++
		}
	}
	if r.Broken != "" {
		r.Complete, r.Story = false, retell(m, v, hash)
	}
	r.States, r.Took = len(v.from), time.Since(began)
	return r
}

// retell walks to the last state that was reached, and says what happens on the way.
func retell[S comparable](m Model[S], v visited, hash func(S) key) (story []string) {
	var way []uint32
	for n := uint32(len(v.from) - 1); n != 0; n = v.from[n] {
		way = append(way, n)
	}
	at := m.Start
	for i := len(way) - 1; i >= 0; i-- {
		var then S
		var said string
		m.Next(at, func(t S, what string) {
			if n, known := v.number[hash(t)]; said == "" && known && n == way[i] {
				then, said = t, what
			}
		})
		at, story = then, append(story, said)
	}
	return story
}

// String says in one line what was found.
func (r Result) String() string {
	found := "holds"
	switch {
	case r.Broken != "":
		found = fmt.Sprintf("broken in %d steps: %s", len(r.Story), r.Broken)
	case !r.Complete:
		found = "holds as far as it was searched (not complete)"
	}
	return fmt.Sprintf("%s; %s states, %d deep, %.1f s", found, thousands(r.States), r.Depth, r.Took.Seconds())
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Case is one variant of a model: the rule as it stands, or without something that it needs.
type Case struct {
	Name   string
	Breaks string // what its counter-example must begin with; empty where the rule holds
	Most   int    // states to visit at most, when no flag says otherwise
	Long   bool   // it takes more than a minute: searched only when it is named, or with -long
	Search func(most int) Result
}

// Variants makes cases of a model's rule, which is searched through at most so many states: those that are always searched, and
// those that take long. Breaks is what the counter-example must begin with, empty where the rule holds.
func Variants[R any](most int, search func(R, int) Result) (of, long func(name, breaks string, r R) Case) {
	of = func(name, breaks string, r R) Case {
		return Case{Name: name, Breaks: breaks, Most: most, Search: func(most int) Result { return search(r, most) }}
	}
	long = func(name, breaks string, r R) Case {
		c := of(name, breaks, r)
		c.Long = true
		return c
	}
	return of, long
}

// Agrees reports whether a search of this case found what is expected of it.
func (c Case) Agrees(r Result) bool {
	if c.Breaks == "" {
		return r.Broken == ""
	}
	return r.Broken != "" && strings.HasPrefix(r.Broken, c.Breaks)
}

// Main is a model's program: it searches the cases that the arguments name, or all, says of each what it found, and
// ends with 1 when that is not what is expected.
func Main(cases []Case) {
	long := flag.Bool("long", false, "search the cases that take minutes, too")
	most := flag.Int("most", 0, "visit at most so many states (about 50 bytes each)")
	story := flag.Bool("story", false, "print the steps of each counter-example")
	flag.Parse()
	missing := map[string]bool{}
	for _, name := range flag.Args() {
		missing[name] = true
	}
	ok := true
	for _, c := range cases {
		named := missing[c.Name]
		delete(missing, c.Name)
		if flag.NArg() > 0 && !named || flag.NArg() == 0 && c.Long && !*long {
			continue
		}
		bound := c.Most
		if *most > 0 {
			bound = *most
		}
		r := c.Search(bound)
		ok = c.tell(os.Stdout, r, *story) && ok
	}
	for name := range missing {
		fmt.Fprintf(os.Stderr, "there is no case %q\n", name)
		ok = false
	}
	if !ok {
		os.Exit(1)
	}
}

func (c Case) tell(w io.Writer, r Result, story bool) bool {
	verdict := ""
	if !c.Agrees(r) {
		verdict = "  NOT AS EXPECTED"
	}
	fmt.Fprintf(w, "%-26s %s%s\n", c.Name, r, verdict)
	if story || verdict != "" {
		for i, what := range r.Story {
			fmt.Fprintf(w, "    %2d  %s\n", i+1, what)
		}
	}
	return verdict == ""
}
