package job

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/label"
)

// A job may run after a whole array (rule C4): in Spec.After "tiles[0-999]" stands for the jobs tiles.0 to tiles.999, so that each is named and
// none can be missed, whatever a broker knows of them. How they have ended is noted in one ending, as of a single predecessor, whose
// name no job can have.

const (
	// MaxArray is how many jobs of arrays one job may run after, and how many jobs an array has at most.
	MaxArray     = 100_000
	maxArrayText = 1 << 10 // bytes of one array in Spec.After
	maxIndex     = 1<<31 - 1
)

// Array names jobs whose IDs differ in a number only: "tiles[0-2,7]" those called tiles.0, tiles.1, tiles.2 and tiles.7, and
// "night.tiles[3,5].r2" those called night.tiles.3.r2 and night.tiles.5.r2.
type Array struct {
	Name   string // what stands before the dot and the number
	Suffix string // what stands behind the number: "", or a dot and more
	spans  []span // ascending and apart
	n      int
}

// span are indices that follow one another.
type span struct {
	from, to int
	before   int // how many indices come before it
}

// ParseIndices reads indices such as 0-999 or 1,3,7-9: the smaller one first and each once, at most [MaxArray].
func ParseIndices(text string) (out []int, ok bool) {
	spans, n, ok := parseSpans(text)
	if !ok {
		return nil, false
	}
	out = make([]int, 0, n)
	for _, s := range spans {
		for i := s.from; i <= s.to; i++ {
			out = append(out, i)
		}
	}
	return out, true
}

func parseSpans(text string) (out []span, n int, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err := strconv.ParseUint(low, 10, 31)
		to, err2 := strconv.ParseUint(high, 10, 31)
		if err != nil || err2 != nil || from > to || to-from >= MaxArray || len(out) > 0 && int(from) <= out[len(out)-1].to {
			return nil, 0, false
		}
		if last := len(out) - 1; last >= 0 && out[last].to+1 == int(from) {
			out[last].to = int(to)
		} else {
			out = append(out, span{int(from), int(to), n})
		}
		if n += int(to-from) + 1; n > MaxArray {
			return nil, 0, false
		}
	}
	return out, n, true
}

// Array returns the array that an entry of Spec.After stands for; ok is false where it is none, or not well formed.
func (id ID) Array() (a Array, ok bool) {
	before, rest, ok := strings.Cut(string(id), "[")
	indices, suffix, closed := strings.Cut(rest, "]")
	if !ok || !closed || len(id) > maxArrayText {
		return a, false
	}
	a = Array{Name: before, Suffix: suffix}
	if a.spans, a.n, ok = parseSpans(indices); !ok || suffix != "" && suffix[0] != '.' {
		return a, false
	}
	return a, label.ValidName(before) && label.ValidName(string(a.At(a.n-1)))
}

// IsArray reports whether an entry of Spec.After stands for an array, well formed or not.
func (id ID) IsArray() bool { return strings.IndexByte(string(id), '[') >= 0 }

// FormatIndices is the inverse of [ParseIndices]: ascending indices, in as few spans as may be.
func FormatIndices(indices []int) string {
	var spans []span
	for _, i := range indices {
		if last := len(spans) - 1; last >= 0 && spans[last].to+1 == i {
			spans[last].to = i
		} else {
			spans = append(spans, span{from: i, to: i})
		}
	}
	return string(appendSpans(nil, spans))
}

func appendSpans(b []byte, spans []span) []byte {
	for i, s := range spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(s.from), 10)
		if s.to > s.from {
			b = strconv.AppendInt(append(b, '-'), int64(s.to), 10)
		}
	}
	return b
}

// ID returns how the array stands in Spec.After: in the one way that brokers take.
func (a *Array) ID() ID {
	b := appendSpans(append([]byte(a.Name), '['), a.spans)
	return ID(append(append(b, ']'), a.Suffix...))
}

// Len returns how many jobs the array has.
func (a *Array) Len() int { return a.n }

// At returns the ID of one of the jobs, by its place from 0.
func (a *Array) At(i int) ID {
	at, found := slices.BinarySearchFunc(a.spans, i, func(s span, i int) int { return cmp.Compare(s.before, i) })
	if !found {
		at--
	}
	return a.element(a.spans[at].from + i - a.spans[at].before)
}

func (a *Array) element(index int) ID {
	return ID(a.Name + "." + strconv.Itoa(index) + a.Suffix)
}

