package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/test/race"
)

// carriedFile is what a shell writes into a file.
type carriedFile struct {
	from  *node
	actor clock.Actor
	roll  []string
	names []string // whom it is for
	since clock.Tips
	clock clock.Tips
	pages [][]byte
	words [][]byte
	needs []CarriedBlob
}

// now gives a broker an input, and returns its answer, which comes with its next commit.
func (w *world) answerNow(n *node, in func(Token) Input) (out Answer) {
	w.token++
	w.got[w.token] = func(a Answer) { out = a }
	w.step(n, in(w.token))
	for range 10 {
		if out != nil {
			return out
		}
		w.ready(n)
	}
	panic(fmt.Sprintf("%s does not answer", n.name))
}

// reached are the brokers to which messages of a node come.
func (w *world) reached(n *node) (out []*node) {
	for _, name := range w.names {
		o := w.nodes[name]
		if o.b != nil && o != n && w.apart[name] == w.apart[n.name] && !w.cut[[2]string{n.name, name}] {
			out = append(out, o)
		}
	}
	return out
}

// packFile does what a shell does; refused is the answer of a broker that packs nothing.
func (w *world) packFile(n *node, in Pack) (f *carriedFile, refused Answer) {
	var words [][]byte
	for _, o := range w.reached(n) {
		spoken := w.answerNow(o, func(t Token) Input { return Speak{Token: t} }).(*Spoken)
		words = append(words, spoken.Word.Encode())
	}
	a := w.answerNow(n, func(t Token) Input { in.Token = t; return in })
	p, ok := a.(*Packed)
	if !ok {
		return nil, a
	}
	f = &carriedFile{from: n, actor: n.cfg.Actor, roll: p.Roll, names: p.For, since: p.Since, clock: p.Transfer.Clock(), words: append(words, p.Word.Encode())}
	w.frontier(n, f.clock)
	for last := false; !last; {
		page := w.answerNow(n, func(t Token) Input { return PackPage{Token: t, Transfer: p.Transfer, Since: p.Since} }).(*PackedPage)
		d := wire.FromLedger(page.Delta)
		for list := range slices.Chunk(d.Records, 2) { // small pages, so that many files are cut
			f.pages = append(f.pages, wire.EncodePage(&wire.Delta{Records: list}))
		}
		f.needs = append(f.needs, page.Blobs...)
		last = page.Last
	}
	return f, nil
}

// unpackFile takes in so many pages of a file, or all of it if that is more than there are.
func (w *world) unpackFile(n *node, f *carriedFile, pages int) (out *Unpacked, refused Answer) {
	in := Unpack{From: f.from.name, Actor: f.actor, Roll: f.roll}
	for _, b := range f.words {
		word, err := wire.DecodeWord(b)
		must(err)
		in.Words = append(in.Words, word)
	}
	changed := 0
	step := func() (refused Answer) {
		a := w.answerNow(n, func(t Token) Input { in.Token = t; return in })
		var ok bool
		if out, ok = a.(*Unpacked); !ok {
			return a
		}
		in.Bad, in.Unread = out.Bad, out.Unread
		changed += out.Changed
		return nil
	}
	for _, b := range f.pages[:min(pages, len(f.pages))] {
		var err error
		in.Delta, err = wire.DecodePage(b)
		must(err)
		if refused := step(); refused != nil {
			return nil, refused
		}
	}
	if pages > len(f.pages) {
		in.Delta, in.Last, in.Since, in.Clock = new(wire.Delta), true, f.since, f.clock
		if refused := step(); refused != nil {
			return nil, refused
		}
		for _, o := range w.reached(n) { // its shell passes the words on
			w.answerNow(o, func(t Token) Input { return HearWords{Token: t, Words: in.Words} })
		}
	}
	if out == nil {
		out = new(Unpacked)
	}
	out.Changed = changed
	return out, nil
}

func (s *story) apart() {
	for i := 0; s.word(i) != ""; i++ {
		s.w.apart[s.word(i)] = "apart"
	}
}

