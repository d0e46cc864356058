package trust

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/urban-compute/ucp/identity"
)

// Bounds of what is remembered of one subject.
const (
	maxSaid  = 32 // statements
	maxOfOne = 4  // of these, of one kind by one authority
)

// Book answers by all statements that a broker holds, and by the authorities that are in force. What an authority has said counts
// as long as it is in force. The zero value is not ready: make one with [NewBook]. One goroutine owns a Book.
type Book struct {
	authorities *identity.Authorities
	said        map[string][]*identity.Proof             // by subject
	ended       map[identity.PublicKey][]*identity.Proof // revocations that name a member's key
}

// NewBook makes a book without statements.
func NewBook(a *identity.Authorities) *Book {
	return &Book{authorities: a, said: map[string][]*identity.Proof{}, ended: map[identity.PublicKey][]*identity.Proof{}}
}

// join adds a statement to those of a subject: of one kind by one authority the first few by the order of proofs, and of
// these the first few. Both go by one order, so that all who have heard the same remember the same.
func join(list []*identity.Proof, p *identity.Proof) (out []*identity.Proof) {
	at, known := slices.BinarySearchFunc(list, p, (*identity.Proof).Compare)
	if known {
		return list
	}
	for _, x := range slices.Insert(slices.Clone(list), at, p) {
		same := 0
		for _, y := range out {
			if y.SameSigner(x) {
				same++
			}
		}
		if same < maxOfOne && len(out) < maxSaid {
			out = append(out, x)
		}
	}
	return out
}

// Authorities are those of the city as far as they are known.
func (b *Book) Authorities() *identity.Authorities { return b.authorities }

// Learn takes in statements, and what others say of the authorities, nil for nothing. It reports whether the authorities are
// others than before. It does not matter in which order what is learnt comes, nor how often.
func (b *Book) Learn(others *identity.Authorities, proofs ...*identity.Proof) (news bool, err error) {
	all := b.authorities
	if others != nil {
		if all, _, err = all.Merge(others); err != nil {
			return false, err
		}
	}
	var changes []*identity.Change
	for _, p := range proofs {
		changes = append(changes, p.Changes()...)
		subject := p.Statement.Subject()
		b.said[subject] = join(b.said[subject], p)
		if x, is := p.Statement.(*identity.Revocation); is && x.Key != "" {
			b.ended[x.Key] = join(b.ended[x.Key], p)
		}
	}
	if all, err = all.Join(changes); err != nil {
		return false, err
	}
	news = all != b.authorities
	b.authorities = all
	return news, nil
}

// Revoked is an admission that counts no more, since an authority has said so.
type Revoked struct {
	Name string
	By   identity.PublicKey
}

// Error implements error.
func (r *Revoked) Error() string {
	return fmt.Sprintf("%s belongs to this city no more: its membership was revoked", r.Name)
}

// Renamed is an admission of a name that belongs to another key.
type Renamed struct{ Admission, Other *identity.Admission }

// Error implements error.
func (r *Renamed) Error() string {
	return fmt.Sprintf("the name %s was given to another key (%.12s) than this one (%.12s), later: let one of both come in by another invite, under another name", r.Admission.Name, r.Other.Key, r.Admission.Key)
}

// Verify returns why an admission is not one that stands, or nil: it is by an authority in force, not revoked by that or
// one above it, and its name was not given to another key later.
func (b *Book) Verify(a *identity.Admission) error {
	if err := b.stands(a); err != nil {
		return err
	}
	if x := b.Holder(a.Name); x != nil && x.Key != a.Key && after(x, a) {
		return &Renamed{a, x}
	}
	return nil
}

// stands is Verify without a look at who else has the name.
func (b *Book) stands(a *identity.Admission) error {
	if err := b.authorities.Verify(a); err != nil {
		return err
	}
	for _, r := range slices.Concat(of[*identity.Revocation](b.said[identity.MemberSubject(a.Name)]), of[*identity.Revocation](b.ended[a.Key])) {
		if r.Ends(a) && b.authorities.Above(r.By, a.By) {
			return &Revoked{a.Name, r.By}
		}
	}
	return nil
}

// Revocations lists all revocations, in no particular order.
func (b *Book) Revocations() (out []*identity.Proof) {
	for _, list := range b.said {
		for _, p := range list {
			if _, is := p.Statement.(*identity.Revocation); is {
				out = append(out, p)
			}
		}
	}
	return out
}

// after reports whether an admission is a later one than another.
func after(x, y *identity.Admission) bool {
	return cmp.Or(cmp.Compare(x.Number, y.Number), cmp.Compare(x.Key, y.Key)) > 0
}

// of lists the statements of one type.
func of[S identity.Statement](list []*identity.Proof) (out []S) {
	for _, p := range list {
		if s, is := p.Statement.(S); is {
			out = append(out, s)
		}
	}
	return out
}

