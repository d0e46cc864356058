package broker

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/setting"
)

// In a city a name in the roll counts if an authority has let in a broker of that name (rule M6). Whoever admits somebody to the roll sees
// to it that the admission is in the ledger first: so whose clock covers the opening holds both.

// letIn takes in that an authority has let in a broker of a name. If the roll has it already, that counts from now on.
func (e *enrolment) letIn(name string) {
	waited := e.members.Unenrolled(name)
	if e.members.Admit(name); !e.started() {
		return // it is read from the disk
	}
	e.peers.Recount()
	if waited && e.members.Roll().Has(name) {
		e.peers.Pull(name)
	}
	e.look()
}

// whoIs asks the shell, now and then, who has let somebody in who has come.
func (e *enrolment) whoIs(name string) {
	if next := e.asked[name]; e.now.Before(next) {
		return
	}
	e.asked[name] = e.now.Add(patience)
	e.out.Introduce = append(e.out.Introduce, name)
}

// saysWho reports whether a record says that an authority has let a broker in. It is taken also from those that do not take part, as
// member records are.
func saysWho(r ledger.Record) bool {
	s, is := r.(*setting.Setting)
	if !is || s.Said == "" {
		return false
	}
	p, err := identity.DecodeProof([]byte(s.Said))
	if err != nil {
		return false
	}
	a, is := p.Statement.(*identity.Admission)
	return is && a.Role == identity.Broker
}

// adoptedKind is what names that were in the roll before the city are called among the broker's own values; that with no name says that
// they were written down.
const adoptedKind = "adopted"

func adoptedName(name string) string { return adoptedKind + "\x00" + name }

// beginAdopting writes down, at the first start in a city, who is in the roll and was let in by nobody: it was before the city, or before this
// rule. Of what is put into the roll later only that counts which an authority has let in.
func (e *enrolment) beginAdopting() {
	if e.cfg.City == "" || e.adopting {
		return
	}
	e.adopting = true
	e.ledger.KeepOwn(adoptedName(""), binary.AppendUvarint(nil, 1))
	for _, name := range append(e.members.Uninvited(), e.cfg.Adopted...) {
		if !e.members.Roll().Closed(name) {
			e.members.Adopt(name)
			e.ledger.KeepOwn(adoptedName(name), binary.AppendUvarint(nil, 1))
		}
	}
}

// recallAdopted takes in what an earlier start has written down.
func (e *enrolment) recallAdopted(name string) {
	if name == "" {
		e.adopting = true
	} else if !e.members.Roll().Closed(name) {
		e.members.Adopt(name)
	}
}

// dropAdopted forgets that a name was in the roll before the city, when it is out of it.
func (e *enrolment) dropAdopted(name string) {
	if e.cfg.City != "" {
		e.ledger.KeepOwn(adoptedName(name), nil)
	}
}

// mostShown bounds how many names are told of.
const mostShown = 8

// uninvitedText tells people which names in the roll do not count.
func uninvitedText(o *Overview) string {
	var all []string
	for _, m := range o.Roll {
		if m.Uninvited != "" {
			all = append(all, fmt.Sprintf("%s (by %s)", m.Name, m.Uninvited))
		}
	}
	if len(all) == 0 {
		return ""
	}
	if n := len(all) - mostShown; n > 0 {
		all = append(all[:mostShown], fmt.Sprintf("and %d more", n))
	}
	return "names that somebody has put into the roll, and that no authority of the city has let in: " + strings.Join(all, ", ") +
		"; nobody waits for them (rule M6). `ucp cluster forget NAME` takes one out, `ucp cluster revoke NAME` shuts out whoever has made it up"
}
