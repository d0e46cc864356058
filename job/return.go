package job

import (
	"cmp"
	"strings"

	"github.com/urban-compute/ucp/clock"
)

// MaxReturns is how many returned attempts a record keeps, the latest ones. An owner ends a job that has as many:
// what no broker could carry out so often is not to be tried for ever (rule J12).
const MaxReturns = 8

// maxReturnReason bounds the reason of a Return, in bytes.
const maxReturnReason = 512

// Return says that an executor could not carry an attempt out: the program is not at fault, and may run elsewhere (rule
// J12). It goes with the executor's report that the attempt has ended. That report has a failed result, which is all
// that a broker of a version before 2026-11-28 sees of it.
type Return struct {
	Attempt Attempt      `codec:"attempt"`
	By      clock.Actor  `codec:"by"` // the executor, as placements name it
	At      clock.Hybrid `codec:"at"`
	Reason  string       `codec:"reason"`          // for people
	Began   bool         `codec:"began,omitempty"` // the program may have run
	Never   bool         `codec:"never,omitempty"` // it would be the same again at this broker, until it starts again
}

// compare orders returns, the latest attempt first.
func (x Return) compare(y Return) int {
	return cmp.Or(y.Attempt.Compare(x.Attempt), cmp.Compare(x.By, y.By), cmp.Compare(x.At, y.At), cmp.Compare(x.Reason, y.Reason),
		compareBool(x.Began, y.Began), compareBool(x.Never, y.Never))
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

func (x Return) valid() bool {
	return x.Attempt.valid() && x.By.Broker() != "" && len(x.Reason) <= maxReturnReason
}

// AddReturn notes a returned attempt; its reason is cut to what a record holds. It may only be called inside
// [Record.With].
func (r *Record) AddReturn(x Return) {
	x.Reason = strings.ToValidUTF8(x.Reason[:min(len(x.Reason), maxReturnReason)], "")
	r.Returns, _ = mergeReturns(r.Returns, []Return{x})
}

// ReturnOf returns what is noted of an attempt that was returned; ok is false of any other.
func (r *Record) ReturnOf(a Attempt) (x Return, ok bool) {
	for _, x := range r.Returns {
		if x.Attempt == a {
			return x, true
		}
	}
	return Return{}, false
}

// Returned returns what is noted of the present attempt if its executor has returned it, so that the job needs another
// place; ok is false if it has not.
func (r *Record) Returned() (x Return, ok bool) { return r.ReturnOf(r.Place.Attempt) }
