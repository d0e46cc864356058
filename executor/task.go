package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/urban-compute/ucp/job"
)

// Task is one attempt at one job.
type Task struct {
	// Key is the job's ledger key, which identifies the job on this broker. It need not be safe as a file name.
	Key string
	// ID is the job's public id. The job sees it as UCP_JOB_ID.
	ID job.ID
	// Attempt is the fencing token of this attempt (rule J4). The job sees it as UCP_ATTEMPT.
	Attempt string
	// Trace is the context of the trace in which the job runs, as W3C Trace Context writes it: the job sees it as TRACEPARENT, in place
	// of what its spec says. "" is what that says.
	Trace string
	// From is the checkpoint from which the attempt goes on, whose manifest and files are in the blob store; nil is none.
	From *Checkpoint
	// Spec is the job's validated spec with its defaults filled in. All of Spec.Blobs() must be in the blob
	// store when Start is called.
	Spec job.Spec
}

// Checkpoint is what an attempt had written of what its spec names (job.Checkpointing), at a moment when that was whole.
type Checkpoint struct {
	Tree  job.Digest    // the manifest of its files
	Bytes int64         // of all files
	Ran   time.Duration // for how long the job had run, over all attempts that went on from one another
}

// Update reports the progress of a task. For each Start there is at most one Update with PhaseStarted,
// followed by exactly one with a Result. An attempt that cannot start, for instance because a blob is
// missing, only has the second. Before the Result, and also before PhaseStarted, PhaseSuspended and
// PhaseResumed may come in turn, PhaseLoading once if its module takes long, and PhaseLoaded when its program begins. The Result may follow a PhaseSuspended directly; only it,
// and before it a last PhaseCheckpoint, follow a PhaseGone.
type Update struct {
	Key, Attempt string
	// Phase says what has happened. It has no meaning when Result is set.
	Phase Phase
	// Result says how the attempt ended; nil before that.
	Result *job.Result
	// CPU is the processor time that the attempt has used. It is set together with Result.
	CPU time.Duration
	// Stopped says that the attempt ended because Stop or StopAndKeep was called. Its Result is then not an outcome of the
	// job; it only says that nothing of the attempt is left. Its memory, devices and exclusive key are free
	// from then on.
	Stopped bool
	// Returned says that this broker could not carry the attempt out, for the reason in Result, which says nothing of
	// the program and has no output (rule J12). If Result is permanent, this broker never can.
	Returned bool
	// Began says that the program may have run.
	Began bool
	// Checkpoint is the one that the attempt has taken, beside PhaseCheckpoint; nil if it could not take one that was due, for that Problem.
	Checkpoint *Checkpoint
	Problem    string
}

// Phase is a step in an attempt's life before its end.
type Phase uint8

// The phases of an attempt.
const (
	PhaseStarted    Phase = iota // a worker has taken the order
	PhaseSuspended               // none of its processes runs any more
	PhaseResumed                 // it runs again
	PhaseLoading                 // its module is not ready, so that its program has not begun
	PhaseLoaded                  // its program begins: its module is ready
	PhaseCheckpoint              // it has taken a checkpoint, and goes on, or is stopped; any number of times
	PhaseGone                    // it was stopped by StopAndKeep, and nothing of it runs any more; what it has written is being stored
)

