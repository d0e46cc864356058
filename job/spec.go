package job

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"time"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// ID identifies a job: what the client chose, or made up, [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
type ID string

// Digest is the SHA-256 of a blob in lower-case hexadecimal, 64 characters.
type Digest string

// Driver is the kind of program that a job is.
type Driver string

// The two drivers.
const (
	Wasm    Driver = "wasm"    // a WebAssembly module (WASI preview 1)
	Process Driver = "process" // a native program; the agent must allow it (--allow-process)
)

// Defaults and limits of a Spec, and limits of what is kept of a job's output.
const (
	DefaultCPU      = 100      // millicores
	DefaultMemory   = 64 << 20 // bytes; also the job's limit
	DefaultDisk     = 1 << 30  // bytes that an attempt may write into its directory
	DefaultUser     = 5        // user priority
	Urgent          = 8        // user priority from which a job counts as urgent for those who look
	MaxUserPriority = 10       // the most urgent user priority
	maxWeight       = 10       // computational weight
	maxUrgency      = 1000     // thousandths
	maxName         = 255      // bytes of a name: what file names may have
	maxDeadlineIn   = clock.Duration(100 * 365 * 24 * time.Hour)
	MaxOutput       = 16 << 20 // bytes of stdout, and of stderr; more is cut, with a note
	MaxBlob         = 1 << 30  // bytes of one blob
	MaxSpec         = 16 << 10 // bytes of an encoded Spec (rule L11)
	MaxResult       = 16 << 10 // bytes of an encoded Result
	MaxReason       = 1 << 10  // bytes of a Verdict's reason

	// MaxRecord is the largest encoded Record in bytes (rule L11): a spec, a result in
	// each of maxReports reports, a copy of one in each of maxVerdicts verdicts, one in Kept, and the
	// rest; the names below MaxPrefixes prefixes of data; and fields of newer brokers. It cannot be smaller: a record grows by merging, and a broker must be able to
	// read at its next start what it has merged and stored.
	MaxRecord = MaxSpec + (maxReports+maxVerdicts+2)*MaxResult + 80<<10 + MaxPrefixes*MaxBelow*(label.MaxPath+96) + canon.MaxUnknown
)

