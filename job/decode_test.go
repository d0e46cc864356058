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
	"github.com/urban-compute/ucp/label"
)

var creation = Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 10}

// busy returns a record with a value in nearly every field.
func busy(t testing.TB) *Record {
	r := newRecord(t, creation)
	placed(r)
	says("y~1", earlier, Done)(r)
	says(executor, present, Done)(r)
	won := r.Reports[0]
	r.AddVerdict(Verdict{At: 30, Dot: clock.Dot{Actor: "a~1", Counter: 1}, Outcome: Succeeded, Reason: "why", Report: &won})
	decided(Cancelled, 31)(r)
	r.SetCheckpoint(Checkpoint{Attempt: earlier, Dot: clock.Dot{Actor: "y~1", Counter: 1}, At: 28, Ran: 1, Tree: Digest(strings.Repeat("c", 64))})
	r.SetKept(Report{Attempt: earlier, Dot: clock.Dot{Actor: "y~1", Counter: 1}, At: 28, Phase: Done, Result: &Result{Outcome: Failed, Reason: StoppedReason}})
	r.AddReturn(Return{Attempt: earlier, By: "y~1", At: 29, Reason: "no space", Began: true})
	r.Unknown = canon.Unknown{"newer": map[string]any{"a": int64(1)}}
	for _, rep := range r.Reports {
		r.Dots.Set(rep.Dot)
	}
	for _, v := range r.Verdicts {
		r.Dots.Set(v.Dot)
	}
	return r
}