// IDs yields the IDs of all jobs of the array.
func (a *Array) IDs() iter.Seq[ID] {
	return func(yield func(ID) bool) {
		for _, s := range a.spans {
			for i := s.from; i <= s.to; i++ {
				if !yield(a.element(i)) {
					return
				}
			}
		}
	}
}

// Base is what the IDs of the array's jobs have in common: see [ID.Bases].
func (a *Array) Base() Base { return Base{a.Name, a.Suffix} }

// HasIndex reports whether the job with this index is one of the array's.
func (a *Array) HasIndex(index int) bool {
	at, found := slices.BinarySearchFunc(a.spans, index, func(s span, i int) int { return cmp.Compare(s.from, i) })
	return found || at > 0 && index <= a.spans[at-1].to
}

// Base is what stands in an ID before and behind an index.
type Base struct{ Name, Suffix string }

// Bases yields in which ways a job may be one of an array's: for each number between dots, or at the end, what stands around it, and
// the number.
func (id ID) Bases() iter.Seq2[Base, int] {
	return func(yield func(Base, int) bool) {
		s := string(id)
		for at := strings.IndexByte(s, '.'); at > 0; {
			rest := s[at+1:]
			end := strings.IndexByte(rest, '.')
			number := rest
			if end >= 0 {
				number = rest[:end]
			}
			if i, ok := index(number); ok && !yield(Base{s[:at], rest[len(number):]}, i) {
				return
			}
			if end < 0 {
				return
			}
			at += 1 + end
		}
	}
}

// index reads an index as IDs have it.
func index(text string) (int, bool) {
	if text == "" || len(text) > 10 || text[0] == '0' && text != "0" {
		return 0, false
	}
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = 10*n + int(text[i]-'0')
	}
	return n, n <= maxIndex
}

// Arrays names jobs in as few entries of Spec.After as may be: those that make an array by one, and others by themselves. Of IDs that may be of several
// arrays the first number counts.
func Arrays(ids []ID) (out []ID) {
	indices, first := map[Base][]int{}, map[Base]bool{}
	for _, id := range ids {
		for base, i := range id.Bases() {
			indices[base] = append(indices[base], i)
			break
		}
	}
	for _, id := range ids {
		alone := true
		for base := range id.Bases() {
			if alone = len(indices[base]) == 1; !alone && !first[base] {
				first[base] = true
				out = append(out, arraysOf(base, indices[base])...)
			}
			break
		}
		if alone {
			out = append(out, id)
		}
	}
	return out
}

// arraysOf cuts indices into arrays whose texts are short enough.
func arraysOf(base Base, indices []int) (out []ID) {
	slices.Sort(indices)
	const most = len(",2147483647-2147483647") // bytes of a span
	a := Array{Name: base.Name, Suffix: base.Suffix}
	size := 0 // of the spans before the last one
	flush := func() {
		if a.n == 1 {
			out = append(out, a.At(0))
		} else if a.n > 1 {
			out = append(out, a.ID())
		}
		a.spans, a.n, size = nil, 0, 0
	}
	for _, i := range slices.Compact(indices) {
		last := len(a.spans) - 1
		if last >= 0 && a.spans[last].to+1 == i && a.n < MaxArray {
			a.spans[last].to = i
			a.n++
			continue
		}
		if last >= 0 {
			size += len(appendSpans(nil, a.spans[last:])) + len(",")
		}
		if len(base.Name)+len(base.Suffix)+len("[]")+size+most > maxArrayText || a.n == MaxArray {
			flush()
		}
		a.spans = append(a.spans, span{i, i, a.n})
		a.n++
	}
	flush()
	return out
}

// nameArrays writes each array in Spec.After in the one way, and one of a single job as that job, so that both spellings are the same job.
func (s *Spec) nameArrays() {
	if !slices.ContainsFunc(s.After, ID.IsArray) {
		return
	}
	s.After = slices.Clone(s.After)
	for i, id := range s.After {
		switch a, ok := id.Array(); {
		case ok && a.n == 1:
			s.After[i] = a.At(0)
		case ok:
			s.After[i] = a.ID()
		}
	}
}

// checkArray checks an entry of Spec.After that stands for an array, and returns how many jobs it has.
func checkArray(field string, id ID) (int, error) {
	a, ok := id.Array()
	if !ok {
		return 0, fieldError(field, "%.80q; an array is written as tiles[0-999] or tiles[1,3,7-9]: its ID and its indices, the smaller one first and each once, at most %d, in at most %d bytes", id, MaxArray, maxArrayText)
	}
	if a.n == 1 || a.ID() != id {
		return 0, fieldError(field, "%.80q; want %q", id, a.ID())
	}
	return a.n, nil
}
