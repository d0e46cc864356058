package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/urban-compute/ucp/job"
)

// Task is one attempt at one job.
type Task struct {
	// Key is the job's ledger key: it names the job uniquely on this broker. It
	// need not be safe as a file name.
	Key string
	ID  job.ID
	// Attempt is the fencing token of this attempt (rule J4). The job sees it as
	// UCP_ATTEMPT, beside its UCP_JOB_ID.
	Attempt string
	// Spec is valid and has its defaults; all of Spec.Blobs() are in the blob
	// store when Start is called.
	Spec job.Spec
}

// Update tells how a task goes. For each Start there is at most one that says
// "started" and then exactly one that says "ended", in that order. An attempt that
// can't start, because a blob is missing say, only ends. Before the end, and also
// before the start, "suspended" and "resumed" may come in turn; of a suspended
// attempt the next news may be its end.
type Update struct {
	Key, Attempt string
	// Phase says what has happened, while Result is nil.
	Phase Phase
	// Result is how the attempt ended; nil before that.
	Result *job.Result
	// CPU is the processor time that the attempt used, told with its Result.
	CPU time.Duration
	// Stopped says that the attempt ended because Stop was called. Its Result
	// is not an outcome of the job, only the news that nothing of the attempt is
	// left: its memory, its devices and its exclusive key are free from here on.
	Stopped bool
}

// Phase is a step in an attempt's life before its end.
type Phase uint8

// The phases.
const (
	PhaseStarted Phase = iota
	PhaseSuspended
	PhaseResumed
)

func (p Phase) String() string {
	switch p {
	case PhaseStarted:
		return "started"
	case PhaseSuspended:
		return "suspended"
	case PhaseResumed:
		return "resumed"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Blobs is what the executor needs of the blob store. Both methods are called
// from many goroutines.
type Blobs interface {
	// Path names an existing file with the bytes of d, which is only read.
	Path(d job.Digest) (string, error)
	// Put stores what r holds, synced, and tells its digest and size.
	Put(ctx context.Context, r io.Reader) (job.Blob, error)
}

// Config says how an Executor works. Dir, CacheDir, Blobs and Report are needed;
// the rest has defaults, which New fills in.
type Config struct {
	// Dir holds the directories of running jobs. New clears it: what it finds
	// there was left by a broker that was killed. Nobody else may use it.
	Dir string
	// CacheDir holds compiled modules, across restarts. Deleting it costs only
	// the time to compile again.
	CacheDir string
	Blobs    Blobs
	// Report takes updates, from goroutines of the executor, those of one task in
	// order. It may block for a while (a full inbox), not for ever: Close waits
	// for it. It must not call Close.
	Report func(Update)

	AllowProcess bool     // whether jobs may be native programs
	Worker       []string // argv that starts a worker; default: this binary with "worker"
	Logger       *slog.Logger

	IdleWorkers int           // wasm workers kept ready; default 1, negative for none
	IdleTimeout time.Duration // idle workers beyond IdleWorkers are ended after it, and spares that hold modules renewed; default 30s
	Grace       time.Duration // from SIGTERM to SIGKILL, process driver; default 2s
}

// withDefaults returns the validated config; every error names the field.
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
	if len(c.Worker) == 0 {
		self, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("executor: finding this program, to start workers from it: %w", err)
		}
		c.Worker = []string{self, "worker"}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
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
