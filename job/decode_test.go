package job

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

var creation = Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 10}

// busy is a record that has something in every field.
func busy(t testing.TB) *Record {
	r := newRecord(t, creation)
	placed(r)
	says("y~1", earlier, Done)(r)
	says(executor, present, Done)(r)
	won := r.Reports[0]
	r.AddVerdict(Verdict{At: 30, Dot: clock.Dot{Actor: "a~1", Counter: 1}, Outcome: Succeeded, Reason: "why", Report: &won})
	decided(Cancelled, 31)(r)
	r.Unknown = Unknown{"newer": map[string]any{"a": int64(1)}}
	for _, rep := range r.Reports {
		r.Dots.Set(rep.Dot)
	}
	for _, v := range r.Verdicts {
		r.Dots.Set(v.Dot)
	}
	return r
}

// A record that breaks what the rest of the code takes for granted is refused
// (rule L10): each case is a good record with one thing wrong.
func TestDecodeRecordRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Record)
		hint  string
	}{
		"no ID":                    {func(r *Record) { r.ID = "" }, "ID"},
		"an ID with a tilde":       {func(r *Record) { r.ID = "a~b" }, "ID"},
		"no creation":              {func(r *Record) { r.Created = nil }, "creations"},
		"too many creations":       {func(r *Record) { r.Created = make([]Stamp, maxCreated+1) }, "creations"},
		"too many verdicts":        {func(r *Record) { r.Verdicts = make([]Verdict, maxVerdicts+1) }, "verdicts"},
		"too many reports":         {func(r *Record) { r.Reports = make([]Report, maxReports+1) }, "reports"},
		"a creation twice":         {func(r *Record) { r.Created = []Stamp{creation, creation} }, "order"},
		"a verdict twice":          {func(r *Record) { r.Verdicts = append(r.Verdicts, r.Verdicts[1]) }, "order"},
		"verdicts out of order":    {func(r *Record) { r.Verdicts[0], r.Verdicts[1] = r.Verdicts[1], r.Verdicts[0] }, "order"},
		"reports out of order":     {func(r *Record) { r.Reports[0], r.Reports[1] = r.Reports[1], r.Reports[0] }, "order"},
		"a creation without dot":   {func(r *Record) { r.Created = []Stamp{{At: 1}} }, "dots"},
		"a creation not in dots":   {func(r *Record) { r.Dots = clock.NewVector(clock.Dot{Actor: "b", Counter: 1}) }, "dots"},
		"nobody owns it":           {func(r *Record) { r.Owner.Actor = "" }, "owns"},
		"done without result":      {func(r *Record) { r.Reports[0].Result = nil }, "report"},
		"a result while running":   {func(r *Record) { r.Reports[0].Phase = Running }, "report"},
		"a phase of no kind":       {func(r *Record) { r.Reports[0].Phase, r.Reports[0].Result = "dancing", nil }, "report"},
		"an outcome of no kind":    {func(r *Record) { r.Reports[0].Result.Outcome = "odd" }, "report"},
		"a verdict of no kind":     {func(r *Record) { r.Verdicts[1].Outcome = "odd" }, "verdict"},
		"a verdict without dot":    {func(r *Record) { r.Verdicts[1].Dot = clock.Dot{} }, "verdict"},
		"accepted without result":  {func(r *Record) { r.Verdicts[0].Report.Result = nil }, "verdict"},
		"a negative try":           {func(r *Record) { r.Place.Try = -1 }, "place"},
		"placed nowhere":           {func(r *Record) { r.Place.Actor = "" }, "place"},
		"dots out of order":        {func(r *Record) { r.Dots[0], r.Dots[1] = r.Dots[1], r.Dots[0] }, ""},
		"how to answer is no spec": {func(r *Record) { r.Spec.MinReplicas = 3 }, "min_replicas"},
		"a spec that climbs out":   {func(r *Record) { r.Spec.Outputs = []string{"../x"} }, "outputs"},
		"a spec without driver":    {func(r *Record) { r.Spec.Driver = "" }, "driver"},
		"too large":                {func(r *Record) { r.Unknown = Unknown{"x": strings.Repeat("x", maxRecord)} }, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			r := busy(t)
			_, err := DecodeRecord(r.Encode())
			require.NoError(t, err, "it is good before")
			c.spoil(r)
			_, err = DecodeRecord(r.Encode())
			require.ErrorContains(t, err, c.hint)
			require.ErrorContains(t, err, "job record")
		})
	}
}