// A record that violates what the rest of the code relies on is refused
// (rule L10). Each case is a valid record with one error.
func TestDecodeRecordRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Record)
		hint  string
	}{
		"no ID":                             {func(r *Record) { r.ID = "" }, "ID"},
		"an ID with a tilde":                {func(r *Record) { r.ID = "a~b" }, "ID"},
		"no creation":                       {func(r *Record) { r.Created = nil }, "creations"},
		"too many creations":                {func(r *Record) { r.Created = make([]Stamp, MaxCreated+1) }, "creations"},
		"too many verdicts":                 {func(r *Record) { r.Verdicts = make([]Verdict, maxVerdicts+1) }, "verdicts"},
		"too many reports":                  {func(r *Record) { r.Reports = make([]Report, maxReports+1) }, "reports"},
		"a creation twice":                  {func(r *Record) { r.Created = []Stamp{creation, creation} }, "order"},
		"a verdict twice":                   {func(r *Record) { r.Verdicts = append(r.Verdicts, r.Verdicts[1]) }, "order"},
		"verdicts out of order":             {func(r *Record) { r.Verdicts[0], r.Verdicts[1] = r.Verdicts[1], r.Verdicts[0] }, "order"},
		"reports out of order":              {func(r *Record) { r.Reports[0], r.Reports[1] = r.Reports[1], r.Reports[0] }, "order"},
		"a creation without dot":            {func(r *Record) { r.Created = []Stamp{{At: 1}} }, "dots"},
		"a creation not in dots":            {func(r *Record) { r.Dots = clock.NewVector(clock.Dot{Actor: "b", Counter: 1}) }, "dots"},
		"no owner":                          {func(r *Record) { r.Owner.Actor = "" }, "owner"},
		"done without result":               {func(r *Record) { r.Reports[0].Result = nil }, "report"},
		"a result while running":            {func(r *Record) { r.Reports[0].Phase = Running }, "report"},
		"kept, and not done":                {func(r *Record) { r.Kept.Phase, r.Kept.Result = Running, nil }, "run again"},
		"checkpoint, by nobody known":       {func(r *Record) { r.Checkpoint.Dot.Actor = "z~9" }, "checkpoint of"},
		"checkpoint, never run":             {func(r *Record) { r.Checkpoint.Ran = 0 }, "checkpoint of"},
		"checkpoint, of nothing":            {func(r *Record) { r.Checkpoint.Tree = "" }, "checkpoint of"},
		"kept, by nobody known":             {func(r *Record) { r.Kept.Dot.Actor = "z~9" }, "run again"},
		"an unknown phase":                  {func(r *Record) { r.Reports[0].Phase, r.Reports[0].Result = "dancing", nil }, "report"},
		"an unknown outcome":                {func(r *Record) { r.Reports[0].Result.Outcome = "odd" }, "report"},
		"a verdict with an unknown outcome": {func(r *Record) { r.Verdicts[1].Outcome = "odd" }, "verdict"},
		"a verdict without dot":             {func(r *Record) { r.Verdicts[1].Dot = clock.Dot{} }, "verdict"},
		"accepted without result":           {func(r *Record) { r.Verdicts[0].Report.Result = nil }, "verdict"},
		"too many returns":                  {func(r *Record) { r.Returns = make([]Return, MaxReturns+1) }, "returned attempts"},
		"a return twice":                    {func(r *Record) { r.Returns = append(r.Returns, r.Returns[0]) }, "returned attempts"},
		"a return by nobody":                {func(r *Record) { r.Returns[0].By = "" }, "returned attempts"},
		"a return with a long reason":       {func(r *Record) { r.Returns[0].Reason = strings.Repeat("x", maxReturnReason+1) }, "returned attempts"},
		"a return of an attempt above all":  {func(r *Record) { r.Returns[0].Attempt.Seq = clock.MaxCounter + 1 }, "returned attempts"},
		"a module loaded in no report":      {func(r *Record) { r.Loading = &Loading{Attempt: r.Place.Attempt} }, "module"},
		"a module loaded above all":         {func(r *Record) { r.Loading = &Loading{Attempt: Attempt{Seq: clock.MaxCounter + 1}, Dot: creation.Dot} }, "module"},
		"a negative try":                    {func(r *Record) { r.Place.Try = -1 }, "place"},
		"placed nowhere":                    {func(r *Record) { r.Place.Actor = "" }, "place"},
		"dots out of order":                 {func(r *Record) { r.Dots[0], r.Dots[1] = r.Dots[1], r.Dots[0] }, ""},
		"an epoch above all":                {func(r *Record) { r.Owner.Tenure.Epoch = clock.MaxCounter + 1 }, "higher than anybody counts"},
		"so many losses":                    {func(r *Record) { r.Losses = clock.MaxCounter + 1 }, "higher than anybody counts"},
		"placed in an epoch above all":      {func(r *Record) { r.Place.Attempt.Tenure.Epoch = clock.MaxCounter + 1 }, "higher than anybody counts"},
		"placed so often":                   {func(r *Record) { r.Place.Attempt.Seq = clock.MaxCounter + 1 }, "higher than anybody counts"},
		"a report on an attempt above all":  {func(r *Record) { r.Reports[0].Attempt.Seq = clock.MaxCounter + 1 }, "report"},
		"accepted of an attempt above all":  {func(r *Record) { r.Verdicts[0].Report.Attempt.Seq = clock.MaxCounter + 1 }, "verdict"},
		"accepted by a counter above all":   {func(r *Record) { r.Verdicts[0].Report.Dot.Counter = clock.MaxCounter + 1 }, "verdict"},
		"a dot above all":                   {func(r *Record) { r.Dots[0].Counter = clock.MaxCounter + 1 }, "is above"},
		"a dependency on what nobody wrote": {func(r *Record) {
			r.Created[0].Deps = []Dependency{{Job: "j0", Dot: clock.Dot{Actor: "a~1", Counter: clock.MaxCounter + 1}}}
		}, "nobody counts"},
		"a seal that knows of so many": {func(r *Record) {
			r.Seal = &Seal{Verdict: r.Verdicts[0].Dot, Dot: creation.Dot, Closes: clock.MaxCounter + 1}
		}, "seal"},
		"a seal that was written again so often": {func(r *Record) {
			r.Seal = &Seal{Verdict: r.Verdicts[0].Dot, Dot: creation.Dot, Again: clock.MaxCounter + 1}
		}, "seal"},
		"a spec with min_replicas":          {func(r *Record) { r.Spec.MinReplicas = 3 }, "min_replicas"},
		"a spec with a path that leads out": {func(r *Record) { r.Spec.Outputs = []string{"../x"} }, "outputs"},
		"a spec without driver":             {func(r *Record) { r.Spec.Driver = "" }, "driver"},
		"too large":                         {func(r *Record) { r.Unknown = canon.Unknown{"x": strings.Repeat("x", MaxRecord)} }, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			r := busy(t)
			_, err := DecodeRecord(r.Encode())
			require.NoError(t, err, "it is valid before")
			c.spoil(r)
			_, err = DecodeRecord(r.Encode())
			require.ErrorContains(t, err, c.hint)
			require.ErrorContains(t, err, "job record")
		})
	}
}

