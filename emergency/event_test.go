package emergency

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Every valid record fits into one event, or is refused (rule E4). The event carries all of it, except for
// the end of a long message.
func TestEventsFitAndRoundTrip(t *testing.T) {
	fits, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		b, err := r.Event()
		if err != nil {
			require.ErrorContains(t, err, "fewer or shorter conditions")
			require.NotEmpty(t, append(r.Terms.Scope, r.Terms.Select...), "only conditions can be too long")
			refused++
			return
		}
		fits++
		require.LessOrEqual(t, len(b), maxEvent)
		require.True(t, utf8.Valid(b))
		got, err := Parse(b, 7, 99)
		require.NoError(t, err, "%s", b)
		require.True(t, got.IsHint())
		require.Equal(t, r.ID, got.ID)
		require.Equal(t, r.Cleared, got.Cleared)
		require.Equal(t, r.Life, got.Life)
		if r.Finished() {
			return // the event has only the clear
		}
		require.True(t, strings.HasPrefix(r.Terms.Message, got.Terms.Message), "cut between two characters")
		if r.Version.At == 0 {
			require.Equal(t, r.Version.At, got.Version.At)
		}
		require.Equal(t, r.Version, got.Version)
		require.Equal(t, r.Declared, got.Declared)
		require.Equal(t, r.TTL, got.TTL)
		want := r.Terms
		want.Message = got.Terms.Message
		require.JSONEq(t, asJSON(t, want), asJSON(t, got.Terms))
	})
	require.Positive(t, fits)
	records := rapid.Custom(func(t *rapid.T) *Record { return anyRecord(t) })
	for i := 0; refused == 0 && i < 10_000; i++ { // it is seldom drawn
		if _, err := records.Example(i).Event(); err != nil {
			require.ErrorContains(t, err, "fewer or shorter conditions")
			refused++
		}
	}
	require.Positive(t, refused, "otherwise this was not tested")
}

func asJSON(t require.TestingT, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return strings.ReplaceAll(string(b), "[]", "null")
}

// A message is cut between two characters, and not much more than necessary.
func TestLongMessageIsCut(t *testing.T) {
	r := goodRecord()
	r.Terms.Message = strings.Repeat("ä", maxMessage/2)
	r.Terms.Select = []string{"service in (pumps,hospitals,sirens,trams,schools,bridges)"}
	b, err := r.Event()
	require.NoError(t, err)
	require.Greater(t, len(b), maxEvent*3/4)
	got, err := Parse(b, 7, 1)
	require.NoError(t, err)
	require.NotEmpty(t, got.Terms.Message)
	require.Empty(t, strings.Trim(got.Terms.Message, "ä"))

	r.Terms.Message = "\U0001F30A"
	require.Empty(t, shorter(r.Terms.Message), "a character is not split")
}

// The ID of an event without one depends only on its Lamport time, name and payload, so all brokers that
// receive it use the same ID, whenever they receive it (rule E2).
func TestTheIDOfAStockEvent(t *testing.T) {
	const flood = `{"type":"flood","level":"critical"}`
	id := func(payload string, ltime uint64, now int64) ID {
		r, err := Parse([]byte(payload), ltime, hybrid(now))
		require.NoError(t, err)
		require.NoError(t, r.ID.Valid())
		return r.ID
	}
	for ltime, want := range map[uint64]ID{
		0: "flood-300060a6ca", 41: "flood-35fce10c45", 1 << 62: "flood-7b083068d4", math.MaxUint64: "flood-508eec351c",
	} {
		require.Equal(t, want, id(flood, ltime, 1000), "all versions of this program must agree")
		require.Equal(t, want, id(flood, ltime, 2000), "it does not depend on the time of the receipt")
		require.NotEqual(t, want, id(flood, ltime-1, 1000), "another event")
		require.NotEqual(t, want, id(`{"level":"critical","type":"flood"}`, ltime, 1000), "another payload")
	}
	long := id(`{"type":"`+strings.Repeat("t", maxType)+`","level":"low"}`, math.MaxUint64, 1)
	require.LessOrEqual(t, len(long), 64)
	require.Equal(t, ID("mine"), id(`{"id":"mine","type":"flood","level":"low"}`, 7, 1))
}