// Spec describes a job. It never changes after its submission; its
// [Spec.Digest] is half of the job's key (rule J3). Make one with [ParseSpec],
// which fills in defaults and validates, or call [Spec.Complete]. Inside the broker every Spec is valid.
//
// A new field must be added to append.go, read.go and the checks in parse.go; fields_test.go names
// the places that were forgotten.
type Spec struct {
	Driver Driver `codec:"driver" json:"driver"`
	// Name is what people call the job, and a wasm program finds as its own (argv[0]). Several jobs may have one name.
	Name    string            `codec:"name,omitempty" json:"name,omitempty"`
	Module  Digest            `codec:"module,omitempty" json:"module,omitempty"`   // the wasm module: a blob, or named data (see [Spec.ModuleName])
	Command string            `codec:"command,omitempty" json:"command,omitempty"` // the native program
	Args    []string          `codec:"args,omitempty" json:"args,omitempty"`
	Env     map[string]string `codec:"env,omitempty" json:"env,omitempty"`
	// PlainEnv leaves the job without the variables that every job gets, UCP_ATTEMPT (rule J4) and UCP_JOB_ID.
	PlainEnv bool `codec:"plain_env,omitempty" json:"plain_env,omitempty"`
	// Network says that a native program needs the network, which only brokers give that allow it (--allow-network).
	// It stands beside PlainEnv so that a record keeps its size class (see TestRecordsKeepTheirSizeClass).
	Network bool `codec:"network,omitempty" json:"network,omitempty"`
	// MinReplicas is how many brokers must hold the job before its submission is answered as one that was taken, 0 to 100. It has 32
	// bits, and stands here, for the same reason.
	MinReplicas int32  `codec:"min_replicas,omitempty" json:"min_replicas,omitempty"`
	Stdin       Digest `codec:"stdin,omitempty" json:"stdin,omitempty"` // a blob, or what another job left, or named data (see Source)

	Inputs       map[string]string `codec:"inputs,omitempty" json:"inputs,omitempty"`               // path -> digest, or what another job left, or named data (see Source); of a directory ("data/") that of its manifest
	Dirs         []string          `codec:"dirs,omitempty" json:"dirs,omitempty"`                   // made before the job starts
	Outputs      []string          `codec:"outputs,omitempty" json:"outputs,omitempty"`             // paths that are kept; with a slash at the end as one directory
	NamedOutputs map[string]string `codec:"named_outputs,omitempty" json:"named_outputs,omitempty"` // path among Outputs -> the name of data of which it becomes a version, when the job has succeeded (rule D7)
	// OutputsOnFailure says whether Outputs are also kept of an attempt that failed; nil means true.
	OutputsOnFailure *bool `codec:"outputs_on_failure,omitempty" json:"outputs_on_failure,omitempty"`

	Resources Resources `codec:"resources" json:"resources"`
	// Disk is how many bytes an attempt may add to its directory; 0 is [DefaultDisk]. People also write it as
	// resources.disk. It is not kept there, since brokers of older versions keep the fields that they don't know only here.
	Disk      int64    `codec:"disk,omitempty" json:"disk,omitempty"`
	Exclusive string   `codec:"exclusive,omitempty" json:"exclusive,omitempty"`
	Priority  Priority `codec:"priority" json:"priority"`
	// DeadlineIn is how long after its submission the job is of no use any more, by the clock of the broker that
	// takes it (rule T3): the deadline of a client whose clock may be wrong. 0 is none. It is not in Priority for the same
	// reason as Disk.
	DeadlineIn clock.Duration `codec:"deadline_in,omitempty" json:"deadline_in,omitempty"`
	// Urgency, 0 to 1, takes the place of the urgency that a deadline gives, for a job without a deadline. People write
	// it as priority.urgency.
	Urgency Milli `codec:"urgency,omitempty" json:"urgency,omitempty"`
	// WeightPart is what the computational weight has beyond the whole number in Priority.Weight, below 1. People write
	// both as one number, priority.weight. A broker of an earlier version goes by the whole number.
	WeightPart  Milli             `codec:"weight_part,omitempty" json:"weight_part,omitempty"`
	Labels      map[string]string `codec:"labels,omitempty" json:"labels,omitempty"`           // the job's own labels
	Constraints []string          `codec:"constraints,omitempty" json:"constraints,omitempty"` // on the executor's labels; all must hold

	Timeout     clock.Duration `codec:"timeout,omitempty" json:"timeout,omitempty"` // of one attempt; 0 is none
	Retries     Retries        `codec:"retries" json:"retries"`
	Redeploy    *bool          `codec:"redeploy,omitempty" json:"redeploy,omitempty"` // nil means true
	Preemption  Preemption     `codec:"preemption" json:"preemption"`
	After       []ID           `codec:"after,omitempty" json:"after,omitempty"`               // jobs that must end before this one starts, and arrays of them (rule C4; see [ID.Array])
	AfterPolicy string         `codec:"after_policy,omitempty" json:"after_policy,omitempty"` // AfterSuccess or AfterEnd

	// Secrets are what nobody but the job and who runs it are to see: the name of a variable, or the path of a file, which has a
	// slash (see [SecretFile]) -> digest of a blob with the value, encrypted to brokers (package identity). Only brokers of a city
	// take such jobs.
	Secrets map[string]string `codec:"secrets,omitempty" json:"secrets,omitempty"`

	// Submitter is who has submitted the job, a member of the city or the subject of a token; "" where that is not known. The
	// broker that takes the job writes it, whatever stood there (see SetSubmitter). It is part of the spec, so that two people
	// who give their jobs one ID have two jobs (rule J3), and brokers of older versions keep it.
	Submitter string `codec:"submitter,omitempty" json:"submitter,omitempty"`

	// Checkpoint says what is kept of the job while it runs, so that its next attempt goes on from there (rule J17); nil is nothing.
	Checkpoint *Checkpointing `codec:"checkpoint,omitempty" json:"checkpoint,omitempty"`

	Unknown canon.Unknown `codec:"-" json:"-"` // fields of a newer broker, kept (rule L2)
}

// Resources is what a job needs while it runs, or what a broker has.
type Resources struct {
	CPU     int64            `codec:"cpu" json:"cpu"`                             // millicores
	Memory  int64            `codec:"memory" json:"memory"`                       // bytes
	IO      int64            `codec:"io,omitempty" json:"io"`                     // a weight; a broker has 100
	Devices map[string]int64 `codec:"devices,omitempty" json:"devices,omitempty"` // counted: camera -> 1
}

// Priority says how urgent a job is. The strategy decides how much each part counts (package resolve).
type Priority struct {
	Emergency string     `codec:"emergency,omitempty" json:"emergency,omitempty"` // a level by its name, or an emergency's ID or type
	Deadline  clock.Time `codec:"deadline,omitempty" json:"deadline,omitempty"`   // an instant, by the city's time; see Spec.DeadlineIn
	// These two have 32 bits so that a record keeps its size class (see TestRecordsKeepTheirSizeClass).
	User   int32 `codec:"user" json:"user"`                         // 0 to 10, higher is more urgent
	Weight int32 `codec:"weight,omitempty" json:"weight,omitempty"` // computational weight; see Spec.WeightPart
}

