package wire

import (
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// Metadata is a broker's metadata: what others need to know of it to place jobs and
// to show it. It is ephemeral and has a single writer; the newest version wins.
type Metadata struct {
	Version clock.Hybrid `codec:"version" json:"version"`
	Name    string       `codec:"name" json:"name"`
	Actor   clock.Actor  `codec:"actor" json:"actor"`
	// Process is the actor with which the broker's process began, if it has begun another start since (rule K3).
	Process clock.Actor `codec:"process,omitempty" json:"process,omitempty"`
	// Between are the starts of that process after the first and before the present one, the latest MaxBetween: what one of
	// them runs goes on (rule P3). Only the broker knows them: its clock may have been behind, and the first one, too.
	Between []clock.Actor `codec:"between,omitempty" json:"between,omitempty"`

	HTTPAddr string `codec:"http" json:"http_addr"`
	Software string `codec:"software" json:"software"`
	Protocol int    `codec:"protocol" json:"protocol"`                  // the lowest version that it speaks (rule K5)
	Highest  int    `codec:"highest,omitempty" json:"highest_protocol"` // the highest; 0 from a broker that speaks only 1
	Strategy string `codec:"strategy" json:"strategy"`
	// Chosen is the strategy that decides there again when the emergency Commands is over, for which Strategy decides; both
	// are "" while there is none. Heeds: an emergency may do that there (rule E5); false from an earlier version, and where
	// the operator wants none.
	Chosen   string `codec:"chosen,omitempty" json:"chosen_strategy,omitempty"`
	Commands string `codec:"commands,omitempty" json:"commanding_emergency,omitempty"`
	Heeds    bool   `codec:"heeds,omitempty" json:"heeds_emergencies,omitempty"`
	Lives    bool   `codec:"lives,omitempty" json:"-"`                      // it tells the lives of emergencies apart (rule E6); false from an earlier version
	Drains   bool   `codec:"drains,omitempty" json:"knows_drain,omitempty"` // it obeys a drain (rule M5); false from an earlier version

	Capabilities Capabilities      `codec:"caps" json:"capabilities"`
	Usage        job.Resources     `codec:"usage" json:"usage"` // what running jobs have asked for
	Jobs         map[job.State]int `codec:"jobs" json:"jobs"`   // unfinished jobs owned here, by state
	Stretch      float64           `codec:"stretch" json:"sync_stretch"`
	Draining     bool              `codec:"draining,omitempty" json:"draining"`   // it is about to leave, and takes nothing
	Full         bool              `codec:"full,omitempty" json:"full"`           // it takes no new jobs for now: its disk has no room, or Withdrawn says why
	Unproven     bool              `codec:"unaudited,omitempty" json:"unaudited"` // its start is: what it remembers may be older than what others know (rule M3)

	// Signs says that it signs a head after each commit, from its first one on (rule H1); false outside of a city, and from an
	// earlier version.
	Signs bool `codec:"signs,omitempty" json:"-"`

	// Withdrawn is why it has withdrawn its offer to run jobs (rule J12); "" where Full means the disk. A broker of an
	// earlier version reads Full alone, and places nothing there either.
	Withdrawn string `codec:"withdrawn,omitempty" json:"withdrawn,omitempty"`

	// FreeDisk is how many bytes jobs may write there now, above the reserve, a little less; 0 is not known, as of an earlier version.
	FreeDisk int64 `codec:"free_disk,omitempty" json:"free_disk,omitempty"`

	// Modules are those that it has compiled (rule J15); none of an earlier version.
	Modules Modules `codec:"modules,omitempty" json:"-"`

	Wall  clock.Time `codec:"wall,omitempty" json:"wall,omitzero"`    // what its own clock showed when it said so; 0 of an older version (rule T2)
	City  clock.Time `codec:"city,omitempty" json:"city,omitzero"`    // what time it was in the city, as far as it knew, if that was another
	Unset bool       `codec:"unset,omitempty" json:"unset,omitempty"` // its own clock was never set, and has no vote (rule T2)

	Emergency InForce `codec:"emergency" json:"emergency"` // what is in force there

	// Clock is what the broker holds. On the wire only the sender's own metadata in a push-pull
	// has it (rule K4): a message says it itself, and of a third broker it would be hearsay.
	Clock clock.Tips `codec:"clock,omitempty" json:"clock"`
}

// DrainedText is Metadata.Withdrawn of a broker that is drained (rule M5): so brokers of earlier versions place nothing there.
const DrainedText = "an operator has drained it"

// NoRoom reports whether the broker's disk has no room for new jobs, and copies.
func (r *Metadata) NoRoom() bool { return r.Full && r.Withdrawn == "" }

// MaxBetween is how many starts Metadata.Between names. There is one a minute at most, and only while somebody lies.
const MaxBetween = 16

// InForce is how emergencies stand at a broker: those that are active and in whose scope
// it is.
type InForce struct {
	Level string   `codec:"level,omitempty" json:"level"` // the highest; "" is none
	IDs   []string `codec:"ids,omitempty" json:"ids"`     // the highest first, at most MaxInForce
	Count int      `codec:"n,omitempty" json:"count"`     // of all
}

// MaxInForce is how many a broker's metadata names.
const MaxInForce = 4

// Capabilities is what a broker can offer.
type Capabilities struct {
	Capacity job.Resources `codec:"capacity" json:"capacity"`
	Disk     uint64        `codec:"disk,omitempty" json:"disk"` // bytes free at the start
	Drivers  []job.Driver  `codec:"drivers" json:"drivers"`
	// Labels are the operator's, and what the broker knows of itself: name, os,
	// arch. Constraints see them.
	Labels map[string]string `codec:"labels,omitempty" json:"labels"`
	// NoNetwork: native jobs that need the network can't run there. A broker of an earlier version says nothing, and returns them.
	NoNetwork bool `codec:"no_network,omitempty" json:"no_network,omitempty"`
	// Room is how many bytes of memory a job may take there together with its worker and its module, while that is got ready; 0 is
	// not known, as of an earlier version.
	Room int64 `codec:"room,omitempty" json:"room,omitempty"`
	// Secrets: jobs that have secrets can run there, since the broker belongs to a city. A broker of an earlier version says nothing.
	Secrets bool `codec:"secrets,omitempty" json:"secrets,omitempty"`
	// AllowModules name the modules that run there, at most MaxAllowModules: each the beginning of a digest, or the number of a key
	// that has signed them. None is any, as of an earlier version.
	AllowModules []uint32 `codec:"allow_modules,omitempty" json:"allow_modules,omitempty"`
}

// MaxAllowModules bounds Capabilities.AllowModules.
const MaxAllowModules = 256

// Validate refuses metadata whose actor, or another start, belongs to another broker, or whose clock is not one.
func (r *Metadata) Validate() error {
	foreign := func(a clock.Actor) bool { return a.Broker() != r.Name }
	if !label.ValidName(r.Name) || foreign(r.Actor) || r.Process != "" && foreign(r.Process) {
		return fmt.Errorf("metadata of %.64q with actor %.80q", r.Name, r.Actor)
	}
	if len(r.Between) > MaxBetween || slices.ContainsFunc(r.Between, foreign) {
		return fmt.Errorf("metadata of %.64q with %d starts of its process, or one of another broker; at most %d", r.Name, len(r.Between), MaxBetween)
	}
	if n := len(r.Capabilities.AllowModules); n > MaxAllowModules {
		return fmt.Errorf("metadata of %.64q with %d modules that it allows; at most %d", r.Name, n, MaxAllowModules)
	}
	if err := r.Modules.validate(); err != nil {
		return fmt.Errorf("metadata of %.64q: %w", r.Name, err)
	}
	return checkClock(r.Clock)
}

// State is what push-pull carries (rule S3): the metadata of every known broker, the
// sender's first and with its clock.
type State struct {
	Version  int        `codec:"v"` // the lowest: nobody knows who reads it
	From     string     `codec:"from"`
	Metadata []Metadata `codec:"rows"`

	// Emergencies are the records of those that are active, encoded, the highest level
	// first, at most MaxHints: hints for whoever lacks them (rule S3).
	Emergencies [][]byte `codec:"emergencies,omitempty"`

	hints []*emergency.Record // of Emergencies, decoded
}

// Hints are the emergencies of a decoded state, those that validated.
func (s *State) Hints() []*emergency.Record { return s.hints }

// MaxHints bounds the emergencies in a push-pull state: more come with the ledger.
const MaxHints = 32

// Bounds of an encoded State in bytes (rule L11).
const (
	MaxState  = 2 << 20   // that is read: 4,096 brokers fit
	MaxState1 = 256 << 10 // that a broker of protocol version 1 reads
)

// EncodeState gives the bytes of a state, at most limit. Of other brokers it leaves out the clocks
// (rule K4), so that what a broker adds does not depend on how many there are. Where not all metadata
// fits, the sender's own does, and then as many as there is room for, from the first-th other one on,
// round and round: told is how many, and a caller that passes the sum of these next time has soon told
// all of them.
func EncodeState(s *State, limit, first int) (b []byte, told int) {
	out := *s
	out.Metadata = nil
	size := len(encode(&out, 1<<10)) + maxArrayHeader
	add := func(r Metadata) bool {
		if r.Name != s.From || len(r.Clock) > MaxClock {
			r.Clock = nil
		}
		n := len(encode(&r, 1<<9))
		if size+n > limit {
			return false
		}
		size += n
		out.Metadata = append(out.Metadata, r)
		return true
	}
	var others []Metadata
	for _, r := range s.Metadata {
		if r.Name != s.From {
			others = append(others, r)
		} else {
			add(r)
		}
	}
	for told < len(others) && add(others[(first+told)%len(others)]) {
		told++
	}
	return encode(&out, size), told
}

// maxArrayHeader is what msgpack puts before an array, at most.
const maxArrayHeader = 5

// DecodeState reads and validates a push-pull state. Metadata that does
// not validate is left out.
func DecodeState(b []byte) (State, error) {
	var s State
	if err := decodeWire(b, &s); err != nil {
		return s, err
	}
	if err := checkVersion(s.Version); err != nil || len(s.Metadata) > MaxMetadata {
		return s, fmt.Errorf("push-pull state with metadata of %d brokers (%w)", len(s.Metadata), err)
	}
	good := s.Metadata[:0]
	for _, r := range s.Metadata {
		if r.Validate() == nil {
			good = append(good, r)
		}
	}
	s.Metadata = good
	for _, h := range s.Emergencies[:min(len(s.Emergencies), MaxHints)] {
		if r, err := emergency.DecodeHint(h); err == nil { // a bad one harms nobody: it was a hint
			s.hints = append(s.hints, r)
		}
	}
	return s, nil
}
