package job

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// CheckpointExit is the exit code by which a program with a checkpoint says that the files which it names are whole: they are
// kept, and it is started again in the same place (rule J17). It is that of HTCondor's self-checkpointing jobs.
const CheckpointExit = 85

// CheckpointRequest is the file, in a job's directory, by which a program asks for a checkpoint without ending. It is removed
// when that was taken.
const CheckpointRequest = ".ucp-checkpoint"

// Bounds and defaults of checkpoints.
const (
	maxCheckpointPaths = 16
	LeastCheckpoint    = time.Second                // between two checkpoints of one attempt
	mostCheckpoint     = 30 * 24 * time.Hour        // between two, by the clock
	signalCheckpoint   = 5 * time.Minute            // between two signals, if the spec does not say
	MostRan            = 100 * 365 * 24 * time.Hour // what a checkpoint can have run for
)

// CheckpointSignals are the signals by which a native program may be asked for a checkpoint.
var CheckpointSignals = []string{"HUP", "INT", "TERM", "USR1", "USR2"}

// Checkpointing says what of a job is kept while it runs, so that its next attempt goes on from there (rule J17).
type Checkpointing struct {
	Paths []string `codec:"paths,omitempty" json:"paths"` // files and directories, with a slash at the end or without
	// Every is how long the job runs from one checkpoint to the next: its processes stand still while the paths are copied; or,
	// with a signal, the program is asked. 0: a checkpoint is taken only when the program says so.
	Every  clock.Duration `codec:"every,omitempty" json:"every,omitempty"`
	Signal string         `codec:"signal,omitempty" json:"signal,omitempty"` // which asks a native program for a checkpoint, such as USR1
}

// Holds reports whether a path, with a slash at its end or without, is among what is kept, or within it.
func (c *Checkpointing) Holds(p string) bool {
	return slices.ContainsFunc(c.Paths, func(dir string) bool { return isWithin(p, dir) })
}

// isWithin is within where slashes at the ends mean nothing.
func isWithin(p, dir string) bool {
	return within(strings.TrimSuffix(p, "/"), strings.TrimSuffix(dir, "/"))
}

// fillIn brings all spellings of one meaning to the same.
func (c *Checkpointing) fillIn(d Driver) {
	if d == Wasm {
		for i, p := range c.Paths {
			c.Paths[i] = strings.TrimLeft(p, "/")
		}
	}
	if c.Signal = strings.TrimPrefix(strings.ToUpper(c.Signal), "SIG"); c.Signal != "" && c.Every == 0 {
		c.Every = clock.Duration(signalCheckpoint)
	}
}

// checkCheckpoint checks what is to be kept of the job while it runs.
func (s *Spec) checkCheckpoint() error {
	c := s.Checkpoint
	if c == nil {
		return nil
	}
	switch {
	case c.Every != 0 && (time.Duration(c.Every) < LeastCheckpoint || time.Duration(c.Every) > mostCheckpoint):
		return fieldError("checkpoint.every", "%v; want %v to %v, or nothing if the program says when", time.Duration(c.Every), LeastCheckpoint, mostCheckpoint)
	case c.Signal != "" && s.Driver == Wasm:
		return fieldError("checkpoint.signal", "a wasm module hears no signals: it exits with code %d when its files are whole, or makes the file %s", CheckpointExit, CheckpointRequest)
	case c.Signal != "" && !slices.Contains(CheckpointSignals, c.Signal):
		return fieldError("checkpoint.signal", "unknown signal %.40q; %s", c.Signal, label.OneOf(c.Signal, CheckpointSignals))
	case c.Signal != "" && c.Every == 0:
		return fieldError("checkpoint.every", "it is missing: how often is the signal to be sent?")
	case !s.MayRedeploy():
		return fieldError("checkpoint", "a job that must not run twice (redeploy: false) has no next attempt that could go on from one")
	}
	if len(c.Paths) == 0 || len(c.Paths) > maxCheckpointPaths {
		return fieldError("checkpoint.paths", "%d paths; want 1 to %d: what the program needs to go on (--checkpoint)", len(c.Paths), maxCheckpointPaths)
	}
	for i, p := range c.Paths {
		if err := s.checkCheckpointPath(fmt.Sprintf("checkpoint.paths[%d]", i), p, c.Paths[:i]); err != nil {
			return err
		}
	}
	return nil
}