func TestDecodeRecordRefusesGarbage(t *testing.T) {
	good := busy(t).Encode()
	for _, b := range [][]byte{nil, {}, {0xc0}, {0x80}, {0xc1}, []byte("hello"), good[:len(good)/2], bytes.Repeat([]byte{0x91}, 5000)} {
		_, err := DecodeRecord(b)
		require.Error(t, err, "%.20x", b)
	}
}

// Fields of a newer broker may be nested at any depth. If they can be decoded, they can be encoded again.
func TestDeepUnknownFields(t *testing.T) {
	read := 0
	for depth := 1024 - 20; depth < 1024+20; depth++ {
		var nested any = "x"
		for range depth {
			nested = []any{nested}
		}
		r := newRecord(t, creation)
		r.Unknown = canon.Unknown{"deep": nested, "other": 1}
		if got, err := DecodeRecord(canon.Encode(r)); err == nil {
			require.NotEmpty(t, got.Encode())
			read++
		}
	}
	require.Positive(t, read)
	require.Less(t, read, 40, "the limit is among the depths that were tried")
}

// The largest record that can result from merging is within the limit (rule L11).
// Otherwise a broker could not read what it has stored, and would not start.
func TestTheLargestRecordFits(t *testing.T) {
	result := &Result{Outcome: Failed, Outputs: map[string]Blob{}, Reason: strings.Repeat("r", MaxReason)}
	for i := 0; result.Size() < MaxResult-200; i++ {
		result.Outputs[fmt.Sprintf("file-%04d", i)] = Blob{Digest: Digest(hex64), Size: 1 << 30}
	}
	r := newRecord(t, creation)
	r.Spec.Args = []string{strings.Repeat("x", MaxSpec-5000)}
	r.Spec.Inputs = map[string]string{}
	for i := range MaxPrefixes {
		prefix := fmt.Sprintf("%d/", i)
		r.Spec.Inputs[prefix] = "data:" + prefix
		e := Ending{Job: DataID(prefix), At: 1 << 60, By: "n~1", Outcome: Succeeded, Read: map[string]Digest{}}
		for below := range MaxBelow {
			part := fmt.Sprintf("%03d%s", below, strings.Repeat("x", label.MaxPath-len(prefix)-3-60))
			e.Read[part[:60]+"/"+part[60:120]+"/"+part[120:180]+"/"+part[180:]+"/"] = Digest(hex64)
		}
		r.SetEnding(e)
	}
	require.NoError(t, r.Spec.validate(len(encode(&r.Spec))))
	name := func(i int) clock.Actor { return clock.Actor(fmt.Sprintf("%s%d~%08d", strings.Repeat("n", 63), i, i)) }
	for i := range maxReports {
		placed(r)
		dot := clock.Dot{Actor: name(i), Counter: 1 << 40}
		rep := Report{Attempt: Attempt{Tenure{1 << 20, 1 << 60, name(i)}, 1 << 20}, Dot: dot, At: 1 << 60, Phase: Done, Result: result}
		r.SetReport(rep)
		r.AddVerdict(Verdict{At: 1 << 60, Dot: dot, Outcome: Failed, Report: &rep, Reason: strings.Repeat("r", MaxReason)})
		r.Dots.Set(dot)
	}
	for i := range MaxReturns {
		r.AddReturn(Return{Attempt: Attempt{Tenure{1 << 20, 1 << 60, name(i)}, 1 << 20}, By: name(i), At: 1 << 60, Reason: strings.Repeat("r", 2*maxReturnReason), Began: true, Never: true})
	}
	require.Len(t, r.Returns, MaxReturns)
	r.Loading = &Loading{Attempt: Attempt{Tenure{1 << 20, 1 << 60, name(0)}, 1 << 20}, Dot: clock.Dot{Actor: name(0), Counter: 1 << 40}}
	kept := r.Reports[0]
	r.SetKept(kept)
	b := r.Encode()
	t.Logf("%d bytes of %d", len(b), MaxRecord)
	_, err := DecodeRecord(b)
	require.NoError(t, err)
}

