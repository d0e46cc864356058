package broker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/ledger"
)

// A file that is carried is what a transfer between two brokers would bring (rules L4, L5), for others than can be reached, and
// what brokers say of themselves comes with it (rules B1 to B3). The shell writes and reads the file; here is what goes into one,
// and what becomes of what comes out.

// pack begins a file.
func (b *Broker) pack(in Pack) {
	names, refused := b.packFor(in)
	if refused != nil {
		b.answer(in.Token, refused)
		return
	}
	b.peers.Settle()
	since := b.heldByAll(names, in)
	t := b.ledger.Pin(since)
	t.Order(b.ledger, b.carryRank)
	b.answer(in.Token, &Packed{For: names, Roll: slices.Clone(b.members.Roll().Names()), Since: since, Transfer: t, Word: *b.word(), Absent: b.absentNames()})
}

// word is what this broker says of itself to whom it does not reach (rule B3).
func (b *Broker) word() *wire.Word {
	w := b.peers.Word()
	h := b.head()
	w.Hybrid, w.Metadata = h.Hybrid, h.Metadata
	return w
}

// speak answers with that.
func (b *Broker) speak(in Speak) {
	b.peers.Settle()
	b.answer(in.Token, &Spoken{*b.word(), b.absentNames()})
}

// absentNames lists the members that are not there, sorted.
func (b *Broker) absentNames() (out []string) {
	for _, name := range b.members.Counted() {
		if !b.members.Alive(name) {
			out = append(out, name)
		}
	}
	return out
}