// checkCheckpointPath checks one path; before are those in front of it.
func (s *Spec) checkCheckpointPath(field, p string, before []string) error {
	if err := checkFilePath(field, p); err != nil {
		return err
	}
	if path.Clean(p) == CheckpointRequest {
		return fieldError(field, "%q is the file by which the program asks for a checkpoint", p)
	}
	if slices.ContainsFunc(before, func(q string) bool { return isWithin(p, q) || isWithin(q, p) }) {
		return fieldError(field, "%q is listed twice, or within another one", p)
	}
	for _, in := range sortedKeys(s.Inputs) {
		if isWithin(p, in) && !isWithin(in, p) {
			return fieldError(field, "%q is within the input %q, which each attempt is given as a whole", p, in)
		}
	}
	for _, name := range sortedKeys(s.Secrets) {
		if at, isFile := SecretFile(name); isFile && isWithin(at, p) {
			return fieldError(field, "the secret %q is in it, and would be kept as it is, not encrypted", at)
		}
	}
	return nil
}

// Checkpoint is what an attempt had written of what its spec names, at a moment when that was whole, and on as many brokers as
// an input: the next attempt goes on from the newest one (rule J17).
type Checkpoint struct {
	Attempt Attempt        `codec:"attempt"` // that took it
	At      clock.Hybrid   `codec:"at"`      // when it was known to be on enough brokers
	Bytes   int64          `codec:"bytes"`   // of all files
	Dot     clock.Dot      `codec:"dot"`
	Ran     clock.Duration `codec:"ran"`  // for how long the job had run, over all attempts that went on from one another
	Tree    Digest         `codec:"tree"` // the manifest of the files (package tree)
}

// Compare orders checkpoints, like cmp.Compare: by how long the job had run, which is what is lost without it, then by the
// attempt, and the update that wrote it.
func (c *Checkpoint) Compare(d *Checkpoint) int {
	return cmp.Or(cmp.Compare(c.Ran, d.Ran), c.Attempt.Compare(d.Attempt), cmp.Compare(c.Dot.Counter, d.Dot.Counter),
		cmp.Compare(c.Dot.Actor, d.Dot.Actor), cmp.Compare(c.At, d.At), cmp.Compare(c.Tree, d.Tree), cmp.Compare(c.Bytes, d.Bytes))
}

// Newest returns the newer of two checkpoints, each of which may be nil.
func (c *Checkpoint) Newest(d *Checkpoint) *Checkpoint {
	out, _ := mergeCheckpoints(c, d)
	return out
}

// mergeCheckpoints returns the newer one, and whether that is b.
func mergeCheckpoints(a, b *Checkpoint) (*Checkpoint, bool) {
	if b == nil || a != nil && a.Compare(b) >= 0 {
		return a, false
	}
	return b, true
}

// SetCheckpoint notes a checkpoint, unless the record has a newer one. It may only be called inside [Record.With].
func (r *Record) SetCheckpoint(c Checkpoint) { r.Checkpoint, _ = mergeCheckpoints(r.Checkpoint, &c) }

// valid refuses what nobody writes.
func (c *Checkpoint) valid() bool {
	return c == nil || c.Attempt.valid() && !c.Attempt.IsZero() && !c.Dot.IsZero() && c.Dot.Counter <= clock.MaxCounter && c.Bytes >= 0 &&
		c.Ran > 0 && time.Duration(c.Ran) <= MostRan && ValidDigest(string(c.Tree))
}
