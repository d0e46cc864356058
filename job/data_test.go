package job

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// A job names the data that it reads, and waits until its record notes what that stands for (rule D6).
func TestDataIsRead(t *testing.T) {
	csv, dir := Digest(strings.Repeat("c", 64)), Digest(strings.Repeat("d", 64))
	s := Spec{Command: "sh", Stdin: "data:n/x", Inputs: map[string]string{"in": "data:n/x", "maps/": "data:maps/d7"}}
	require.NoError(t, s.Complete())
	require.Empty(t, s.After, "it runs after no job")
	require.Equal(t, []string{"maps/d7", "n/x"}, s.Data())
	require.Empty(t, s.Blobs())
	r := New("j", s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1})
	require.Equal(t, []string{"maps/d7", "n/x"}, r.WaitsForData())
	require.Empty(t, r.Waits())

	of := func(name, part string, d Digest, at clock.Hybrid) Ending {
		return Ending{Job: DataID(name), At: at, By: "a~1", Outcome: Succeeded, Read: map[string]Digest{part: d}}
	}
	r = r.With(clock.Dot{Actor: "b~1", Counter: 2}, func(r *Record) { r.SetEnding(of("n/x", DataFile, csv, 7)) })
	require.Equal(t, []string{"maps/d7"}, r.WaitsForData())
	r = r.With(clock.Dot{Actor: "b~1", Counter: 3}, func(r *Record) { r.SetEnding(of("maps/d7", DataDirectory, dir, 8)) })
	require.Empty(t, r.WaitsForData())
	_, barred := r.Barred()
	require.False(t, barred)
	require.Equal(t, []Digest{TreeOf(dir), csv}, r.Needs())
	got := r.Resolved()
	require.Equal(t, csv, got.Stdin)
	require.Equal(t, map[string]string{"in": string(csv), "maps/": string(dir)}, got.Inputs)
	require.Equal(t, []Reading{{"data:maps/d7", 8, "a~1"}, {"data:n/x", 7, "a~1"}}, r.Readings())
	again, err := DecodeRecord(r.Encode())
	require.NoError(t, err)
	require.Equal(t, r.Ended, again.Ended)

	// Of two owners that have noted two versions the earlier one counts, everywhere.
	other := r.With(clock.Dot{Actor: "c~1", Counter: 1}, func(r *Record) { r.SetEnding(of("n/x", DataFile, dir, 6)) })
	for _, both := range []*Record{join(r, other), join(other, r)} {
		require.Equal(t, dir, both.Resolved().Stdin)
	}

	// A directory is read as one, and a file is none.
	for _, c := range []struct {
		path, part, want string
	}{
		{"in", DataDirectory, "it reads data n/x as a file, and that is a directory: write a slash at the end of the input's path"},
		{"in/", DataFile, "it reads data n/x as a directory, and that is a file: leave out the slash at the end of the input's path"},
	} {
		s := Spec{Command: "sh", Inputs: map[string]string{c.path: "data:n/x"}}
		require.NoError(t, s.Complete())
		r := New("j", s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1}).
			With(clock.Dot{Actor: "b~1", Counter: 2}, func(r *Record) { r.SetEnding(of("n/x", c.part, csv, 7)) })
		from, lacks := r.Lacking()
		require.True(t, lacks)
		require.Equal(t, c.want, from.WhyLacking(nil))
	}
}

// A prefix stands for a directory of all that is below it: its ending lists the names, and one of two endings counts, whole (rule D6).
func TestAPrefixIsRead(t *testing.T) {
	csv, dir := Digest(strings.Repeat("c", 64)), Digest(strings.Repeat("d", 64))
	s := Spec{Command: "sh", Inputs: map[string]string{"all/": "data:sensors/", "one": "data:sensors/a"}}
	require.NoError(t, s.Complete())
	require.Equal(t, []string{"sensors/", "sensors/a"}, s.Data())
	r := New("j", s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1})
	require.Equal(t, []string{"sensors/", "sensors/a"}, r.WaitsForData())
	below := func(at clock.Hybrid, read map[string]Digest) Ending {
		return Ending{Job: "data:sensors/", At: at, By: "a~1", Outcome: Succeeded, Read: read}
	}
	r = r.With(clock.Dot{Actor: "b~1", Counter: 2}, func(r *Record) {
		r.SetEnding(below(7, map[string]Digest{"a": csv, "maps/d7/": dir}))
		r.SetEnding(Ending{Job: "data:sensors/a", At: 7, By: "a~1", Outcome: Succeeded, Read: map[string]Digest{DataFile: csv}})
	})
	require.Empty(t, r.WaitsForData())
	_, lacks := r.Lacking()
	require.False(t, lacks)
	require.Equal(t, []Digest{csv, TreeOf(dir)}, r.Needs())
	require.Equal(t, map[string]string{"all/a": string(csv), "all/maps/d7/": string(dir), "one": string(csv)}, r.Resolved().Inputs)
	again, err := DecodeRecord(r.Encode())
	require.NoError(t, err)
	require.Equal(t, r.Ended, again.Ended)

	other := r.With(clock.Dot{Actor: "c~1", Counter: 1}, func(r *Record) { r.SetEnding(below(6, map[string]Digest{"b": dir})) })
	for _, both := range []*Record{join(r, other), join(other, r)} {
		require.Equal(t, map[string]string{"all/b": string(dir), "one": string(csv)}, both.Resolved().Inputs)
	}
	bad := Spec{Command: "sh", Inputs: map[string]string{"all": "data:sensors/"}}
	require.ErrorContains(t, bad.Complete(), "is a directory of all data below it, and this is a file")
	for what, read := range map[string]map[string]Digest{"nothing": nil, "no name": {"../x": csv}, "no blob": {"x": "y"}} {
		r := r.With(clock.Dot{Actor: "c~1", Counter: 1}, func(r *Record) { r.Ended = []Ending{below(1, read)} })
		_, err := DecodeRecord(r.Encode())
		require.Error(t, err, what)
	}
}

