package kind

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
)

// growing makes a record of each kind that grows by merging, with one key, by one update, with fields of newer brokers and more writers.
var growing = map[ledger.Kind]func(dot clock.Dot, fields canon.Unknown, writers clock.Vector) ledger.Record{
	Job: func(dot clock.Dot, fields canon.Unknown, writers clock.Vector) ledger.Record {
		spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
		if err := spec.Complete(); err != nil {
			panic(err)
		}
		r := job.New("j1", spec, spec.Digest(), job.Stamp{Dot: dot, At: 7})
		r.Owner = job.Assignment{Broker: dot.Actor.Broker(), Actor: dot.Actor}
		r.Unknown = fields
		r.Dots.Merge(writers)
		return r
	},
	Setting: func(dot clock.Dot, fields canon.Unknown, writers clock.Vector) ledger.Record {
		s := setting.New("strategy", nil, "causal", 7, dot)
		s.Unknown = fields
		s.Dots.Merge(writers)
		return s
	},
	Emergency: func(dot clock.Dot, fields canon.Unknown, writers clock.Vector) ledger.Record {
		r := &emergency.Record{ID: "flood-1", Terms: emergency.Terms{Type: "flood", Level: 3}, Version: emergency.Version{Seq: 1, At: 7, By: dot.Actor},
			Declared: 7, TTL: clock.Duration(emergency.DefaultTTL), Created: []clock.Dot{dot}, Dots: clock.NewVector(dot), Unknown: fields}
		r.Dots.Merge(writers)
		return r
	},
	Member: func(dot clock.Dot, fields canon.Unknown, writers clock.Vector) ledger.Record {
		r := roll.Change(nil, "c", "", dot, 7)
		r.Unknown = fields
		r.Dots.Merge(writers)
		return r
	},
	Data: func(dot clock.Dot, fields canon.Unknown, writers clock.Vector) ledger.Record {
		r := data.Put("map", nil, data.Content{Digest: job.Digest(strings.Repeat("a", 64)), Size: 1}, 7, dot)
		r.Unknown = fields
		r.Dots.Merge(writers)
		return r
	},
}

// Whatever members write into one record, a broker that has taken it in starts again, and what it holds is read by the others
// (rules L10, L11): not too many fields of newer brokers, and of so many writers that nobody would read it only those that came first.
func TestWhatIsMergedIsReadAgain(t *testing.T) {
	many := func(prefix string) (out clock.Vector) {
		for i := range 2500 {
			out = append(out, clock.Dot{Actor: clock.Actor(fmt.Sprintf("%s%s~%016x", prefix, strings.Repeat("w", 60), i)), Counter: 1})
		}
		return out
	}
	large := func(names string) canon.Unknown {
		u := canon.Unknown{}
		for _, n := range names {
			u["z"+string(n)] = strings.Repeat("x", 16<<10)
		}
		return u
	}
	require.Len(t, growing, len(Schemas)-1, "all kinds but rows, which do not change")
	for kind, make := range growing {
		t.Run(string(kind), func(t *testing.T) {
			disk := pairs{}
			l := ledger.New("a~1", nil, Schemas[kind])
			entry := func(from clock.Actor, fields canon.Unknown, writers clock.Vector) ledger.Delta {
				made := make(clock.Dot{Actor: from, Counter: 1}, fields, writers)
				b := made.Encode()
				r, err := Schemas[kind].Decode(b)
				require.NoError(t, err, "each is read by itself, as it comes from a peer")
				return ledger.Delta{From: from, Entries: []ledger.Entry{{Ref: ledger.Ref{Kind: kind, Key: r.Key()}, Dots: r.Writers(), Encoded: b, Record: r}}}
			}
			var tooLarge, news int
			for _, d := range []ledger.Delta{
				entry("b~1", large("abcdefgh"), nil), entry("c~1", large("ijklmnop"), nil), // together more than a bound on all, if nothing is left out
				entry("d~1", nil, many("m")), entry("e~1", nil, many("n")), entry("f~1", nil, many("o")), entry("g~1", nil, many("p")),
			} {
				m, err := l.Merge(d)
				require.NoError(t, err)
				tooLarge, news = tooLarge+len(m.TooLarge), news+len(m.News)
			}
			require.Equal(t, 6, tooLarge+news)
			for _, op := range l.Take().Ops() {
				disk = append(disk, [2][]byte{op.Key, op.Value})
			}
			slices.SortFunc(disk, func(x, y [2][]byte) int { return slices.Compare(x[0], y[0]) })
			var seen int
			require.NoError(t, ledger.New("a~2", disk, Schemas[kind]).Load(disk.scan, func(_ ledger.Ref, r ledger.Record) {
				seen++
				_, err := Schemas[kind].Decode(r.Encode())
				require.NoError(t, err, "others read it")
			}))
			require.Equal(t, 1, seen)
			if kind != Job { // a job's has room for what many brokers report
				require.Positive(t, tooLarge)
			}
		})
	}
}

// What a broker has stored is read at its next start, however large it has become by what the broker has written itself (rule L10).
func TestWhatIsStoredIsReadAgain(t *testing.T) {
	for kind, make := range growing {
		var writers clock.Vector
		for i := range 10000 {
			writers = append(writers, clock.Dot{Actor: clock.Actor(fmt.Sprintf("b%s~%016x", strings.Repeat("w", 60), i)), Counter: 1})
		}
		b := make(clock.Dot{Actor: "a~1", Counter: 1}, nil, writers).Encode()
		_, err := Schemas[kind].Decode(b)
		require.ErrorContains(t, err, "are allowed", kind)
		disk := pairs{{ledger.RecordKey(ledger.Ref{Kind: kind, Key: make(clock.Dot{Actor: "a~1", Counter: 1}, nil, nil).Key()}), b}}
		require.NoError(t, ledger.New("a~2", disk, Schemas[kind]).Load(disk.scan, nil), kind)
	}
}

// A setting that a broker has changed in each of a few hundred starts is read by all (rule L11): drain and resume at each upgrade do that.
func TestASettingOfManyStarts(t *testing.T) {
	var s *setting.Setting
	for i := range 400 {
		s = setting.New("drain.n1", s, "x", clock.Hybrid(i+1), clock.Dot{Actor: clock.StartActor("n1", clock.Start(i+1)), Counter: 1})
	}
	_, err := setting.Decode(s.Encode())
	require.NoError(t, err)
}
