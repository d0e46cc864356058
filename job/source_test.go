package job

import (
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
)

// What a spec reads of others is checked as it is written, and makes it run after those (rule C6).
func TestSources(t *testing.T) {
	s, err := ParseSpec([]byte(`{"command":"sh","stdin":"job:prep/stdout","inputs":{"a":"job:prep/out/a.csv","d/":"job:tiles.7/out/d/","x":"` + strings.Repeat("a", 64) + `"},"after":["first"]}`))
	require.NoError(t, err)
	require.Equal(t, []Source{{"prep", "out/a.csv"}, {"prep", "stdout"}, {"tiles.7", "out/d/"}}, s.Sources())
	require.Equal(t, []ID{"first", "prep", "tiles.7"}, s.After)
	require.Equal(t, []Digest{Digest(strings.Repeat("a", 64))}, s.Blobs(), "what is yet to come is no blob")

	for _, c := range []struct{ inputs, why string }{
		{`"stdin":"job:prep"`, "want job:ID/out/PATH"},
		{`"stdin":"job:prep/out/d/"`, "it is a file, and"},
		{`"stdin":"job:../stdout"`, "want job:ID/out/PATH"},
		{`"stdin":"jobs:prep/stdout"`, "neither the SHA-256"},
		{`"inputs":{"d/":"job:prep/out/d"}`, "it is a directory, and"},
		{`"inputs":{"d/":"job:prep/stdout"}`, "it is a directory, and"},
		{`"inputs":{"d":"job:prep/out/d/"}`, "it is a file, and"},
		{`"inputs":{"d":"job:prep/out/../d"}`, "want job:ID/out/PATH"},
		{`"inputs":{"d":"job:prep/out//etc"}`, "want job:ID/out/PATH"},
		{`"inputs":{"d":"job:prep/out/"}`, "want job:ID/out/PATH"},
		{`"inputs":{"d":"job:prep/outputs/a"}`, "want job:ID/out/PATH"},
		{`"inputs":{"d":"job:/out/a"}`, "want job:ID/out/PATH"},
	} {
		_, err := ParseSpec([]byte(`{"command":"sh",` + c.inputs + `}`))
		require.ErrorContains(t, err, c.why, c.inputs)
	}
	many := &strings.Builder{}
	for i := range maxAfter + 1 {
		many.WriteString(`,"` + string(rune('a'+i)) + `":"job:` + string(rune('a'+i)) + `/stdout"`)
	}
	_, err = ParseSpec([]byte(`{"command":"sh","inputs":{` + many.String()[1:] + `}}`))
	require.ErrorContains(t, err, "17 jobs; at most 16")
}

// ended returns a job that has ended with what it left.
func endedWith(t *testing.T, id ID, res Result) *Record {
	s := Spec{Command: "sh"}
	require.NoError(t, s.Complete())
	r := New(id, s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
	return r.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *Record) {
		rep := Report{Attempt: Attempt{Seq: 1}, Dot: clock.Dot{Actor: "a~1", Counter: 2}, At: 2, Phase: Done, Result: &res}
		r.SetReport(rep)
		r.AddVerdict(Verdict{At: 3, Dot: clock.Dot{Actor: "a~1", Counter: 2}, Outcome: res.Outcome, Report: &rep})
	})
}

// A job needs what it reads of others from when their ends are noted, and is given it in the place of what its spec says.
func TestResolved(t *testing.T) {
	csv, dir := Digest(strings.Repeat("c", 64)), Digest(strings.Repeat("d", 64))
	prep := endedWith(t, "prep", Result{Outcome: Succeeded, Outputs: map[string]Blob{"a.csv": {Digest: csv}, "d/": {Digest: dir}}})
	s := Spec{Command: "sh", Stdin: "job:prep/stdout", Inputs: map[string]string{"in": "job:prep/out/a.csv", "more/": "job:prep/out/d/"}}
	require.NoError(t, s.Complete())
	r := New("join", s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1})
	require.Empty(t, r.Needs())
	_, lacks := r.Lacking()
	require.False(t, lacks, "it has not ended yet")

	r = r.With(clock.Dot{Actor: "b~1", Counter: 2}, func(r *Record) { r.SetEnding(prep.EndingFor(&r.Spec)) })
	require.Equal(t, []Digest{csv, TreeOf(dir)}, r.Needs(), "every broker has the empty blob")
	got := r.Resolved()
	require.Equal(t, Empty, got.Stdin, "it wrote nothing there")
	require.Equal(t, map[string]string{"in": string(csv), "more/": string(dir)}, got.Inputs)
	require.Equal(t, Digest("job:prep/stdout"), r.Spec.Stdin, "the spec never changes")
	require.Equal(t, []Reading{{"prep", 3, "a~1"}}, r.Readings())
	var kept []string
	for d := range r.Blobs() {
		kept = append(kept, d)
	}
	require.Equal(t, []string{string(csv), string(TreeOf(dir))}, kept)

	again, err := DecodeRecord(r.Encode())
	require.NoError(t, err)
	require.Equal(t, r.Ended, again.Ended)

	require.Equal(t, "it reads out/d/x of job prep, which has left out/a.csv, out/d/; of a directory all can be read: --input DIR/=job:prep/out/d/", Source{"prep", "out/d/x"}.WhyLacking(prep))

	// Who knows of the end by its stub alone knows of no output; who knows more decides.
	bare := endedWith(t, "prep", Result{Outcome: Succeeded}).ToStub()
	less := New("join", s, s.Digest(), Stamp{Dot: clock.Dot{Actor: "b~1", Counter: 1}, At: 1}).With(clock.Dot{Actor: "c~1", Counter: 1}, func(r *Record) { r.SetEnding(bare.EndingFor(&r.Spec)) })
	from, lacks := less.Lacking()
	require.True(t, lacks)
	require.Equal(t, "it reads out/a.csv of job prep, of which no output is kept any more", from.WhyLacking(bare))
	for _, both := range []*Record{join(r, less), join(less, r)} {
		require.Equal(t, r.Ended, both.Ended)
	}
}

// No text that is not a source is taken for one, and none that is changes when it is written again.
func TestSourcesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`job:[a-z.]{0,3}/(stdout|stderr|out/[a-z./]{0,6})`).Draw(t, "text")
		if s, ok := sourceOf(text); ok {
			require.Equal(t, text, s.String())
			require.Equal(t, s.Part, path.Clean(s.Part)+map[bool]string{true: "/"}[IsDirectory(s.Part)], "no way leads out of it")
		}
	})
}