func (s *story) pack() {
	in := Pack{Admit: s.d.HasArg("admit"), Whole: s.d.HasArg("whole")}
	if names := s.option("for", ""); names != "" {
		in.For = strings.Split(names, "+")
	}
	in.All = len(in.For) == 0
	f, refused := s.w.packFile(s.node(0), in)
	if refused != nil {
		s.w.say("%s packs nothing: %s", s.word(0), carryText(refused))
		return
	}
	s.w.files[s.word(1)] = f
	var blobs []string
	for _, b := range f.needs {
		blobs = append(blobs, fmt.Sprintf("%.4s", b.Digest))
	}
	s.w.say("%s packs %d pages for %s since %v%s", s.word(0), len(f.pages), strings.Join(f.names, " "), f.since, withText(" with ", strings.Join(blobs, " ")))
}

func withText(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func (s *story) unpack() {
	pages, err := strconv.Atoi(s.option("pages", "1000000"))
	require.NoError(s.t, err)
	out, refused := s.w.unpackFile(s.node(0), s.w.files[s.word(1)], pages)
	switch {
	case refused != nil:
		s.w.say("%s takes nothing: %s", s.word(0), carryText(refused))
	case out.Covered:
		s.w.say("%s takes %d records, and holds all that the packer held", s.word(0), out.Changed)
	default:
		s.w.say("%s takes %d records", s.word(0), out.Changed)
	}
}

func carryText(a Answer) string {
	switch a := a.(type) {
	case *CarryRefused:
		return a.Reason
	case *Outdated:
		return a.Reason()
	}
	return fmt.Sprintf("%T", a)
}

// halves are a and b, and c and d, which never hear of each other.
func halves() *world {
	w := newWorld()
	w.numbered = true
	w.apart["c"], w.apart["d"] = "apart", "apart"
	for _, name := range []string{"a", "b", "c", "d"} {
		w.start(name, func(*Config) {})
	}
	w.meet()
	w.pass(10 * time.Second)
	return w
}

// exchange carries a file each way.
func (w *world) exchange(t require.TestingT, a, c *node) {
	for _, way := range [][2]*node{{a, c}, {c, a}} {
		f, refused := w.packFile(way[0], Pack{All: true})
		require.Nil(t, refused, "%v", refused)
		out, refused := w.unpackFile(way[1], f, 1<<20)
		require.Nil(t, refused, "%v", refused)
		require.True(t, out.Covered, "%s does not hold what %s held: %+v, since %v up to %v, holds %v, seen %v", way[1].name, way[0].name, out, f.since, f.clock, way[1].b.ledger.Clock(), way[1].b.ledger.Seen())
		w.pass(5 * time.Second)
	}
}

// Files in any order, twice, and cut, between halves that never hear of each other, with work on both sides meanwhile: nobody's clock
// covers what it does not hold (checkHeld, after each step), and when files have gone both ways at last all hold the same, as by links.
func TestCarriedFilesConverge(t *testing.T) {
	if race.Enabled {
		t.Skip("the core has no goroutine: scripts/test.sh runs it without the race detector, in a tenth of the time")
	}
	rapid.Check(t, func(t *rapid.T) {
		w := halves()
		first, refused := w.packFile(w.nodes["a"], Pack{For: []string{"c"}, Admit: true})
		require.Nil(t, refused)
		files, jobs := []*carriedFile{first}, 0
		pick := func(what string) *node { return w.nodes[rapid.SampledFrom(w.names).Draw(t, what)] }
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				jobs++
				w.submit(pick("at"), job.ID(fmt.Sprintf("j%d", jobs)))
				w.settle()
			case 2:
				if f, _ := w.packFile(pick("packs"), Pack{All: true, Whole: rapid.Bool().Draw(t, "whole")}); f != nil {
					files = append(files, f)
				}
			case 3, 4:
				f := files[rapid.IntRange(0, len(files)-1).Draw(t, "file")]
				pages := 1 << 20
				if rapid.Bool().Draw(t, "cut") {
					pages = rapid.IntRange(0, len(f.pages)).Draw(t, "pages")
				}
				w.unpackFile(pick("unpacks"), f, pages)
			case 5:
				w.pass(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			}
			w.checkHeld()
			require.Empty(t, w.errors)
		}
		a, c := w.nodes["a"], w.nodes["c"]
		f, refused := w.packFile(a, Pack{For: []string{"c"}, Admit: true, Whole: true})
		require.Nil(t, refused)
		_, refused = w.unpackFile(c, f, 1<<20)
		require.Nil(t, refused)
		w.pass(5 * time.Second)
		w.exchange(t, a, c)
		for _, n := range []*node{a, c} { // what has not ended is taken over by each half in turn, as after any split
			for i := range jobs {
				if keys := n.b.withID(job.ID(fmt.Sprintf("j%d", i+1))); len(keys) > 0 {
					w.ask(n, "", func(t Token) Input { return Cancel{Token: t, ID: keys[0]} })
				}
			}
			w.pass(3 * time.Second)
		}
		for range 3 {
			w.exchange(t, a, c)
			w.pass(2 * time.Minute) // b and d hear of clocks that nothing else comes with
		}
		w.checkHeld()
		require.Empty(t, w.errors)
		w.sameEverywhere(t, jobs)
	})
}

