package membership

import (
	"time"

	"github.com/urban-compute/ucp/clock"
)

// Member is one broker as SWIM sees it.
type Member struct {
	Name     string
	Actor    clock.Actor // of its present start; "" when not known yet
	Process  clock.Actor // the actor with which its process began, if that has begun another start since (rule K3); else ""
	Addr     string      // host:port of its gossip
	HTTPAddr string      // host:port of its HTTP API; "" when not known yet
	Status   Status
	Draining bool          // it is about to leave, and takes nothing (rule J6)
	RTT      time.Duration // by Serf's network coordinates; 0 when not known
	Protocol int           // the highest version of the protocol that it speaks; 0 when not known (rule K5)
}

// Runs reports whether this is the process that had an actor when it began, or has it now. Which ones it had between, it
// says itself: see [Membership.Present].
func (m Member) Runs(a clock.Actor) bool { return a != "" && (a == m.Actor || a == m.Process) }

// AsProcess is the actor that names the member's process, in what lasts longer than one of its starts: where a job runs,
// and who owns it. It is "" when the member's actor is not known.
func (m Member) AsProcess() clock.Actor {
	if m.Process != "" {
		return m.Process
	}
	return m.Actor
}

// Status is what SWIM says of a member.
type Status string

// The states of a member, as Serf names them.
const (
	Alive   Status = "alive"
	Leaving Status = "leaving"
	Left    Status = "left"
	Failed  Status = "failed"
)

// present reports whether a broker with this status is there.
func (s Status) present() bool { return s == Alive || s == Leaving }