// packFor says for which members a file is. Who takes part in nothing yet is admitted first, if that is wanted: it counts before it is told
// anything (rules M1, B2).
func (b *Broker) packFor(in Pack) (names []string, refused Answer) {
	no := func(format string, args ...any) ([]string, Answer) {
		return nil, &CarryRefused{fmt.Sprintf(format, args...)}
	}
	switch {
	case b.members.Roll().Closed(b.self):
		return no("this broker was removed from the roll, and is not in it again yet: what it holds may be behind")
	case b.members.Expects():
		return no("this broker was told to join others and has met none of them yet")
	case in.All:
		if names = b.absentNames(); len(names) == 0 {
			names = slices.Clone(b.members.Counted())
		}
		if len(names) == 0 {
			return no("nobody else takes part; name whom the file is for: --for NAME --admit")
		}
		return names, nil
	}
	var strangers []string
	for _, name := range in.For {
		switch {
		case name == b.self:
			return no("%s is this broker", name)
		case !label.ValidName(name):
			return no("%.64q is no name of a broker", name)
		case b.members.Roll().Closed(name):
			return no("%s has left, or was given up: it takes part again when a member has seen it", name)
		case !slices.Contains(b.members.Counted(), name):
			strangers = append(strangers, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range strangers {
		if b.members.Stranger(name) {
			return no("no authority is known here to have let in a broker %s: let it into the city first, ucp cluster invite --name %[1]s", name)
		}
	}
	if len(strangers) == 0 {
		return names, nil
	}
	if !in.Admit {
		return no("no broker %s takes part%s; if it is to, from now on, say --admit: then no result is firm before it has said that it knows it",
			strings.Join(strangers, ", "), meantName(strangers[0], b.members.Counted()))
	}
	if refused := b.needs(wire.V3); refused != nil {
		return nil, refused
	}
	for _, name := range strangers {
		b.admitByHand(name)
	}
	return names, nil
}

// meantName asks whether a name was meant; "" where there is none.
func meantName(name string, known []string) string {
	if near := label.Slip(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// admitByHand lets somebody take part whom nobody here reaches.
func (b *Broker) admitByHand(name string) {
	first := b.members.Roll().Empty()
	b.enrolment.write(name, "")
	if first {
		b.enrolment.write(b.self, "") // there was no roll: its first writer is in it
	}
}

// heldByAll is what all of these members are known to hold: by what they have told last, in whatever way. What is stable here says less:
// who has come since then may not hold it yet (rule F1).
func (b *Broker) heldByAll(names []string, in Pack) (since clock.Tips) {
	if in.Whole {
		return nil
	}
	for i, name := range names {
		held := b.peers.Clock(name)
		if len(held) == 0 {
			held = in.Held[name]
		}
		if i == 0 {
			since = held
		} else {
			since = b.ledger.Lineage().Meet(since, held)
		}
	}
	return since
}

// Ranks of records in a file: what is needed to read the rest first, then what is urgent.
const (
	rankSetting   = iota
	rankEmergency // and then jobs, the most urgent first
	rankMost      = 1 << 24
	rankRest      = rankMost + 1 // finished long ago, and named data
)

// carryRank is when a record's turn is in a file.
func (b *Broker) carryRank(ref ledger.Ref, r ledger.Record) int {
	switch ref.Kind {
	case kind.Setting:
		return rankSetting
	case kind.Emergency:
		return rankEmergency
	}
	if r, ok := r.(*job.Record); ok {
		return rankMost - min(b.attempts.urgency(r), rankMost-rankEmergency-1)
	}
	return rankRest
}

// packPage makes the next page of a file.
func (b *Broker) packPage(in PackPage) {
	d, last, err := in.Transfer.Page(b.ledger, wire.MaxPage)
	if err != nil {
		b.fail(err)
		return
	}
	in.Transfer.Advance()
	page := &PackedPage{Delta: d, Last: last}
	for _, e := range d.Entries {
		if e.Record == nil {
			continue
		}
		urgency := 0
		if r, ok := e.Record.(*job.Record); ok {
			urgency = b.attempts.urgency(r)
		}
		for _, digest := range b.newBlobs(in.Since, e.Record) {
			page.Blobs = append(page.Blobs, CarriedBlob{digest, urgency})
		}
	}
	b.answer(in.Token, page)
}

// newBlobs lists the blobs that came to a record by updates that a clock does not cover, and that are of use: whoever has told the clock
// has the others, or says that it lacks them (rule B1).
func (b *Broker) newBlobs(since clock.Tips, rec ledger.Record) (out []job.Digest) {
	by := b.ledger.Lineage()
	switch r := rec.(type) {
	case *job.Record:
		if r.IsStub() {
			return nil
		}
		for _, rep := range []*job.Report{r.Accepted(), r.Left()} {
			if rep != nil && rep.Result != nil && !by.Has(since, rep.Dot) {
				out = append(out, rep.Result.Blobs()...)
			}
		}
		known := false
		for d := range r.Creations() {
			known = known || by.Has(since, d)
		}
		switch c := r.Checkpoint; {
		case r.Finished():
		case !known:
			out = append(out, r.Needs()...)
		case c != nil && !by.Has(since, c.Dot):
			out = append(out, job.TreeOf(c.Tree))
		}
	case *data.Record:
		for v := range r.There() {
			if !by.Has(since, v.Dot) {
				out = append(out, v.Content.Blob())
			}
		}
	}
	return out
}

// unpack takes in a part of a file, as a page of a transfer.
func (b *Broker) unpack(in Unpack) {
	if why := b.refusesFile(&in); why != "" {
		b.answer(in.Token, &CarryRefused{why})
		return
	}
	d := in.Delta.ToLedger(in.Actor)
	d.Since, d.Clock = nil, nil
	if in.Last && !in.Bad {
		d.Since, d.Clock = in.Since, in.Clock
	}
	words, why := b.entered(&in, d)
	if why != "" {
		b.answer(in.Token, &CarryRefused{why})
		return
	}
	got := b.merge(d)
	out := &Unpacked{
		Changed: len(got.News), Adopted: got.Adopted,
		Bad:    in.Bad || got.Refused || got.Voided(),
		Unread: in.Unread || in.Delta.Bad() > 0 || len(got.Forgotten) > 0,
		Blobs:  b.broughtBlobs(in.Since, d),
	}
	if in.Last && !got.Adopted && !out.Bad && !out.Unread { // it goes on from what is yet to come here (rule R2)
		b.ledger.Ahead(in.Since, in.Clock)
	}
	out.Covered = in.Last && b.ledger.Covers(in.Clock)
	out.Words = words + b.hearWords(in.Words)
	b.peers.Settle()
	if in.Last {
		b.attempts.fetchSoon()
	}
	b.answer(in.Token, out)
}

// broughtBlobs lists the blobs that a file is to bring for the records of a page, as far as they are still of use here: if they do
// not come, this broker asks for them in its own next file, since by its word it holds these records.
func (b *Broker) broughtBlobs(since clock.Tips, d ledger.Delta) (out []job.Digest) {
	for _, e := range d.Entries {
		if e.Record == nil {
			continue
		}
		brings := b.newBlobs(since, e.Record)
		if len(brings) == 0 {
			continue
		}
		r, err := b.ledger.Get(e.Ref)
		if err != nil || r == nil {
			continue // it can't be read, or is forgotten
		}
		uses := b.newBlobs(since, r)
		for _, x := range brings {
			if slices.Contains(uses, x) {
				out = append(out, x)
			}
		}
	}
	return out
}

// entered sees to it that the packer of a file takes part, and this broker, as far as the file says so itself; it returns how many words
// were news, and why nothing is taken, "" where it is.
func (b *Broker) entered(in *Unpack, d ledger.Delta) (words int, why string) {
	if b.takesFrom(in.From, d) {
		return 0, ""
	}
	if b.members.Roll().Get(in.From) == nil {
		if b.members.Stranger(in.From) {
			return 0, fmt.Sprintf("no authority is known here to have let in %s, which has packed this (rule M6)", in.From)
		}
		b.admitByHand(in.From)
	}
	words = b.hearWords(in.Words) // they may say that others know of this broker again
	switch {
	case b.takesFrom(in.From, d):
		return words, ""
	case b.enrolment.blocked():
		return words, "this broker was removed from the roll, and takes nothing in before as many others as are to hold copies have said that they know that it is back"
	}
	return words, fmt.Sprintf("%s, which has packed this, does not take part", in.From)
}

// refusesFile says why nothing of a file is taken; "" where it is.
func (b *Broker) refusesFile(in *Unpack) string {
	switch {
	case in.From == b.self:
		return "this broker has packed it itself"
	case !slices.Contains(in.Roll, b.self):
		return fmt.Sprintf("%s, which has packed this, does not count %s among those who take part, and would take results for firm that it changes: let it pack another one, with --for %[2]s --admit", in.From, b.self)
	case b.members.Roll().Closed(in.From):
		return fmt.Sprintf("%s, which has packed this, has left, or was given up here", in.From)
	case b.members.Expects():
		return "this broker was told to join others and has met none of them yet: whether they count the packer it can't know"
	}
	if !b.members.TakesPart(in.From) {
		if refused := b.needs(wire.V3); refused != nil {
			return refused.Reason()
		}
	}
	return ""
}

// hearWords takes in what brokers have said of themselves at some time; it returns how many were news.
func (b *Broker) hearWords(list []*wire.Word) (news int) {
	for _, w := range list {
		if w.From == b.self || !b.members.TakesPart(w.From) || b.superseded(w.Actor) {
			continue
		}
		b.learn(*w.Metadata, true)
		c := w.Clock
		told, ok := b.peers.Understand(w.From, w.Actor, &c, w.Told, nil)
		if !ok || told.Late() {
			continue
		}
		b.observe(w.Hybrid)
		s := replication.Said{From: w.From, Actor: w.Actor, Hybrid: w.Hybrid, Clock: c, Told: told, Unproven: w.Metadata.Unproven}
		b.renewal.hear(&s)
		if b.peers.HearWord(b.corrected(s)) {
			news++
		}
	}
	if news > 0 {
		b.checkAcks()
	}
	return news
}

// hearAll takes in words that did not come with a file.
func (b *Broker) hearAll(in HearWords) {
	news := b.hearWords(in.Words)
	b.peers.Settle()
	unknown := 0
	for _, w := range in.Words {
		if w.From != b.self && !b.members.TakesPart(w.From) {
			unknown++
		}
	}
	b.answer(in.Token, &WordsHeard{News: news, Unknown: unknown})
}
