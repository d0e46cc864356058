package emergency

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// anyTerms draws valid terms. There are few values, so that two draws often
// have some in common.
func anyTerms(t *rapid.T) Terms {
	condition := rapid.SampledFrom([]string{"district=7", "district!=7", "gpu", "name in (a,b)", "zone=<&>", "zone=ä", "service in (pumps,hospitals,sirens,trams,schools)"})
	return Terms{
		Type: rapid.SampledFrom([]string{"flood", "quake", strings.Repeat("t", maxType)}).Draw(t, "type"), Level: rapid.IntRange(1, 4).Draw(t, "level"),
		Scope:   rapid.SliceOfN(condition, 0, maxConditions).Draw(t, "scope"),
		Select:  rapid.SliceOfN(condition, 0, maxConditions).Draw(t, "select"),
		Message: rapid.StringN(0, -1, maxMessage).Draw(t, "message"),
	}
}

func anyActor(t *rapid.T) clock.Actor {
	return clock.Actor(rapid.SampledFrom([]string{"a~1", "b~1", "b~2", strings.Repeat("n", 64) + "~01234567"}).Draw(t, "actor"))
}

// anyStamp draws often one of a few stamps, sometimes any stamp, as of a broken clock.
func anyStamp(t *rapid.T) clock.Hybrid {
	return clock.Hybrid(rapid.OneOf(rapid.Uint64Range(1, 9), rapid.Uint64Range(1, math.MaxUint64)).Draw(t, "stamp"))
}

// anyRecord draws a valid record: of the ledger or a hint, declared, cleared or both.
// All have the same ID, so that any two can be merged. Records with equal versions may have
// different terms.
func anyRecord(t *rapid.T) *Record {
	r := &Record{ID: "flood-1", Life: rapid.SampledFrom([]uint64{0, 0, 0, 690, maxLife}).Draw(t, "life")}
	declared := rapid.IntRange(0, 3).Draw(t, "declared") > 0
	if declared {
		r.Terms = anyTerms(t)
		r.Version = Version{Seq: rapid.OneOf(rapid.Uint64Range(1, 3), rapid.Just[uint64](maxSeq)).Draw(t, "seq"), At: anyStamp(t), By: rapid.SampledFrom([]clock.Actor{"", anyActor(t)}).Draw(t, "by")}
		r.Declared = anyStamp(t)
		r.TTL = clock.Duration(rapid.SampledFrom([]time.Duration{1, time.Minute, time.Hour, MaxTTL}).Draw(t, "ttl"))
	}
	if !declared || rapid.IntRange(0, 3).Draw(t, "cleared") == 0 {
		r.Cleared = []Mark{{anyStamp(t), anyActor(t)}}
	}
	if rapid.Bool().Draw(t, "of the ledger") {
		for i := range rapid.IntRange(1, maxCreated).Draw(t, "creations") {
			d := clock.Dot{Actor: clock.Actor(fmt.Sprintf("%s~%d", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "writer"), i)), Counter: rapid.Uint64Range(1, 3).Draw(t, "counter")}
			r.Created, _ = canon.Smallest(r.Created, []clock.Dot{d}, clock.Dot.Compare, maxCreated)
			r.Dots.Set(d)
		}
		r.Dots.Set(clock.Dot{Actor: anyActor(t), Counter: rapid.Uint64Range(1, 9).Draw(t, "later")})
	}
	if rapid.IntRange(0, 3).Draw(t, "newer") == 0 {
		r.Unknown.Add([]byte(rapid.SampledFrom([]string{"x", "a"}).Draw(t, "field")), rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value"))
	}
	return r
}

func join(a, b *Record) *Record {
	m, _ := Merge(a, b)
	return m
}

// same compares records by their canonical bytes, which is what brokers compare.
func same(t require.TestingT, want, got *Record, law string) {
	require.Equal(t, want.Encode(), got.Encode(), law)
}