func TestDecodeRecordRefusesWhatIsNoRecord(t *testing.T) {
	good := busy(t).Encode()
	for _, b := range [][]byte{nil, {}, {0xc0}, {0x80}, {0xc1}, []byte("hello"), good[:len(good)/2], bytes.Repeat([]byte{0x91}, 5000)} {
		_, err := DecodeRecord(b)
		require.Error(t, err, "%.20x", b)
	}
}

// Whatever a newer broker nests in its fields, no depth of it can be read and then
// not be written.
func TestDeepUnknownFields(t *testing.T) {
	read := 0
	for depth := 1024 - 20; depth < 1024+20; depth++ {
		var nested any = "x"
		for range depth {
			nested = []any{nested}
		}
		r := newRecord(t, creation)
		r.Unknown = Unknown{"deep": nested, "other": 1}
		if got, err := DecodeRecord(canon.Encode(r)); err == nil {
			require.NotEmpty(t, got.Encode())
			read++
		}
	}
	require.Positive(t, read)
	require.Less(t, read, 40, "the bound lies in between")
}

// The largest record that brokers can make among themselves fits (rule L11):
// what a broker has stored it must be able to read again, else it does not start.
func TestTheLargestRecordFits(t *testing.T) {
	result := &Result{Outcome: Failed, Outputs: map[string]Blob{}, Reason: strings.Repeat("r", MaxReason)}
	for i := 0; result.Size() < MaxResult-200; i++ {
		result.Outputs[fmt.Sprintf("file-%04d", i)] = Blob{Digest: Digest(hex64), Size: 1 << 30}
	}
	r := newRecord(t, creation)
	r.Spec.Args = []string{strings.Repeat("x", MaxSpec-500)}
	require.NoError(t, r.Spec.Validate())
	name := func(i int) clock.Actor { return clock.Actor(fmt.Sprintf("%s%d~%08d", strings.Repeat("n", 63), i, i)) }
	for i := range maxReports {
		placed(r)
		dot := clock.Dot{Actor: name(i), Counter: 1 << 40}
		rep := Report{Attempt: Attempt{Tenure{1 << 20, 1 << 60, name(i)}, 1 << 20}, Dot: dot, At: 1 << 60, Phase: Done, Result: result}
		r.SetReport(rep)
		r.AddVerdict(Verdict{At: 1 << 60, Dot: dot, Outcome: Failed, Report: &rep, Reason: strings.Repeat("r", MaxReason)})
		r.Dots.Set(dot)
	}
	b := r.Encode()
	t.Logf("%d bytes of %d", len(b), maxRecord)
	_, err := DecodeRecord(b)
	require.NoError(t, err)
}

// FuzzDecodeRecord: nothing panics, and what decodes is a fixed point: it encodes
// to bytes that decode to the same, and what it merges into can be read again. What
// read.go takes is what the codec reads.
func FuzzDecodeRecord(f *testing.F) {
	f.Add(busy(f).Encode())
	f.Add(newRecord(f, creation).Encode())
	f.Add(copyOf(3).Encode())
	f.Add([]byte{})
	var odd []byte // keys that are no strings, extensions, infinities
	codec.NewEncoderBytes(&odd, &codec.MsgpackHandle{}).MustEncode(map[any]any{1: 2, "id": "j", 1.5: map[any]any{true: nil}})
	f.Add(odd)
	known := busy(f)
	plain := busy(f)
	plain.Unknown = nil
	f.Add(plain.Encode()) // read.go takes it
	f.Fuzz(func(t *testing.T, b []byte) {
		readEqualsCodec(t, b)
		r, err := DecodeRecord(b)
		if err != nil {
			return
		}
		canonical := r.Encode()
		if len(canonical) > maxRecord {
			return // a shorter spelling of it came in
		}
		again, err := DecodeRecord(canonical)
		require.NoError(t, err)
		require.Equal(t, canonical, again.Encode())
		require.Equal(t, r.Key(), again.Key())
		_, changed := Merge(r, again)
		require.False(t, changed)
		r.State()
		r.Late()
		r.Undecided().State()
		if r.Key() == known.Key() { // it may be forged: one version with two contents
			_, err = DecodeRecord(join(known, r).Encode())
			require.NoError(t, err, "what two peers sent is merged and stored, and must be read again")
		}
	})
}
