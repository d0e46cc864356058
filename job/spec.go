package job

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// ID names a job: a UUIDv7, or what the client chose, [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
type ID string

// Digest is the SHA-256 of a blob in lower-case hexadecimal, 64 characters.
type Digest string

// Driver names what runs a job.
type Driver string

// The two drivers. Process runs native programs and must be allowed by the
// agent (--allow-process).
const (
	Wasm    Driver = "wasm"
	Process Driver = "process"
)

// Defaults of a Spec and of what an executor keeps of a job's output.
const (
	DefaultCPU      = 100      // millicores
	DefaultMemory   = 64 << 20 // bytes; also the job's limit
	DefaultUser     = 5        // user priority
	MaxUserPriority = 10
	maxWeight       = 10       // computational weight
	MaxOutput       = 16 << 20 // bytes of stdout, and of stderr; more is cut, with a note
	MaxBlob         = 1 << 30  // bytes of one blob
	MaxSpec         = 16 << 10 // bytes of an encoded Spec (rule L11)
	MaxResult       = 16 << 10 // bytes of an encoded Result
	MaxReason       = 1 << 10  // bytes of a Verdict's reason

	// maxRecord bounds the bytes of an encoded Record (rule L11): a spec, a result in
	// each of maxReports reports, its copy in each of maxVerdicts verdicts, and room
	// for the rest. Less would not do: a record grows by merging, and what a broker
	// has merged and stored it must be able to read at its next start.
	maxRecord = MaxSpec + (maxReports+maxVerdicts)*MaxResult + 48<<10
)

// Spec is what a person wants done. It never changes once submitted; its
// [Spec.Digest] is half of the job's key (rule J3). Make one with [ParseSpec],
// which fills in defaults and validates; inside the broker every Spec is valid.
type Spec struct {
	Driver  Driver            `codec:"driver" json:"driver"`
	Module  Digest            `codec:"module,omitempty" json:"module,omitempty"`   // the wasm module
	Command string            `codec:"command,omitempty" json:"command,omitempty"` // the native program
	Args    []string          `codec:"args,omitempty" json:"args,omitempty"`
	Env     map[string]string `codec:"env,omitempty" json:"env,omitempty"`
	Stdin   Digest            `codec:"stdin,omitempty" json:"stdin,omitempty"`

	Inputs       map[string]string `codec:"inputs,omitempty" json:"inputs,omitempty"` // path -> digest, or "data:name"
	Dirs         []string          `codec:"dirs,omitempty" json:"dirs,omitempty"`     // made before the job starts
	Outputs      []string          `codec:"outputs,omitempty" json:"outputs,omitempty"`
	NamedOutputs map[string]string `codec:"named_outputs,omitempty" json:"named_outputs,omitempty"`

	Resources   Resources         `codec:"resources" json:"resources"`
	Exclusive   string            `codec:"exclusive,omitempty" json:"exclusive,omitempty"`
	Priority    Priority          `codec:"priority" json:"priority"`
	Labels      map[string]string `codec:"labels,omitempty" json:"labels,omitempty"`           // the job's own
	Constraints []string          `codec:"constraints,omitempty" json:"constraints,omitempty"` // on brokers; all must hold

	Timeout     clock.Duration `codec:"timeout,omitempty" json:"timeout,omitempty"` // of one attempt; 0 is none
	Retries     Retries        `codec:"retries" json:"retries"`
	Redeploy    *bool          `codec:"redeploy,omitempty" json:"redeploy,omitempty"` // nil is true
	Preemption  Preemption     `codec:"preemption" json:"preemption"`
	After       []ID           `codec:"after,omitempty" json:"after,omitempty"`               // jobs that must end before this one starts (rule C4)
	AfterPolicy string         `codec:"after_policy,omitempty" json:"after_policy,omitempty"` // AfterSuccess or AfterEnd
	MinReplicas int            `codec:"min_replicas,omitempty" json:"min_replicas,omitempty"`

	Unknown Unknown `codec:"-" json:"-"` // fields of a newer broker, kept (rule L2)
}

