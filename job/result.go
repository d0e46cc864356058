package job

import "github.com/urban-compute/ucp/clock"

// Outcome is how a job, or one attempt at it, ended.
type Outcome string

// The four ways to end. An attempt ends as Succeeded or Failed; the other two
// are verdicts on the whole job.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed" // a non-zero exit, a timeout, a crash: Reason says which
	Cancelled Outcome = "cancelled"
	Expired   Outcome = "expired" // its deadline passed
)

// MaxOutputFiles bounds how many files the output paths of one job may hold,
// so that a result fits into its record (rule L11).
const MaxOutputFiles = 256

// Blob names bytes by their content.
type Blob struct {
	Digest Digest `codec:"d" json:"sha256"`
	Size   int64  `codec:"n" json:"size"`
}

// Result is what one attempt came to, as its executor reports it.
type Result struct {
	Outcome  Outcome `codec:"o" json:"outcome"`
	ExitCode *int    `codec:"x,omitempty" json:"exit_code,omitempty"` // 128+n for signal n; nil when there is none
	Reason   string  `codec:"r,omitempty" json:"reason,omitempty"`    // why it failed, for a person
	// Permanent marks a failure that another try can't mend (the module is not
	// wasm, an input is too large), so that retries are not spent on it.
	Permanent bool `codec:"p,omitempty" json:"-"`

	Started  clock.Time `codec:"s" json:"started_at"`
	Finished clock.Time `codec:"f" json:"finished_at"`

	// Stdout and Stderr are nil when the job wrote nothing. What was written
	// beyond MaxOutput is cut, and the blob ends with a line that says so.
	Stdout  *Blob           `codec:"so,omitempty" json:"stdout,omitempty"`
	Stderr  *Blob           `codec:"se,omitempty" json:"stderr,omitempty"`
	Outputs map[string]Blob `codec:"out,omitempty" json:"outputs,omitempty"` // file path, relative to the job's root
}

// Blobs lists the digests of all output that the result names, each once.
func (r *Result) Blobs() []Digest {
	var out []Digest
	seen := map[Digest]bool{}
	add := func(b *Blob) {
		if b != nil && !seen[b.Digest] {
			seen[b.Digest] = true
			out = append(out, b.Digest)
		}
	}
	add(r.Stdout)
	add(r.Stderr)
	for _, path := range sortedKeys(r.Outputs) {
		b := r.Outputs[path]
		add(&b)
	}
	return out
}