// sameEverywhere compares what all brokers hold, and looks for all jobs.
func (w *world) sameEverywhere(t require.TestingT, jobs int) {
	a := w.nodes["a"]
	for _, name := range w.names {
		n := w.nodes[name]
		require.Equal(t, a.b.ledger.Clock(), n.b.ledger.Clock(), name)
		require.Equal(t, shownRecords(a), shownRecords(n), name)
		for i := range jobs {
			require.NotEmpty(t, n.b.withID(job.ID(fmt.Sprintf("j%d", i+1))), "%s lacks j%d", name, i+1)
		}
	}
}

// shownRecords are the records on a broker's disk, encoded, without rows of starts.
func shownRecords(n *node) map[ledger.Ref]string {
	out := map[ledger.Ref]string{}
	must(ledger.Records(n.disk.Scan, kind.Schemas, func(s ledger.Stored) error {
		if s.Kind != ledger.Starts {
			out[s.Ref] = string(s.Value)
		}
		return nil
	}))
	return out
}

// A result that was made in one half becomes firm in both when files have gone to and fro: the clocks in them count as told (rules F2, B3).
func TestResultsBecomeFirmByFiles(t *testing.T) {
	w := halves()
	a, c := w.nodes["a"], w.nodes["c"]
	f, refused := w.packFile(a, Pack{For: []string{"c"}, Admit: true})
	require.Nil(t, refused)
	_, refused = w.unpackFile(c, f, 1<<20)
	require.Nil(t, refused)
	w.pass(time.Second)
	w.exchange(t, c, a)
	w.submit(a, "j1")
	w.pass(time.Second)
	for _, name := range []string{"a", "b"} {
		n := w.nodes[name]
		for key, run := range maps.Clone(n.running) {
			delete(n.running, key)
			now := clock.At(w.now)
			w.step(n, Reported{Key: run.Key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded, Started: now, Finished: now}})
		}
	}
	w.pass(5 * time.Second)
	firm := func(n *node) bool {
		keys := n.b.withID("j1")
		if len(keys) == 0 {
			return false
		}
		r := n.b.record(keys[0])
		return r.Finished() && n.b.firm(r)
	}
	require.True(t, a.b.record(a.b.withID("j1")[0]).Finished())
	require.False(t, firm(a), "c and d have not said that they know the end")
	for range 3 {
		w.exchange(t, a, c)
	}
	for _, name := range w.names {
		require.True(t, firm(w.nodes[name]), name)
	}
	require.Empty(t, w.errors)
}