// FuzzDecodeRecord checks that nothing panics, that a record that was decoded encodes
// to bytes that decode to the same record, that the result of merging it can be decoded again, and that
// read.go decodes as the codec does.
func FuzzDecodeRecord(f *testing.F) {
	f.Add(busy(f).Encode())
	f.Add(newRecord(f, creation).Encode())
	f.Add(recordOf(3).Encode())
	f.Add([]byte{})
	var odd []byte // keys that are not strings
	codec.NewEncoderBytes(&odd, &codec.MsgpackHandle{}).MustEncode(map[any]any{1: 2, "id": "j", 1.5: map[any]any{true: nil}})
	f.Add(odd)
	known := busy(f)
	plain := busy(f)
	plain.Unknown = nil
	f.Add(plain.Encode()) // read.go decodes it
	f.Fuzz(func(t *testing.T, b []byte) {
		readEqualsCodec(t, b)
		r, err := DecodeRecord(b)
		if err != nil {
			return
		}
		canonical := r.Encode()
		if len(canonical) > MaxRecord {
			return // the canonical encoding is longer than b, and over the limit
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
		if r.Key() == known.Key() { // it may be forged: equal versions with different contents
			_, err = DecodeRecord(join(known, r).Encode())
			require.NoError(t, err, "the result of merging is stored, and must be readable")
		}
	})
}

// Nobody can make a record grow by endings that its spec does not name: merged with other copies it could be too large to be read at
// the next start.
func TestEndingsAreThoseOfTheSpec(t *testing.T) {
	const text = `{"module":"%s","after":["x"],"inputs":{"a":"job:x/out/a","b":"data:n/x"},"timeout":"1m"}`
	spec, err := ParseSpec(fmt.Appendf(nil, text, hex64))
	require.NoError(t, err)
	read := map[string]Digest{"out/a": Digest(hex64)}
	for what, c := range map[string]struct {
		e   Ending
		bad string
	}{
		"its own":    {Ending{Job: "x", Read: read}, ""},
		"data":       {Ending{Job: DataID("n/x"), Read: map[string]Digest{DataFile: Digest(hex64)}}, ""},
		"of another": {Ending{Job: "y"}, "after which it does not run"},
		"other data": {Ending{Job: DataID("n/y"), Read: map[string]Digest{DataFile: Digest(hex64)}}, "does not name"},
		"other read": {Ending{Job: "x", Read: map[string]Digest{"out/b": Digest(hex64)}}, "does not read"},
	} {
		r := New("j", spec, spec.Digest(), creation)
		c.e.At, c.e.By, c.e.Outcome = 1, "n~1", Succeeded
		r.SetEnding(c.e)
		_, err := DecodeRecord(r.Encode())
		if c.bad == "" {
			require.NoError(t, err, what)
		} else {
			require.ErrorContains(t, err, c.bad, what)
		}
	}
	stub := New("j", spec, spec.Digest(), creation)
	stub.AddVerdict(Verdict{At: 1, Dot: creation.Dot, Outcome: Succeeded})
	stub = stub.ToStub()
	stub.SetEnding(Ending{Job: "x", At: 1, By: "n~1", Outcome: Succeeded})
	_, err = DecodeRecord(stub.Encode())
	require.ErrorContains(t, err, "it is a stub")
}