// hybrid returns a stamp s seconds after 1970.
func hybrid(s int64) clock.Hybrid { return clock.HybridAt(time.Unix(s, 0)) }

// The fields of a stock event are optional but for type and level, and conditions can be written in several
// forms.
func TestParse(t *testing.T) {
	now := hybrid(1000)
	for _, c := range []struct {
		name, payload string
		want          Record
	}{
		{"the least", `{"type":"flood","level":"critical"}`, Record{Terms: Terms{Type: "flood", Level: 4}, Declared: now, TTL: clock.Duration(DefaultTTL)}},
		{"a level as a number", `{"type":"flood","level":3}`, Record{Terms: Terms{Type: "flood", Level: 3}, Declared: now, TTL: clock.Duration(DefaultTTL)}},
		{"a level as a number in a text", `{"type":"flood","level":"4"}`, Record{Terms: Terms{Type: "flood", Level: 4}, Declared: now, TTL: clock.Duration(DefaultTTL)}},
		{"a condition", `{"type":"flood","level":"low","scope":" district=7 "}`, Record{Terms: Terms{Type: "flood", Level: 1, Scope: []string{"district=7"}}, Declared: now, TTL: clock.Duration(DefaultTTL)}},
		{"no condition", `{"type":"flood","level":"low","scope":" ","select":null}`, Record{Terms: Terms{Type: "flood", Level: 1}, Declared: now, TTL: clock.Duration(DefaultTTL)}},
		{"a list", `{"type":"flood","level":"high","scope":["district=7","gpu"],"ttl":"2h"}`, Record{Terms: Terms{Type: "flood", Level: 3, Scope: []string{"district=7", "gpu"}}, Declared: now, TTL: clock.Duration(2 * time.Hour)}},
		{"an object", `{"type":"flood","level":"medium","select":{"b":"2","a":"1"},"message":"M"}`, Record{Terms: Terms{Type: "flood", Level: 2, Select: []string{"a=1", "b=2"}, Message: "M"}, Declared: now, TTL: clock.Duration(DefaultTTL)}},
		{"a newer broker's field", `{"type":"flood","level":"low","colour":"red"}`, Record{Terms: Terms{Type: "flood", Level: 1}, Declared: now, TTL: clock.Duration(DefaultTTL)}},
		{"a broker's event", `{"id":"x","type":"flood","level":"low","declared":7,"seq":3,"at":9,"by":"a~1"}`, Record{ID: "x", Terms: Terms{Type: "flood", Level: 1}, Declared: 7, Version: Version{3, 9, "a~1"}, TTL: clock.Duration(DefaultTTL)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse([]byte(c.payload), 7, now)
			require.NoError(t, err)
			if c.want.ID == "" {
				c.want.ID = got.ID
			}
			if c.want.Version.Seq == 0 {
				c.want.Version.Seq = 1
			}
			require.Equal(t, c.want.Terms.Type+asJSON(t, c.want), got.Terms.Type+asJSON(t, got))
		})
	}
	got, err := Parse([]byte(`{"clear":"x"}`), 7, now)
	require.NoError(t, err)
	require.Equal(t, &Record{ID: "x", Cleared: []Mark{{now, ""}}}, got)
	got, err = Parse([]byte(`{"clear":"x","at":5,"by":"a~1"}`), 7, now)
	require.NoError(t, err)
	require.Equal(t, &Record{ID: "x", Cleared: []Mark{{5, "a~1"}}}, got)
}

