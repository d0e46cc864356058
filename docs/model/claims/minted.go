package main

import "github.com/urban-compute/ucp/docs/model/explore"

// mint is one reading of rule K3 for a broker that may have been removed from the roll (M2): a has created the record, and
// begins another start because somebody has lied to it. What is in doubt it creates again, but not what others may have
// forgotten without it. The others are one here.
type mint struct {
	atOnce bool // it does not wait until it has heard, from whoever is there, what has happened meanwhile
	early  bool // the lie may come before a is cut off, too
}

type minting struct {
	cut, removed bool // a is cut off; the others have removed it
	finished     bool // the others have finished the record, and forgotten it, which they may when a does not count
	lied, minted bool
	knows        bool  // a knows that it was removed, and is proven by nobody since then
	record       uint8 // what a holds
	again        bool  // a has created it again, by an update that the others do not know
	zombie       bool
}

func (r mint) next(s minting, step func(minting, string)) {
	to := func(can bool, what string, change func(*minting)) {
		if t := s; can {
			change(&t)
			step(t, what)
		}
	}
	first := !s.removed && !s.cut
	to(first, "a is cut off", func(t *minting) { t.cut = true })
	to(s.cut && !s.removed, "the others remove a", func(t *minting) { t.removed = true })
	to(s.removed && s.cut && !s.finished, "the others finish and forget the record", func(t *minting) { t.finished = true })
	to(s.removed && s.cut, "a is back", func(t *minting) { t.cut = false })

	hears := !s.cut
	to(hears && !s.lied && (r.early || s.removed), "somebody lies to a about its updates", func(t *minting) { t.lied = true })
	to(hears && s.removed && !s.knows, "a hears that it was removed", func(t *minting) { t.knows = true })
	waits := !r.atOnce && hears && s.removed && !s.knows // what is there to be heard comes within five seconds
	to(s.lied && !s.minted && !waits, "a begins another start", func(t *minting) {
		t.minted = true
		t.again = s.record == live && !s.knows
	})
	to(hears && s.record == live && (s.knows || !s.removed), "the others hear of a's record", func(t *minting) {
		switch {
		case s.finished && s.again:
			t.zombie = true
		case s.finished:
			t.record = none // set aside: all have said that they have forgotten it
		}
	})
}

func (s minting) broken() string {
	if s.zombie {
		return "zombie: what others have forgotten was created again"
	}
	return ""
}

func (r mint) search(most int) explore.Result {
	return explore.Search(explore.Model[minting]{Start: minting{record: live}, Next: r.next, Broken: minting.broken}, most)
}