// Holder is the admission by which a name belongs to somebody, the latest one that stands; nil where nobody is known to have it.
func (b *Book) Holder(name string) (holder *identity.Admission) {
	for _, a := range of[*identity.Admission](b.said[identity.MemberSubject(name)]) {
		if b.stands(a) == nil && (holder == nil || after(a, holder)) {
			holder = a
		}
	}
	return holder
}

// Keys are those that the broker of a name has, or had: of all admissions that an authority is known to have signed, also those that
// stand no more.
func (b *Book) Keys(name string) (out []identity.PublicKey) {
	for _, a := range of[*identity.Admission](b.said[identity.MemberSubject(name)]) {
		if a.Role == identity.Broker {
			out = append(out, a.Key)
		}
	}
	return out
}

// Gone reports whether the membership of a name was revoked, and nobody has it since.
func (b *Book) Gone(name string) bool {
	if b.Holder(name) != nil {
		return false
	}
	return slices.ContainsFunc(of[*identity.Revocation](b.said[identity.MemberSubject(name)]), func(r *identity.Revocation) bool {
		return b.authorities.InForce(r.By)
	})
}

// Last is the greatest number that was said of a name: the next admission has a greater one. 0 is none.
func (b *Book) Last(name string) (last uint64) {
	for _, a := range of[*identity.Admission](b.said[identity.MemberSubject(name)]) {
		last = max(last, a.Number)
	}
	for _, r := range of[*identity.Revocation](b.said[identity.MemberSubject(name)]) {
		last = max(last, r.Upto)
	}
	return last
}

// Barred reports whether a key was a member's whose membership was revoked: it is not admitted again.
func (b *Book) Barred(key identity.PublicKey) bool {
	if slices.ContainsFunc(of[*identity.Revocation](b.ended[key]), func(r *identity.Revocation) bool { return b.authorities.InForce(r.By) }) {
		return true
	}
	return b.ofKey(key, func(a *identity.Admission) bool {
		_, revoked := b.stands(a).(*Revoked)
		return revoked
	}) != nil
}

// ofKey is an admission of a key for which want says yes; nil if there is none.
func (b *Book) ofKey(key identity.PublicKey, want func(*identity.Admission) bool) *identity.Admission {
	for _, subject := range slices.Sorted(maps.Keys(b.said)) {
		for _, a := range of[*identity.Admission](b.said[subject]) {
			if a.Key == key && want(a) {
				return a
			}
		}
	}
	return nil
}

// Admission is the one of a key that stands, whoever has its name; nil where none is known.
func (b *Book) Admission(key identity.PublicKey) *identity.Admission {
	return b.ofKey(key, func(a *identity.Admission) bool { return b.stands(a) == nil })
}

// Split is a name that two authorities have given to two keys without knowing of each other, as on two sides of a split.
type Split struct{ Holder, Other *identity.Admission }

// String says it to people.
func (s Split) String() string {
	return fmt.Sprintf("the name %s was given to two members by authorities that did not know of each other: the later one has it (key %.12s), the other one (key %.12s) is shut out: invite that under another name, then `ucp cluster revoke %s`",
		s.Holder.Name, s.Holder.Key, s.Other.Key, s.Other.Key)
}

// Splits lists the names that two keys were given, by name.
func (b *Book) Splits() (out []Split) {
	for _, subject := range slices.Sorted(maps.Keys(b.said)) {
		list := of[*identity.Admission](b.said[subject])
		if len(list) < 2 {
			continue
		}
		holder := b.Holder(list[0].Name)
		for _, a := range list {
			if holder != nil && a.Key != holder.Key && a.Number > holder.Replaces && b.stands(a) == nil {
				out = append(out, Split{holder, a})
			}
		}
	}
	return out
}

// TokensUpto is until when, in milliseconds since 1970, tokens of a subject that were issued then are revoked; 0 is never.
func (b *Book) TokensUpto(subject string) (upto uint64) {
	for _, r := range of[*identity.Revocation](b.said[identity.TokensSubject(subject)]) {
		if b.authorities.InForce(r.By) {
			upto = max(upto, r.Upto)
		}
	}
	return upto
}

// Operators lists the admissions of operators that stand, by name.
func (b *Book) Operators() (out []*identity.Admission) {
	for _, subject := range slices.Sorted(maps.Keys(b.said)) {
		list := of[*identity.Admission](b.said[subject])
		if len(list) == 0 {
			continue
		}
		if holder := b.Holder(list[0].Name); holder != nil && holder.Role == identity.Operator {
			out = append(out, holder)
		}
	}
	return out
}

// With is the book that this one will be with one more statement; this one stays as it is.
func (b *Book) With(p *identity.Proof) (*Book, error) {
	next := &Book{authorities: b.authorities, said: maps.Clone(b.said), ended: maps.Clone(b.ended)}
	_, err := next.Learn(nil, p)
	return next, err
}
