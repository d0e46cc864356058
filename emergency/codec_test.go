package emergency

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// A valid record can be encoded and decoded again, with a newer broker's fields (rule L2);
// decoded as a hint it has neither creations nor dots (rule S3).
func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		require.NoError(t, r.validate())
		got, err := Decode(r.Encode())
		if r.IsHint() {
			require.ErrorContains(t, err, "no creation")
		} else {
			require.NoError(t, err)
			same(t, r, got, "round trip")
			require.Equal(t, "flood-1", got.Key())
		}
		hint, err := DecodeHint(r.Encode())
		require.NoError(t, err)
		require.True(t, hint.IsHint())
		require.Empty(t, hint.Dots)
		require.Equal(t, r.Terms.Level, hint.Terms.Level)
	})
}

// goodRecord returns a valid record of the ledger.
func goodRecord() *Record {
	dot := clock.Dot{Actor: "a~1", Counter: 1}
	return &Record{
		ID: "flood-1", Terms: Terms{Type: "flood", Level: 3, Scope: []string{"district=7"}}, Version: Version{1, 5, "a~1"}, Declared: 5, TTL: clock.Duration(DefaultTTL),
		Created: []clock.Dot{dot}, Dots: clock.NewVector(dot),
	}
}

// Invalid records are refused with a reason (rules L10, L11).
func TestDecodeRefuses(t *testing.T) {
	onlyCleared := func(r *Record) {
		r.Terms, r.Version, r.Declared, r.TTL, r.Cleared = Terms{}, Version{}, 0, 0, []Mark{{9, "a~1"}}
	}
	for name, c := range map[string]struct {
		spoil func(*Record)
		hint  string
	}{
		"nothing wrong":                        {func(*Record) {}, ""},
		"nothing wrong, cleared":               {func(r *Record) { r.Cleared = []Mark{{9, "b~1"}} }, ""},
		"nothing wrong, only a clear":          {onlyCleared, ""},
		"no ID":                                {func(r *Record) { r.ID = "" }, "id"},
		"an ID with a space":                   {func(r *Record) { r.ID = "a b" }, "id"},
		"a long ID":                            {func(r *Record) { r.ID = ID(strings.Repeat("x", 65)) }, "id"},
		"an ID that is a level":                {func(r *Record) { r.ID = "critical" }, "name of a level"},
		"no type":                              {func(r *Record) { r.Terms.Type = "" }, "type"},
		"a long type":                          {func(r *Record) { r.Terms.Type = strings.Repeat("x", maxType+1) }, "type"},
		"a type that is a level":               {func(r *Record) { r.Terms.Type = "none" }, "name of a level"},
		"no level":                             {func(r *Record) { r.Terms.Level = 0 }, "level"},
		"a level beyond critical":              {func(r *Record) { r.Terms.Level = 5 }, "level"},
		"a long message":                       {func(r *Record) { r.Terms.Message = strings.Repeat("x", maxMessage+1) }, "message"},
		"many conditions":                      {func(r *Record) { r.Terms.Scope = slicesOf("a", maxConditions+1) }, "scope"},
		"a malformed condition":                {func(r *Record) { r.Terms.Select = []string{"=7"} }, "select"},
		"no TTL":                               {func(r *Record) { r.TTL = 0 }, "declared at"},
		"a negative TTL":                       {func(r *Record) { r.TTL = -1 }, "declared at"},
		"too long a TTL":                       {func(r *Record) { r.TTL = clock.Duration(MaxTTL) + 1 }, "declared at"},
		"terms without a declaration":          {func(r *Record) { r.Declared = 0 }, "declared at"},
		"a declaration without terms":          {func(r *Record) { r.Version = Version{} }, "never declared"},
		"neither declared nor cleared":         {func(r *Record) { onlyCleared(r); r.Cleared = nil }, "never declared"},
		"a clear alone that has a TTL":         {func(r *Record) { onlyCleared(r); r.TTL = clock.Duration(MaxTTL) + 1 }, "never declared"},
		"a clear alone that has terms":         {func(r *Record) { onlyCleared(r); r.Terms.Level = 9 }, "never declared"},
		"a clear alone with a stamp":           {func(r *Record) { onlyCleared(r); r.Version.At = 9 }, "never declared"},
		"two clears":                           {func(r *Record) { r.Cleared = []Mark{{8, "a~1"}, {9, "a~1"}} }, "2 clears"},
		"a Seq above the limit":                {func(r *Record) { r.Version.Seq = maxSeq + 1 }, "above the limit"},
		"a life above the limit":               {func(r *Record) { r.Life = maxLife + 1 }, "above the limit"},
		"a writer with a long name":            {func(r *Record) { r.Version.By = clock.Actor(strings.Repeat("x", maxActor+1)) }, "no valid name"},
		"a writer with an odd name":            {func(r *Record) { r.Version.By = "<script>~1" }, "no valid name"},
		"cleared by a writer with a long name": {func(r *Record) { r.Cleared = []Mark{{9, clock.Actor(strings.Repeat("x", maxActor+1))}} }, "no valid name"},
		"cleared by a writer with an odd name": {func(r *Record) { r.Cleared = []Mark{{9, "\xff~1"}} }, "no valid name"},
		"no creation":                          {func(r *Record) { r.Created = nil }, "no creation"},
		"a creation that is not in the dots":   {func(r *Record) { r.Created = []clock.Dot{{Actor: "b~1", Counter: 1}} }, "not among its dots"},
		"the zero creation":                    {func(r *Record) { r.Created = []clock.Dot{{}} }, "not among its dots"},
		"creations out of order":               {func(r *Record) { r.Created = []clock.Dot{r.Created[0], r.Created[0]} }, "2 creations"},
		"many creations": {func(r *Record) {
			for i := range maxCreated + 1 {
				d := clock.Dot{Actor: clock.Actor("b~" + string(rune('a'+i))), Counter: 1}
				r.Created = append(r.Created, d)
				r.Dots.Set(d)
			}
			r.Created = r.Created[1:]
		}, "9 creations"},
		"dots out of order": {func(r *Record) { r.Dots = clock.Vector{{Actor: "b~1", Counter: 1}, {Actor: "a~1", Counter: 1}} }, "vector clock"},
		"a dot above all":   {func(r *Record) { r.Dots[0].Counter = clock.MaxCounter + 1 }, "vector clock"},
		"too many bytes":    {func(r *Record) { r.Unknown.Add([]byte("x"), strings.Repeat("x", MaxRecord)) }, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			r := goodRecord()
			c.spoil(r)
			_, err := Decode(r.Encode())
			if c.hint == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.hint)
		})
	}
	for _, b := range [][]byte{nil, {0xc1}, []byte("hello"), canon.Encode(7), canon.Encode(map[string]any{"id": 7})} {
		_, err := Decode(b)
		require.Error(t, err, "%q", b)
	}
}

func slicesOf(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

// A hint from a push-pull has a lower limit than a record of the ledger, which names all its
// writers, because one state holds many hints (rules L11, S3).
func TestARecordHoldsManyWriters(t *testing.T) {
	r := goodRecord()
	for i := range 300 {
		r.Dots.Set(clock.Dot{Actor: clock.Actor(strings.Repeat("n", 56) + "-" + string(rune('a'+i/20)) + string(rune('a'+i%20)) + "~01234567"), Counter: 1 << 40})
	}
	_, err := Decode(r.Encode())
	require.NoError(t, err, "three hundred brokers may write one record, each without knowing of the others (rule E2)")
	hint := r.Hint()
	require.Equal(t, r.Terms, hint.Terms)
	_, err = DecodeHint(hint.Encode())
	require.NoError(t, err)
	_, err = DecodeHint(r.Encode())
	require.ErrorContains(t, err, "at most")
}
