package node

import (
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/store"
)

// newSheets are those of a broker of a city, over a store.
func newSheets(t *testing.T, limit int64) *sheets {
	st, err := store.Open(store.Options{Dir: t.TempDir(), Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	f := city.Of(t.TempDir())
	_, err = city.Found(f, nil, city.Founding{Broker: "a", At: time.UnixMilli(5), Keyring: func(path string) error { return os.WriteFile(path, nil, 0o600) }})
	require.NoError(t, err)
	self, err := city.Open(f, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	h := &heads{all: city.NewHeads(self), log: slog.New(slog.DiscardHandler)}
	h.sheets = &sheets{heads: h, store: st, name: "a", log: h.log, limit: limit, found: map[ledger.Ref]string{}, told: func(broker.Looked) {}}
	require.NoError(t, h.sheets.recall())
	return h.sheets
}

// commit keeps the sheet of a commit that ends with an update, and is over n slots.
func (s *sheets) commit(t *testing.T, a clock.Actor, counter uint64, n int, of ...head.Hash) {
	for i := range n {
		of = append(of, head.Slot{Kind: "x", Key: string(a), Content: []byte{byte(counter), byte(i)}}.Leaf())
	}
	x, err := s.heads.all.Sign(clock.Dot{Actor: a, Counter: counter}, of)
	require.NoError(t, err)
	var b store.Batch
	for _, op := range s.keep(&head.Sheet{Head: x, Leaves: of}) {
		if op.Value == nil {
			b.Delete(op.Key)
		} else {
			b.Set(op.Key, op.Value)
		}
	}
	require.NoError(t, s.store.Commit(&b))
}

// A broker has the sheet of each of its commits, by any update in it, of its earlier starts too.
func TestSheetsAreFoundByTheirUpdates(t *testing.T) {
	s := newSheets(t, keptSheets)
	one, two := clock.StartActor("a", 1), clock.StartActor("a", 2)
	s.commit(t, one, 3, 2)
	s.commit(t, one, 7, 1)
	s.commit(t, two, 2, 0)
	for _, c := range []struct {
		a       clock.Actor
		counter uint64
		upto    uint64 // of the commit; 0 is none
	}{{one, 1, 3}, {one, 3, 3}, {one, 4, 7}, {one, 7, 7}, {one, 8, 0}, {two, 1, 2}, {two, 2, 2}, {two, 3, 0}, {clock.StartActor("a", 0), 1, 0}} {
		x, err := s.own(c.a, c.counter)
		require.NoError(t, err)
		if c.upto == 0 {
			require.Nil(t, x, c)
			continue
		}
		require.Equal(t, clock.Dot{Actor: c.a, Counter: c.upto}, x.Head.Dot(), c)
	}
	list, err := s.heads.Sheets(one, []uint64{7, 1, 2, 5, 99})
	require.NoError(t, err)
	require.Len(t, list, 2, "each once")
}

// The earliest sheets go when there is no room, those of earlier starts first, and a restart counts what there is.
func TestSheetsAreBounded(t *testing.T) {
	const limit = 64 << 10
	s := newSheets(t, limit)
	stored := func() (n int64) {
		require.NoError(t, s.store.Scan([]byte(sheetsPrefix), func(_, value []byte) error { n += int64(len(value)); return nil }))
		return n
	}
	early, late := clock.StartActor("a", 1), clock.StartActor("a", 2)
	s.commit(t, early, 1, 10)
	for n := range uint64(200) {
		s.commit(t, late, n+1, 20)
		require.LessOrEqual(t, stored(), int64(limit))
		require.Equal(t, stored(), s.size)
	}
	require.Greater(t, stored(), int64(limit/2))
	x, err := s.own(early, 1)
	require.NoError(t, err)
	require.Nil(t, x)
	x, err = s.own(late, 200)
	require.NoError(t, err)
	require.NotNil(t, x)
	size := s.size
	s.size = 0
	require.NoError(t, s.recall())
	require.Equal(t, size, s.size)
}

// What is in this broker's own name and it has not written is found; what it has written is not, and what nobody can tell is not either.
func TestWhatIsForgedIsFound(t *testing.T) {
	s := newSheets(t, keptSheets)
	var err error
	s.audits, err = openAudits(s.store, "a", &Config{Now: time.Now, Random: rand.Reader}, s.log)
	require.NoError(t, err)
	s.now = time.Now
	a := clock.StartActor("a", 1)
	spec := job.Spec{Command: "true"}
	require.NoError(t, spec.Complete())
	end := func(id job.ID, reason string) *job.Record {
		d := clock.Dot{Actor: a, Counter: 1}
		return job.New(id, spec, spec.Digest(), job.Stamp{Dot: d, At: 1}).With(d, func(r *job.Record) {
			r.AddVerdict(job.Verdict{At: 2, Dot: d, Outcome: job.Failed, Reason: reason})
		})
	}
	look := func(r *job.Record) {
		s.queue = append(s.queue, looked{kind.JobRef(r.Key()), r})
		s.check(t.Context())
	}
	var told broker.Looked
	s.told = func(in broker.Looked) { told = in }
	good := end("one", "it failed")
	look(good) // nothing was signed yet: nobody can tell
	require.Empty(t, s.troubles())
	require.Equal(t, broker.Looked{Ends: []*job.Record{good}}, told)
	stranger := good.With(clock.Dot{Actor: "z~1", Counter: 1}, func(r *job.Record) {
		r.AddVerdict(job.Verdict{At: 1, Dot: clock.Dot{Actor: "z~1", Counter: 1}, Outcome: job.Cancelled})
	})
	told, s.brokers = broker.Looked{}, func() []membership.Member { return nil }
	look(stranger)
	require.Empty(t, told.Ends, "z is not there to be asked")
	var leaves []head.Hash
	for _, c := range kind.Claims(kind.JobRef(good.Key()), good) {
		leaves = append(leaves, c.Leaf)
	}
	s.commit(t, a, 1, 3, leaves...)
	look(good)
	require.Empty(t, s.troubles())
	look(end("one", "made up"))
	look(end("one", "made up again"))
	look(end("two", "made up"))
	require.Len(t, s.troubles(), 2, "each record once")
	two := end("two", "made up")
	require.Equal(t, []*job.Record{two}, told.Ends)
	require.Contains(t, told.MadeUp, broker.MadeUp{Key: two.Key(), Dot: clock.Dot{Actor: a, Counter: 1}})
	require.Contains(t, s.troubles()[0], "FORGED: the accepted of job one~")
	require.Equal(t, uint64(2), s.heads.Forged())

	put := func(digit string) *data.Record {
		return data.Put("sensors/level", nil, data.Content{Digest: job.Digest(strings.Repeat(digit, 64))}, 3, clock.Dot{Actor: a, Counter: 2})
	}
	level := put("1")
	leaves = nil
	for _, c := range kind.Claims(kind.DataRef(level.Name), level) {
		leaves = append(leaves, c.Leaf)
	}
	s.commit(t, a, 2, 3, leaves...)
	s.sees(kind.DataRef(level.Name), level)
	s.check(t.Context())
	require.Len(t, s.troubles(), 2)
	s.sees(kind.DataRef(level.Name), put("2"))
	s.check(t.Context())
	require.Len(t, s.troubles(), 3)
	require.Contains(t, s.troubles()[2], "FORGED: the version of data sensors/level is in the name of a~")
}

// A broker that is given more to look at than it can looks at the latest.
func TestWhatIsToBeLookedAtIsBounded(t *testing.T) {
	s := newSheets(t, keptSheets)
	for range 3 * maxToLookAt {
		s.queue = append(s.queue, looked{})
	}
	s.look(broker.Ready{Commit: new(ledger.Batch)})
	require.Len(t, s.queue, maxToLookAt)
}