// A page with a record that can't be kept holds the clock of its file back, as that of a message (rule L10).
func TestABadPageHoldsTheClockBack(t *testing.T) {
	w := halves()
	a, c := w.nodes["a"], w.nodes["c"]
	w.submit(a, "j1")
	w.pass(time.Second)
	f, refused := w.packFile(a, Pack{For: []string{"c"}, Admit: true})
	require.Nil(t, refused)
	d, err := wire.DecodePage(f.pages[len(f.pages)-1])
	require.NoError(t, err)
	for i := range d.Records {
		d.Records[i].Bytes, d.Records[i].Key = []byte("nonsense"), strings.Repeat("x", 2000)
	}
	f.pages[len(f.pages)-1] = wire.EncodePage(d)
	out, refused := w.unpackFile(c, f, 1<<20)
	require.Nil(t, refused)
	require.True(t, out.Bad)
	require.False(t, out.Covered)
	require.Empty(t, c.b.ledger.Clock().Of("a"))
	require.Empty(t, w.errors)
}

// The blobs of a job go with the records that brought them: its inputs when it is new to the readers, its output when they lack its end
// (rule B1).
func TestBlobsFollowRecords(t *testing.T) {
	w := halves()
	a, c := w.nodes["a"], w.nodes["c"]
	input, output := job.Digest(strings.Repeat("1", 64)), job.Digest(strings.Repeat("2", 64))
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}, Inputs: map[string]string{"in": string(input)}}
	must(spec.Complete())
	w.ask(a, "", func(t Token) Input { return Submit{Token: t, ID: "j1", Spec: spec} })
	w.pass(3 * time.Second)
	digests := func(in Pack) (out []job.Digest) {
		f, refused := w.packFile(a, in)
		require.Nil(t, refused, "%v", refused)
		_, refused = w.unpackFile(c, f, 1<<20)
		require.Nil(t, refused, "%v", refused)
		back, refused := w.packFile(c, Pack{All: true})
		require.Nil(t, refused, "%v", refused)
		_, refused = w.unpackFile(a, back, 1<<20)
		require.Nil(t, refused, "%v", refused)
		for _, b := range f.needs {
			out = append(out, b.Digest)
		}
		return out
	}
	require.Equal(t, []job.Digest{input}, digests(Pack{For: []string{"c"}, Admit: true}))
	key := a.b.withID("j1")[0]
	change := func(edit func(dot clock.Dot, r *job.Record)) {
		_, err := a.b.ledger.Apply(kind.JobRef(key), func(dot clock.Dot, old ledger.Record) ledger.Record {
			return old.(*job.Record).With(dot, func(r *job.Record) { edit(dot, r) })
		})
		require.NoError(t, err)
	}
	change(func(dot clock.Dot, r *job.Record) {
		rep := job.Report{Attempt: r.Place.Attempt, Dot: dot, Phase: job.Done, Result: &job.Result{Outcome: job.Succeeded, Stdout: &job.Blob{Digest: output, Size: 1}}}
		r.SetReport(rep)
		r.AddVerdict(job.Verdict{Dot: dot, Outcome: job.Succeeded, Report: &rep})
	})
	require.Equal(t, []job.Digest{output}, digests(Pack{For: []string{"c"}}))
	change(func(clock.Dot, *job.Record) {}) // by an update that brings no blob
	require.Empty(t, digests(Pack{For: []string{"c"}}))
}

// Of two jobs the more urgent one is in the file first.
func TestUrgentJobsComeFirst(t *testing.T) {
	w := halves()
	a := w.nodes["a"]
	for i, user := range []int{2, 9, 5} {
		spec := job.Spec{Command: "work", Priority: job.Priority{User: int32(user)}}
		must(spec.Complete())
		w.ask(a, "", func(t Token) Input { return Submit{Token: t, ID: job.ID(fmt.Sprintf("j%d", i)), Spec: spec} })
	}
	w.pass(3 * time.Second)
	f, refused := w.packFile(a, Pack{For: []string{"c"}, Admit: true})
	require.Nil(t, refused)
	var order []string
	for _, b := range f.pages {
		d, err := wire.DecodePage(b)
		require.NoError(t, err)
		for _, e := range d.Records {
			if e.Kind == kind.Job {
				order = append(order, e.Key[:2])
			}
		}
	}
	require.Equal(t, []string{"j1", "j2", "j0"}, order)
}
