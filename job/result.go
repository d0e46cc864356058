package job

import (
	"fmt"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// Outcome says how a job, or one attempt at it, ended.
type Outcome string

// The four outcomes. An attempt is Succeeded or Failed; the other two
// are verdicts on the whole job.
const (
	Succeeded Outcome = "succeeded" // the program exited with code 0, and all outputs are kept
	Failed    Outcome = "failed"    // a non-zero exit, a timeout, a crash: Reason says which
	Cancelled Outcome = "cancelled" // a client has cancelled the job
	Expired   Outcome = "expired"   // its deadline has passed
)

// MaxOutputFiles is how many files the output paths of one job may hold,
// so that a result fits into its record (rule L11).
const MaxOutputFiles = 256

// Blob identifies a blob by its digest, and gives its size in bytes.
type Blob struct {
	Digest Digest `codec:"d" json:"sha256"`
	Size   int64  `codec:"n" json:"size"`
}

// Result is the result of one attempt, as its executor reports it.
type Result struct {
	Outcome  Outcome `codec:"o" json:"outcome"`
	ExitCode *int    `codec:"x,omitempty" json:"exit_code,omitempty"` // 128+n for signal n; nil if it did not exit
	Reason   string  `codec:"r,omitempty" json:"reason,omitempty"`    // why it failed, or what is not among its outputs; for people
	// Permanent marks a failure that a retry cannot change (for instance, the module is not
	// wasm), so that no retry is made.
	Permanent bool `codec:"p,omitempty" json:"-"`

	Started  clock.Time `codec:"s" json:"started_at"`
	Finished clock.Time `codec:"f" json:"finished_at"`

	// Stdout and Stderr are nil if the job wrote nothing. Output beyond MaxOutput is
	// dropped, and the blob ends with a line that says so.
	Stdout *Blob `codec:"so,omitempty" json:"stdout,omitempty"`
	Stderr *Blob `codec:"se,omitempty" json:"stderr,omitempty"`
	// Outputs are by path, relative to the job's root. One with a slash at its end is a directory, and its blob a manifest.
	Outputs map[string]Blob `codec:"out,omitempty" json:"outputs,omitempty"`

	Read []Reading `codec:"rd,omitempty" json:"-"` // the ends of other jobs that the attempt has read of, sorted by job (rule C6)
}

// timeoutReason begins the reason of an attempt that its timeout has ended, and of no other: what a program does has
// reasons of other forms.
const timeoutReason = "timeout after "

// TimeoutReason is the reason of an attempt that ran for as long as its spec's timeout allows.
func TimeoutReason(timeout time.Duration) string { return timeoutReason + timeout.String() }

// LoadTimeoutReason is the same where the program had not begun.
func LoadTimeoutReason(timeout time.Duration) string {
	return TimeoutReason(timeout) + ": it timed out while its module was being compiled"
}

// TimedOut reports whether the timeout has ended the attempt. The exit code, if there is one, is what the program made
// of the signal that asked it to end.
func (r *Result) TimedOut() bool {
	return r.Outcome == Failed && strings.HasPrefix(r.Reason, timeoutReason)
}

// ExitReason is the reason of an attempt whose program has ended with a code other than 0, if there is nothing else to say of it.
func ExitReason(code int) string { return fmt.Sprintf("exit code %d", code) }

// StoppedReason is the reason of an attempt that its broker was told to stop, or begins it.
const StoppedReason = "stopped"

// wasStopped reports whether the attempt did not end by itself, but was stopped.
func (r *Result) wasStopped() bool {
	return r.Outcome == Failed && (r.Reason == StoppedReason || strings.HasPrefix(r.Reason, StoppedReason+"; "))
}

// Blobs lists the digests of all outputs of the result, each once, in a fixed order. A directory is one of them (see TreeOf).
func (r *Result) Blobs() []Digest {
	var out []Digest
	seen := map[Digest]bool{}
	add := func(d Digest) {
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	for _, b := range []*Blob{r.Stdout, r.Stderr} {
		if b != nil {
			add(b.Digest)
		}
	}
	for _, path := range sortedKeys(r.Outputs) {
		add(blobAt(path, r.Outputs[path].Digest))
	}
	return out
}