// Merge is a join of any valid records: order and repetition do not matter
// (rules E3, L2). Its result is valid; otherwise peers would quarantine it.
func TestMergeIsAJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyRecord(t), anyRecord(t), anyRecord(t)
		before := [][]byte{a.Encode(), b.Encode(), c.Encode()}
		same(t, join(a, b), join(b, a), "commutative")
		same(t, join(join(a, b), c), join(a, join(b, c)), "associative")
		same(t, a, join(a, a), "idempotent")
		same(t, join(a, b), join(join(a, b), b), "absorbing")
		require.Equal(t, before, [][]byte{a.Encode(), b.Encode(), c.Encode()}, "a merge changes neither argument")
		require.NoError(t, join(join(a, b), c).validate())
	})
}

// Merge reports whether the result differs from its first argument (rule L6).
func TestMergeReportsChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyRecord(t), anyRecord(t)
		m, changed := Merge(a, b)
		require.Equal(t, changed, string(a.Encode()) != string(m.Encode()))
		if !changed {
			require.Same(t, a, m)
		}
	})
}

// Each field is merged as rule E3 says; other joins are possible.
func TestMergeOfEachField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyRecord(t), anyRecord(t)
		m := join(a, b)
		if a.Life != b.Life { // of two lives the later one stays (rule E6)
			later := a
			if b.Life > a.Life {
				later = b
			}
			require.Same(t, later, m)
			return
		}
		first := a.Declared
		if first == 0 || b.Declared != 0 && b.Declared < first {
			first = b.Declared
		}
		require.Equal(t, first, m.Declared, "the earliest declaration")
		require.Equal(t, max(a.TTL, b.TTL), m.TTL, "for the longest time")
		if m.Declared != 0 {
			require.Equal(t, clock.TimeOf(m.Declared)+clock.Time(time.Duration(m.TTL).Milliseconds()), m.Until())
		}
		latest := a
		if b.Version.compare(a.Version) > 0 {
			latest = b
		}
		require.Equal(t, latest.Version, m.Version)
		if a.Version != b.Version {
			require.Equal(t, latest.Terms, m.Terms)
		}
		require.Equal(t, a.Finished() || b.Finished(), m.Finished(), "a clear is permanent")
		if m.Finished() {
			require.False(t, m.Active(clock.TimeOf(max(m.Declared, 1))))
			for _, r := range []*Record{a, b} {
				require.False(t, r.Finished() && r.Cleared[0].compare(m.Cleared[0]) < 0, "the earliest clear")
			}
		}
		for name := range a.Unknown {
			require.Contains(t, m.Unknown, name, "a newer broker's field is lost")
		}
		for name := range b.Unknown {
			require.Contains(t, m.Unknown, name, "a newer broker's field is lost")
		}
	})
}

// The number decides before the clock does: a clock that is an hour ahead does not win for an
// hour (rule I3).
func TestTheLaterChangeBeatsTheFasterClock(t *testing.T) {
	terms := func(level int, v Version) *Record {
		return &Record{ID: "f", Terms: Terms{Type: "flood", Level: level}, Version: v, Declared: 5, TTL: 1}
	}
	fast, later := terms(4, Version{1, 1 << 40, "a~1"}), terms(2, Version{2, 7, "b~1"})
	require.Equal(t, 2, join(fast, later).Terms.Level)
	require.Equal(t, 2, join(later, fast).Terms.Level)
	sameNumber := terms(3, Version{2, 8, "a~1"})
	require.Equal(t, 3, join(later, sameNumber).Terms.Level, "with equal numbers the later stamp wins")
	sameTime := terms(1, Version{2, 8, "b~1"})
	require.Equal(t, 1, join(sameNumber, sameTime).Terms.Level, "with equal stamps the greater writer wins")
}

// Two events of stock command lines may have the same ID, and have no version of their own. In whatever
// order brokers receive them, they agree.
func TestEventsOfOneIDAgree(t *testing.T) {
	parse := func(payload string) *Record {
		r, err := Parse([]byte(payload), 7, 99)
		require.NoError(t, err)
		return r
	}
	low, high := parse(`{"id":"f","type":"flood","level":"low"}`), parse(`{"id":"f","type":"flood","level":"high","select":"pumps"}`)
	require.Equal(t, low.Version, high.Version)
	same(t, join(low, high), join(high, low), "commutative")
}