// String returns the phase's name, or its number if it is unknown.
func (p Phase) String() string {
	switch p {
	case PhaseStarted:
		return "started"
	case PhaseSuspended:
		return "suspended"
	case PhaseResumed:
		return "resumed"
	case PhaseLoading:
		return "loading"
	case PhaseLoaded:
		return "loaded"
	case PhaseCheckpoint:
		return "checkpoint"
	case PhaseGone:
		return "gone"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Blobs is what the executor needs of the blob store. Both methods are called concurrently.
type Blobs interface {
	// Path returns the path of an existing file with the bytes of d, which is blobFile of Dir and d. The executor only reads it.
	Path(d job.Digest) (string, error)
	// Dir is the directory in which these files are. Workers of modules can read there.
	Dir() string
	// Put stores what r holds, durably, and returns its digest and size.
	Put(ctx context.Context, r io.Reader) (job.Blob, error)
}

// ErrBadSecret says that a job can't have a secret that it names, at any broker: the job fails.
var ErrBadSecret = errors.New("not a secret for this job")

// Config configures an Executor. Dir, CacheDir, Blobs and Report are required; New fills in defaults for the
// rest.
type Config struct {
	// Dir holds the directories of running jobs. New clears it, because whatever is in it was left by a
	// broker that was killed. No other program may use it.
	Dir string
	// CacheDir holds compiled modules across restarts. Deleting it costs only the time to compile them again. New removes what
	// else is in it. No other program may use it.
	CacheDir string
	// Blobs is the store of modules, inputs and outputs.
	Blobs Blobs
	// Report receives updates on goroutines of the executor; those of one task come in order. It may block
	// for a while (on a full inbox), but not permanently, because Close waits for it. It must not call Close.
	Report func(Update)

	// Compiled is told which modules are compiled here, the last used first, whenever that has changed, and before New
	// returns, if there are any. It may block as Report may. Nil tells nobody.
	Compiled func([]job.Digest)

	// Unable is told why a worker that was to stand by could not be started: no job could run here either. It is told once,
	// until one could be started. It may block as Report may. Nil tells nobody.
	Unable func(why string)

	// AllowProcess allows jobs that are native programs.
	AllowProcess bool
	// Sandbox is how native programs are confined.
	Sandbox SandboxConfig
	// AllowModule is a module.NotAllowed when a module is not to run here: its jobs are returned for good. Another error says that it
	// can't be told; the job is returned, too. Any goroutine may call it. Nil allows any.
	AllowModule func(job.Digest) error
	// Secrets decrypts the secrets of a job, by their names. It may block until the context ends; its error tells nothing of them,
	// and wraps [ErrBadSecret] if the job can't have one anywhere. Any goroutine may call it. Nil refuses jobs that have some.
	Secrets func(ctx context.Context, key string, s *job.Spec) (map[string]string, error)
	// AdoptOrphans makes this process the parent of what killed workers leave behind, and waits for the end of every
	// child that the executor has not started. It is for programs that start no other processes themselves.
	AdoptOrphans bool
	// Worker is the arguments with which this program becomes a worker; the default is "worker". It is started
	// from the file that runs, whatever lies at its path by now: an upgrade in place harms nobody.
	Worker []string
	// Spawner is the arguments with which this program becomes the process that starts workers ([RunSpawner]); the
	// default is "spawner".
	Spawner []string
	// Memory is how many bytes of memory this broker offers jobs, by their limits. 0 is not known: idle workers are bounded by
	// their number and by time alone.
	Memory int64
	// ModuleMemory is how many bytes workers may have beside what running jobs may: for themselves, for modules while they
	// are compiled and loaded, and for modules' code. What jobs leave of Memory they may have, too. It needs Memory.
	ModuleMemory int64
	// DiskReserve is how many bytes of the disk jobs leave free: the one that has written most is ended before less than
	// that is free. 0 or less is none.
	DiskReserve int64
	// ModuleCache is how many bytes of the disk compiled modules may take; those that were not used for the longest time are
	// removed beyond it, and before anything is refused for want of disk. The default is four times DiskReserve, and 1 GiB where
	// there is none.
	ModuleCache int64
	// Logger receives warnings and what workers write to stderr; the default discards them.
	Logger *slog.Logger

	// IdleWorkers is how many wasm workers are kept ready. The default is 1; negative means none.
	IdleWorkers int
	// IdleTimeout is how long a worker beyond IdleWorkers may be idle before it is ended, and how long a
	// spare worker keeps compiled modules before it is replaced; the default is 30 seconds.
	IdleTimeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL for a native program; the default is 2 seconds.
	Grace time.Duration
}

// withDefaults returns the config with defaults filled in. It fails when a required field is not set.
func (c Config) withDefaults() (Config, error) {
	for _, dir := range []*string{&c.Dir, &c.CacheDir} {
		if *dir == "" {
			return c, errors.New("executor: Config.Dir and Config.CacheDir must be set")
		}
		abs, err := filepath.Abs(*dir) // workers have a working directory of their own
		if err != nil {
			return c, fmt.Errorf("executor: making %s absolute: %w", *dir, err)
		}
		*dir = abs
	}
	if c.Blobs == nil || c.Report == nil {
		return c, errors.New("executor: Config.Blobs and Config.Report must be set")
	}
	if c.AllowModule == nil {
		c.AllowModule = func(job.Digest) error { return nil }
	}
	if c.Secrets == nil {
		c.Secrets = func(context.Context, string, *job.Spec) (map[string]string, error) {
			return nil, errors.New("this broker belongs to no city, and can read no secrets")
		}
	}
	if c.Unable == nil {
		c.Unable = func(string) {}
	}
	if c.Compiled == nil {
		c.Compiled = func([]job.Digest) {}
	}
	if len(c.Worker) == 0 {
		c.Worker = []string{"worker"}
	}
	if len(c.Spawner) == 0 {
		c.Spawner = []string{"spawner"}
	}
	if c.Sandbox.Users.Count == 0 {
		c.Sandbox.Users = shareOfUIDs(c.Dir)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DiskReserve <= 0 {
		c.DiskReserve = -1
	}
	if c.ModuleCache <= 0 {
		c.ModuleCache = 4 * c.DiskReserve
	}
	if c.ModuleCache <= 0 {
		c.ModuleCache = 1 << 30
	}
	if c.IdleWorkers == 0 {
		c.IdleWorkers = 1
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 30 * time.Second
	}
	if c.Grace <= 0 {
		c.Grace = 2 * time.Second
	}
	return c, nil
}