// Invalid declarations are refused, over HTTP and as an event, and the error names the field.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		name, payload, http, event string // part of the error; "" means that it is accepted
	}{
		{"nothing", ``, "declaration such as", "not JSON"},
		{"not JSON", `flood!`, "declaration such as", "not JSON"},
		{"null", `null`, "type", "type"},
		{"half of a pair of surrogates", `{"type":"flood","level":"low","message":"\ud800"}`, "surrogate", "surrogate"},
		{"what is no UTF-8", "{\"type\":\"flood\",\"level\":\"low\",\"message\":\"caf\xe9\"}", "UTF-8", "UTF-8"},
		{"a list", `[]`, "declaration such as", "not JSON"},
		{"two objects", `{"type":"flood","level":"low"} {}`, "follows", "not JSON"},
		{"no type", `{"level":"low"}`, "type", "type"},
		{"no level", `{"type":"flood"}`, "level", "level"},
		{"level none", `{"type":"flood","level":"none"}`, "level", "level"},
		{"level 0", `{"type":"flood","level":0}`, "unknown level", "unknown level"},
		{"level 5", `{"type":"flood","level":5}`, "5 is no level", "5 is no level"},
		{"level 5 as a text", `{"type":"flood","level":"5"}`, "unknown level", "unknown level"},
		{"half a level", `{"type":"flood","level":3.5}`, "3.5 is no level", "3.5 is no level"},
		{"a level that is true", `{"type":"flood","level":true}`, "level", "string or a number"},
		{"a type that is a level's number", `{"type":"3","level":"low"}`, "the number of the level high", ""},
		{"an ID that is a level's number", `{"id":"4","type":"flood","level":"low"}`, "the number of the level critical", ""},
		{"a type that is a level", `{"type":"critical","level":"low"}`, "name of a level", "name of a level"},
		{"an ID that is a level", `{"id":"high","type":"flood","level":"low"}`, "name of a level", "name of a level"},
		{"a malformed ID", `{"id":"../etc","type":"flood","level":"low"}`, "id", "id"},
		{"a long type", `{"type":"` + strings.Repeat("t", maxType+1) + `","level":"low"}`, "type", "type"},
		{"an unknown field", `{"type":"flood","level":"low","colour":"red"}`, "colour", ""},
		{"a malformed condition", `{"type":"flood","level":"low","scope":"a b"}`, "scope", "scope"},
		{"an empty condition", `{"type":"flood","level":"low","scope":[""]}`, "scope", "scope"},
		{"conditions as numbers", `{"type":"flood","level":"low","select":[7]}`, "conditions are a list", "conditions are a list"},
		{"conditions as an odd object", `{"type":"flood","level":"low","select":{"a":7}}`, "conditions are a list", "conditions are a list"},
		{"many conditions", `{"type":"flood","level":"low","select":["a","b","c","d","e","f","g","h","i"]}`, "9 conditions", "9 conditions"},
		{"a negative ttl", `{"type":"flood","level":"low","ttl":"-1h"}`, "ttl", "ttl"},
		{"too long a ttl", `{"type":"flood","level":"low","ttl":"721h"}`, "ttl", "ttl"},
		{"a malformed ttl", `{"type":"flood","level":"low","ttl":"soon"}`, "soon", "soon"},
		{"a long message", `{"type":"flood","level":"low","message":"` + strings.Repeat("m", maxMessage+1) + `"}`, "message", "message"},
		{"more than an event holds", `{"type":"flood","level":"low","select":["a in (` + strings.Repeat("x,", 90) + `x)","b in (` + strings.Repeat("y,", 90) + `y)"]}`, "fewer or shorter", "400"},
		{"a seq above the limit", `{"type":"flood","level":"low","seq":4294967297}`, "set by the broker", "version 4294967297 is above the limit"},
		{"a negative seq", `{"type":"flood","level":"low","seq":-1}`, "seq", "seq"},
		{"a writer with a long name", `{"type":"flood","level":"low","by":"` + strings.Repeat("x", 81) + `"}`, "set by the broker", "no valid name"},
		{"a writer with an odd name", `{"type":"flood","level":"low","by":"<a>~1"}`, "set by the broker", "no valid name"},
		{"an empty clear", `{"clear":""}`, "type", "type"},
		{"a clear that declares", `{"clear":"x","type":"flood"}`, "must be the only field", "must be the only field"},
		{"a clear with a ttl", `{"clear":"x","ttl":"1h"}`, "must be the only field", "must be the only field"},
		{"a clear with a scope", `{"clear":"x","scope":"a=1"}`, "must be the only field", "must be the only field"},
		{"a clear of a malformed ID", `{"clear":"a b"}`, "id", "id"},
		{"a clear of a level", `{"clear":"low"}`, "name of a level", "name of a level"},
		{"a clear with a stamp", `{"clear":"x","at":5}`, "set by the broker", ""},
		{"a clear by a writer with a long name", `{"clear":"x","by":"` + strings.Repeat("x", 81) + `"}`, "set by the broker", "no valid name"},
		{"a clear by a writer with an odd name", `{"clear":"x","by":"a b"}`, "set by the broker", "no valid name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseDeclaration([]byte(c.payload))
			says(t, err, c.http)
			_, err = Parse([]byte(c.payload), 7, 1)
			says(t, err, c.event)
		})
	}
}