// Retries says how often a job is run again after an attempt failed by itself (a non-zero exit, a
// timeout, a crash), and after which pause; the pause doubles from one retry to the next.
type Retries struct {
	Max     int            `codec:"max,omitempty" json:"max"`
	Backoff clock.Duration `codec:"backoff,omitempty" json:"backoff,omitempty"` // the first pause; 0 means one second
}

// Preemption says what may happen to a running job when a more urgent job needs its resources.
type Preemption string

// The preemption modes; Suspend is the default.
const (
	Suspend Preemption = "suspend" // it is stopped, keeps its memory and is resumed later
	Requeue Preemption = "requeue" // it is ended, and run again later from the start
	Never   Preemption = "never"   // it is not preempted
)

// The values of Spec.AfterPolicy: how the jobs in Spec.After must have ended before this one starts.
const (
	AfterSuccess = ""    // they must have succeeded; if one has failed, this job fails (the default)
	AfterEnd     = "end" // they must have ended in any way
)

// Blobs lists the digests of all blobs that the spec names: module, stdin, inputs and secrets, each once, in a fixed order. A
// directory is one of them (see TreeOf). What it reads of other jobs is not (see [Record.Needs]).
func (s *Spec) Blobs() []Digest {
	var out []Digest
	seen := map[Digest]bool{}
	add := func(d Digest) {
		if d != "" && !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	if isBlob(string(s.Module)) {
		add(s.Module)
	}
	if isBlob(string(s.Stdin)) {
		add(s.Stdin)
	}
	for _, path := range sortedKeys(s.Inputs) {
		if d := s.Inputs[path]; isBlob(d) {
			add(blobAt(path, Digest(d)))
		}
	}
	for _, name := range sortedKeys(s.Secrets) {
		add(Digest(s.Secrets[name]))
	}
	return out
}

// Digest identifies the spec: equal specs have equal digests on every machine.
// MinReplicas is left out because it says when a submission is answered, not what the
// job is (rule J3).
func (s *Spec) Digest() Digest {
	if s.newer() {
		c := *s
		c.MinReplicas = 0
		return digestOf(encode(&c))
	}
	return s.digestFast()
}

// digestFast is Digest for a spec without fields of a newer broker. It allocates nothing but the result.
func (s *Spec) digestFast() Digest {
	c := *s
	c.MinReplicas = 0
	var buf [stackBuffer]byte
	return digestOf(appendSpec(buf[:0], &c))
}

// digestOf returns the digest of a spec that was encoded without MinReplicas.
func digestOf(spec []byte) Digest {
	sum := sha256.Sum256(spec)
	var text [2 * len(sum)]byte
	hex.Encode(text[:], sum[:])
	return Digest(text[:])
}

// SetSubmitter writes who has submitted the job. It is an error if the spec is too long with it.
func (s *Spec) SetSubmitter(name string) error {
	if s.Submitter == name {
		return nil
	}
	if s.Submitter = name; name == "" {
		return nil
	}
	return checkSize(len(encode(s)))
}

// MayRedeploy reports whether the job may be run again when its executor was lost.
func (s *Spec) MayRedeploy() bool { return s.Redeploy == nil || *s.Redeploy }

// DiskLimit returns how many bytes an attempt may add to its directory.
func (s *Spec) DiskLimit() int64 {
	if s.Disk == 0 {
		return DefaultDisk
	}
	return s.Disk
}

// KeepsOutputs reports whether Outputs are kept of an attempt that ended so.
func (s *Spec) KeepsOutputs(o Outcome) bool {
	return o == Succeeded || s.OutputsOnFailure == nil || *s.OutputsOnFailure
}

// ShownName is what people know the job by, beside its ID: its name, or that of the native program, or "".
func (s *Spec) ShownName() string {
	if s.Name != "" || s.Command == "" {
		return s.Name
	}
	return path.Base(s.Command)
}

// Weight returns the computational weight, its part included.
func (s *Spec) Weight() Milli { return Milli(s.Priority.Weight)*1000 + s.WeightPart }

// SetWeight sets both fields of which the computational weight consists.
func (s *Spec) SetWeight(w Milli) { s.Priority.Weight, s.WeightPart = int32(w/1000), w%1000 }

// Unmet returns the first of the spec's constraints that a broker with the given labels does not meet, or ""
// if it meets all.
func (s *Spec) Unmet(labels map[string]string) string { return label.Unmet(s.Constraints, labels) }
