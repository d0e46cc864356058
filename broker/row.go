package broker

import (
	"fmt"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/resolve"
)

// Row is a broker's metadata: what others need to know of it to place jobs and
// to show it. It is ephemeral and has a single writer; the newest version wins.
type Row struct {
	Version clock.Hybrid `codec:"version" json:"version"`
	Name    string       `codec:"name" json:"name"`
	Actor   clock.Actor  `codec:"actor" json:"actor"`

	HTTPAddr string `codec:"http" json:"http_addr"`
	Software string `codec:"software" json:"software"`
	Protocol int    `codec:"protocol" json:"protocol"`
	Strategy string `codec:"strategy" json:"strategy"`

	Capabilities Capabilities      `codec:"caps" json:"capabilities"`
	Usage        job.Resources     `codec:"usage" json:"usage"` // what running jobs have asked for
	Jobs         map[job.State]int `codec:"jobs" json:"jobs"`   // unfinished jobs owned here, by state
	Stretch      float64           `codec:"stretch" json:"sync_stretch"`
	Draining     bool              `codec:"draining,omitempty" json:"draining"`   // it is about to leave, and takes nothing
	Full         bool              `codec:"full,omitempty" json:"full"`           // its disk has no room for new jobs
	Unaudited    bool              `codec:"unaudited,omitempty" json:"unaudited"` // it holds back what it remembers until somebody has audited it (rule L9)

	Emergency InForce `codec:"emergency" json:"emergency"` // what is in force there

	Clock clock.Vector `codec:"clock,omitempty" json:"clock"`
}

// InForce is how emergencies stand at a broker: those that are active and in whose scope
// it is.
type InForce struct {
	Level string   `codec:"level,omitempty" json:"level"` // the highest; "" is none
	IDs   []string `codec:"ids,omitempty" json:"ids"`     // the highest first, at most maxInForce
	Count int      `codec:"n,omitempty" json:"count"`     // of all
}

// maxInForce is how many a row names.
const maxInForce = 4

// Capabilities is what a broker can offer.
type Capabilities struct {
	Capacity job.Resources `codec:"capacity" json:"capacity"`
	Disk     uint64        `codec:"disk,omitempty" json:"disk"` // bytes free at the start
	Drivers  []job.Driver  `codec:"drivers" json:"drivers"`
	// Labels are the operator's, and what the broker knows of itself: name, os,
	// arch. Constraints see them.
	Labels map[string]string `codec:"labels,omitempty" json:"labels"`
}

func (r *Row) validate() error {
	if !label.ValidName(r.Name) || r.Actor.Broker() != r.Name {
		return fmt.Errorf("metadata of %.64q with actor %.80q", r.Name, r.Actor)
	}
	return checkVector(r.Clock)
}

// State is what push-pull carries (rule S3): the metadata of every known broker,
// the sender's and its clock among them.
type State struct {
	Version int    `codec:"v"`
	From    string `codec:"from"`
	Rows    []Row  `codec:"rows"`

	// Emergencies are the records of those that are active, encoded, the highest level
	// first, at most maxHints: hints for whoever lacks them (rule S3).
	Emergencies [][]byte `codec:"emergencies,omitempty"`

	Stats Stats `codec:"-"` // of this broker, for its own shell
	// Active are the same, for the broker's own shell.
	Active []*EmergencyView `codec:"-"`
	hints  []*emergency.Record
}

// maxHints bounds the emergencies in a push-pull state: more come with the ledger.
const maxHints = 32

// Stats counts what a broker has done since its start.
type Stats struct {
	Replaced      uint64                          // jobs placed anew since their executor was lost (rule J6)
	TakenOver     uint64                          // jobs of lost owners (rule J6)
	Adopted       uint64                          // attempts of an older owner that were left running (rule J7)
	Rebalanced    uint64                          // jobs that queued while others were idle (rule J9)
	Rejected      uint64                          // results of this broker that came after the verdict (rule J1)
	Handed        uint64                          // jobs handed over when draining
	Forgotten     uint64                          // jobs forgotten after their retention (rule L8)
	Zombies       uint64                          // jobs dropped since others had forgotten them (rules L7, L9)
	Conflicts     [len(resolve.Strategies)]uint64 // decisions between jobs that could not all run, by strategy
	Suspended     uint64                          // attempts that were made to stand still for others
	Requeued      uint64                          // attempts that were stopped for others, to run again
	Uncaused      uint64                          // jobs that went on without news of what they depend on (rule C2)
	Spins         uint64                          // reviews that came to no end: a fault of this program
	ClaimsRefused uint64                          // declarations and clears of clients beyond what a broker takes
	EventsRefused uint64                          // events of emergencies, likewise
	Waiting       int                             // jobs that wait for room or a key here, now
	Running       int                             // jobs that hold room here, now
	Quarantined   int                             // records of peers that don't validate, now (rule L10)
}

// DecodeState reads and validates a push-pull state. A row that is not valid is
// left out.
func DecodeState(b []byte) (State, error) {
	var s State
	if err := decodeWire(b, MaxState, &s); err != nil {
		return s, err
	}
	if s.Version != Version || len(s.Rows) > maxRows {
		return s, fmt.Errorf("push-pull state of version %d with %d rows", s.Version, len(s.Rows))
	}
	good := s.Rows[:0]
	for _, r := range s.Rows {
		if r.validate() == nil {
			good = append(good, r)
		}
	}
	s.Rows = good
	for _, h := range s.Emergencies[:min(len(s.Emergencies), maxHints)] {
		if r, err := emergency.DecodeHint(h); err == nil { // a bad one harms nobody: it was a hint
			s.hints = append(s.hints, r)
		}
	}
	return s, nil
}