func says(t *testing.T, err error, what string) {
	t.Helper()
	if what == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, what)
}

// Declare makes a record of a person's declaration, whose event fits whatever version a broker adds later.
// A change gives what changes; what is given and empty drops what there was.
func TestDeclarationOver(t *testing.T) {
	old := &Record{ID: "f", Version: Version{Seq: 3}, Terms: Terms{Type: "flood", Level: 3, Scope: []string{"district=2"}, Select: []string{"pumps"}, Message: "M"}}
	for text, want := range map[string]Terms{
		`{"id":"f"}`:                                    old.Terms,
		`{"id":"f","scope":null,"message":null}`:        old.Terms,
		`{"id":"f","level":"critical"}`:                 {Type: "flood", Level: 4, Scope: []string{"district=2"}, Select: []string{"pumps"}, Message: "M"},
		`{"id":"f","type":"fire","message":"N"}`:        {Type: "fire", Level: 3, Scope: []string{"district=2"}, Select: []string{"pumps"}, Message: "N"},
		`{"id":"f","scope":[],"message":""}`:            {Type: "flood", Level: 3, Select: []string{"pumps"}},
		`{"id":"f","scope":"","select":{}}`:             {Type: "flood", Level: 3, Message: "M"},
		`{"id":"f","scope":"a=1","select":["b=2","c"]}`: {Type: "flood", Level: 3, Scope: []string{"a=1"}, Select: []string{"b=2", "c"}, Message: "M"},
	} {
		d, err := ParseDeclaration([]byte(text))
		require.NoError(t, err, text)
		d = d.Over(old)
		r, err := d.Declare(7, "x")
		require.NoError(t, err, text)
		require.Equal(t, want, r.Terms, text)
	}
	d, err := ParseDeclaration([]byte(`{"id":"f"}`))
	require.NoError(t, err)
	_, err = new(d.Over(&Record{ID: "f", Cleared: []Mark{{At: 1}}})).Declare(7, "x")
	require.ErrorContains(t, err, "type", "where nothing but a clear is known, there is nothing to keep")
	for _, text := range []string{`{"id":"f","level":"hihg"}`, `{"id":"f","scope":"a in"}`, `{"id":"f","ttl":"-1s"}`, `{"level":"high"}`, `{"type":"flood"}`} {
		_, err = ParseDeclaration([]byte(text))
		require.Error(t, err, text)
	}
}

func TestDeclare(t *testing.T) {
	d, err := ParseDeclaration([]byte(`{"type":"flood","level":"high","scope":"district=7","ttl":"2h","message":"M"}`))
	require.NoError(t, err)
	r, err := d.Declare(77, "0a1b2c")
	require.NoError(t, err)
	require.Equal(t, &Record{
		ID: "flood-0a1b2c", Terms: Terms{Type: "flood", Level: 3, Scope: []string{"district=7"}, Message: "M"}, Version: Version{Seq: 1}, Declared: 77, TTL: clock.Duration(2 * time.Hour),
	}, r)
	d.ID = "mine"
	r, err = d.Declare(77, "0a1b2c")
	require.NoError(t, err)
	require.Equal(t, ID("mine"), r.ID)

	rapid.Check(t, func(t *rapid.T) {
		terms := anyTerms(t)
		d := Declaration{Type: terms.Type, Level: job.LevelText(job.LevelName(terms.Level)), Scope: terms.Scope, Select: terms.Select, Message: &terms.Message}
		r, err := d.Declare(anyStamp(t), "0123456789")
		if err != nil {
			require.ErrorContains(t, err, "fewer or shorter conditions")
			return
		}
		r.Version = Version{maxSeq, anyStamp(t), anyActor(t)}
		r.TTL = clock.Duration(MaxTTL - time.Nanosecond)
		_, err = r.Event()
		require.NoError(t, err, "an accepted declaration fits into an event")
	})
}