// Each change gets a higher number than the change that it has seen. At the largest number, which an event
// with an invented number may have reached, the next version must still be valid; otherwise every
// peer would quarantine the record.
func TestTheNextVersionIsValid(t *testing.T) {
	require.Equal(t, Version{8, 20, "b~1"}, Version{7, 10, "a~1"}.Next(20, "b~1"))
	last := Version{maxSeq, 10, "a~1"}
	next := last.Next(20, "b~1")
	require.Equal(t, Version{maxSeq, 20, "b~1"}, next)
	require.Positive(t, next.compare(last), "the time decides")
}

func TestActiveEndedAndOver(t *testing.T) {
	at := func(s int64) clock.Hybrid { return clock.HybridAt(time.Unix(s, 0)) }
	now := func(s int64) clock.Time { return clock.At(time.Unix(s, 0)) }
	hour := clock.Duration(time.Hour)
	declared := &Record{ID: "f", Declared: at(1000), TTL: hour}
	cleared := &Record{ID: "f", Declared: at(1000), TTL: hour, Cleared: []Mark{{at(2000), "a~1"}}}
	unknown := &Record{ID: "f", Cleared: []Mark{{at(2000), "a~1"}}}
	for _, c := range []struct {
		name   string
		r      *Record
		at     int64
		active bool
		ended  clock.Time
		over   bool
	}{
		{"at its declaration", declared, 1000, true, 0, false},
		{"just before its end", declared, 4599, true, 0, false},
		{"at its end", declared, 4600, false, now(4600), true},
		{"after its end", declared, 5000, false, now(4600), true},
		// A replay of its event would be active until its TTL has passed, so it is remembered from then on.
		{"cleared", cleared, 2500, false, now(2000), false},
		{"cleared before a clock that is behind", cleared, 1500, false, now(2000), false},
		{"cleared, and its TTL has passed", cleared, 4600, false, now(2000), true},
		{"only its clear is known", unknown, 2500, false, now(2000), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.active, c.r.Active(now(c.at)))
			require.Equal(t, c.ended, c.r.Ended(now(c.at)))
			require.Equal(t, c.over, c.r.Over(now(c.at)))
		})
	}
}

// A hint is no longer needed when the ledger's record covers it. Brokers that receive the same event date it
// by their own clocks, which makes no difference (rule E2).
func TestRecordCoversHint(t *testing.T) {
	base := Record{ID: "f", Version: Version{1, 50, "a~1"}, Declared: 50, TTL: 100}
	for _, c := range []struct {
		name   string
		alter  func(*Record)
		covers bool
	}{
		{"the same", func(*Record) {}, true},
		{"a stock event's", func(h *Record) { h.Version = Version{Seq: 1} }, true},
		{"another declaration time", func(h *Record) { h.Declared = 40 }, true},
		{"newer terms", func(h *Record) { h.Version.Seq++ }, false},
		{"a longer TTL", func(h *Record) { h.TTL++ }, false},
		{"a clear", func(h *Record) { h.Cleared = []Mark{{60, ""}} }, false},
	} {
		h := base
		c.alter(&h)
		require.Equal(t, c.covers, base.Covers(&h), c.name)
	}
	cleared := base
	cleared.Cleared = []Mark{{70, "a~1"}}
	h := base
	h.Cleared = []Mark{{60, ""}}
	require.True(t, cleared.Covers(&h), "brokers that receive the same clear date it by their own clocks, too")
}

// Another life has a later number than any that was forgotten, and than any that somebody else can have forgotten by now: whoever has
// forgotten it has known for thirty days that it was over (rule E6).
func TestLives(t *testing.T) {
	now := clock.At(time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC))
	life := LifeAt(now, Retention, 0)
	require.EqualValues(t, 693, life)
	require.Equal(t, life+1, LifeAt(now+clock.Time(Retention.Milliseconds()), Retention, 0))
	require.Equal(t, life, LifeAt(now, Retention, life-1))
	require.Equal(t, life+1, LifeAt(now, Retention, life), "where a clock was ahead")
	require.EqualValues(t, 1, LifeAt(-7, Retention, 0), "before 1970")
	require.EqualValues(t, uint64(maxLife), LifeAt(now, Retention, maxLife), "there is none behind the last one")
}