// What is no name of data is refused, in a spec and in what a peer has noted.
func TestDataNamesAreChecked(t *testing.T) {
	for _, text := range []string{"data:", "data:/x", "data:x/", "data:a b", "data:../x", "data:" + strings.Repeat("a/", 16) + "a", "data:" + strings.Repeat("x", 65)} {
		for _, s := range []Spec{{Command: "sh", Stdin: Digest(text)}, {Command: "sh", Inputs: map[string]string{"x": text}}} {
			require.ErrorContains(t, s.Complete(), "data:", text)
		}
	}
	many := Spec{Command: "sh", Inputs: map[string]string{}}
	for i := range maxAfter + 1 {
		many.Inputs[string(rune('a'+i))] = "data:n/" + string(rune('a'+i))
	}
	require.ErrorContains(t, many.Complete(), "17 names of data")

	s := Spec{Command: "sh", Stdin: "data:n/x"}
	require.NoError(t, s.Complete())
	for what, e := range map[string]Ending{
		"no name": {Job: "data:n//x", Read: map[string]Digest{DataFile: Digest(strings.Repeat("c", 64))}},
		"no blob": {Job: "data:n/x", Read: map[string]Digest{DataFile: "x"}},
		"no part": {Job: "data:n/x", Read: map[string]Digest{"stdout": Digest(strings.Repeat("c", 64))}},
		"nothing": {Job: "data:n/x"},
	} {
		e.At, e.By, e.Outcome = 7, "a~1", Succeeded
		r := New("j", s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1}).
			With(clock.Dot{Actor: "b~1", Counter: 2}, func(r *Record) { r.Ended = []Ending{e} })
		_, err := DecodeRecord(r.Encode())
		require.Error(t, err, what)
	}
}

// Outputs that become named data are checked: each is an output, and no two have one name; of a wasm job both spellings of a path are
// one (rule D7).
func TestNamedOutputsAreChecked(t *testing.T) {
	s := Spec{Module: Digest(strings.Repeat("0", 64)), Outputs: []string{"/r/", "o"}, NamedOutputs: map[string]string{"/r/": "maps/d7", "o": "n"}}
	require.NoError(t, s.Complete())
	require.Equal(t, map[string]string{"r/": "maps/d7", "o": "n"}, s.NamedOutputs)
	for want, named := range map[string]map[string]string{
		`named_outputs["x"]: it is none of the outputs`:             {"x": "n"},
		`named_outputs["o"]: "a b" is no name of data`:              {"o": "a b"},
		`named_outputs["p"]: "o" has the name n already`:            {"o": "n", "p": "n"},
		"named_outputs: 65 of them; at most 64 are allowed: let so": many(65),
	} {
		s := Spec{Command: "sh", Outputs: []string{"o", "p"}, NamedOutputs: named}
		require.ErrorContains(t, s.Complete(), want)
	}
}

func many(n int) map[string]string {
	out := map[string]string{}
	for i := range n {
		out[strings.Repeat("o", i+1)] = "n"
	}
	return out
}

// A module may be named data: the spec, and so the job's key, keeps the name, and the record says which version it is (rule D8).
func TestAModuleByItsName(t *testing.T) {
	wasm, later := Digest(strings.Repeat("c", 64)), Digest(strings.Repeat("d", 64))
	s := Spec{Module: "data:tools/q"}
	require.NoError(t, s.Complete())
	require.Equal(t, Wasm, s.Driver)
	name, named := s.ModuleName()
	require.True(t, named)
	require.Equal(t, "tools/q", name)
	require.Empty(t, s.Blobs(), "it names no blob")
	r := New("j", s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1})
	require.Empty(t, r.Module())
	require.Equal(t, []string{"tools/q"}, r.WaitsForData())
	note := func(r *Record, actor clock.Actor, d Digest, at clock.Hybrid) *Record {
		return r.With(clock.Dot{Actor: actor, Counter: 2}, func(r *Record) {
			r.SetEnding(Ending{Job: "data:tools/q", At: at, By: "a~1", Outcome: Succeeded, Read: map[string]Digest{DataFile: d}})
		})
	}
	first, second := note(r, "b~1", wasm, 7), note(r, "c~1", later, 8)
	for _, both := range []*Record{join(first, second), join(second, first)} {
		require.Equal(t, wasm, both.Module(), "the earlier one counts")
		require.Equal(t, wasm, both.Resolved().Module)
		require.Equal(t, []Digest{wasm}, both.Needs())
		require.Equal(t, r.Key(), both.Key())
		e, ok := both.ModuleVersion()
		require.True(t, ok)
		require.Equal(t, clock.Hybrid(7), e.At)
		require.Equal(t, []Reading{{"data:tools/q", 7, "a~1"}}, both.Readings())
		again, err := DecodeRecord(both.Encode())
		require.NoError(t, err)
		require.Equal(t, wasm, again.Module())
		require.Empty(t, again.ToStub().Module())
	}

	plain := Spec{Module: wasm}
	require.NoError(t, plain.Complete())
	x := New("j", plain, plain.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1})
	require.Equal(t, wasm, x.Module())
	_, ok := x.ModuleVersion()
	require.False(t, ok)
	_, named = plain.ModuleName()
	require.False(t, named)
}