// Resources is what a job asks for while it runs, and what a broker has.
type Resources struct {
	CPU     int64            `codec:"cpu" json:"cpu"`                             // millicores
	Memory  int64            `codec:"memory" json:"memory"`                       // bytes
	IO      int64            `codec:"io,omitempty" json:"io"`                     // weight; a broker has 100
	Devices map[string]int64 `codec:"devices,omitempty" json:"devices,omitempty"` // counted: camera -> 1
}

// Priority says how urgent a job is; which part counts how much is the
// strategy's business (package resolve).
type Priority struct {
	Emergency string     `codec:"emergency,omitempty" json:"emergency,omitempty"` // a level, or an emergency's ID or type
	User      int        `codec:"user" json:"user"`                               // 0 to 10, higher is more urgent
	Deadline  clock.Time `codec:"deadline,omitempty" json:"deadline,omitempty"`
	Weight    int        `codec:"weight,omitempty" json:"weight,omitempty"` // computational weight
}

// levels are the names of the emergency levels, by their number.
var levels = []string{"none", "low", "medium", "high", "critical"}

// Level is the number of an emergency level that is called by its name: 1 low, 2
// medium, 3 high, 4 critical; 0 is none, -1 no level.
func Level(name string) int { return slices.Index(levels, name) }

// LevelName is what a person calls a level.
func LevelName(n int) string { return levels[min(max(n, 0), len(levels)-1)] }

// Retries says how often an attempt that failed by itself (a non-zero exit, a
// timeout, a crash) is followed by another, and after which pause; the pause
// doubles from one retry to the next.
type Retries struct {
	Max     int            `codec:"max,omitempty" json:"max"`
	Backoff clock.Duration `codec:"backoff,omitempty" json:"backoff,omitempty"` // 0 is one second
}

// Preemption says what may happen to a running job when another displaces it.
type Preemption string

// The preemption modes; Suspend is the default.
const (
	Suspend Preemption = "suspend" // stopped in place, memory kept, resumed later
	Requeue Preemption = "requeue" // stopped, and run again later from the start
	Never   Preemption = "never"
)

// What a job of Spec.After must have come to before this one starts.
const (
	AfterSuccess = ""    // success: a predecessor that failed fails this one (the default)
	AfterEnd     = "end" // any end
)

// Blobs lists the digests of all that an executor must hold before it can start
// the job: module, stdin and inputs, each once, in a fixed order.
func (s *Spec) Blobs() []Digest {
	var out []Digest
	seen := map[Digest]bool{}
	add := func(d Digest) {
		if d != "" && !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	add(s.Module)
	add(s.Stdin)
	for _, path := range sortedKeys(s.Inputs) {
		add(Digest(s.Inputs[path]))
	}
	return out
}

// Digest identifies the spec: equal specs have equal digests, on every machine.
// MinReplicas is left out: it says how a submission is answered, not what the
// job is (rule J3).
func (s *Spec) Digest() Digest {
	if s.newer() {
		c := *s
		c.MinReplicas = 0
		return digestOf(encode(&c))
	}
	return s.digestFast()
}

// digestFast is Digest of a spec without fields of a newer broker: nothing of it leaves
// the stack.
func (s *Spec) digestFast() Digest {
	c := *s
	c.MinReplicas = 0
	var room [scratch]byte
	return digestOf(appendSpec(room[:0], &c))
}

// digestOf makes the digest of an encoded spec without MinReplicas.
func digestOf(spec []byte) Digest {
	sum := sha256.Sum256(spec)
	var text [2 * len(sum)]byte
	hex.Encode(text[:], sum[:])
	return Digest(text[:])
}

// MayRedeploy reports whether an attempt that was lost may be made again.
func (s *Spec) MayRedeploy() bool { return s.Redeploy == nil || *s.Redeploy }

// Unmet returns the first of the spec's constraints that does not hold for a broker's
// labels, "" when all hold.
func (s *Spec) Unmet(labels map[string]string) string { return label.Unmet(s.Constraints, labels) }
