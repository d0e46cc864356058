package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// The kinds of jobs.
const (
	plain  = "plain"  // does nothing, or sleeps for some 100 ms
	long   = "long"   // sleeps for 1 to 6 s, so that a kill meets it
	input  = "input"  // copies its input to its output
	fails  = "fails"  // exits with 3
	once   = "once"   // redeploy: false (rule J8)
	native = "native" // /bin/true: a program that knows nothing of this test
	words  = "words"  // WebAssembly
	keyed  = "keyed"  // needs a key that only one may hold (rule J10)
	pinned = "pinned" // only one broker can run it; a fault submits it, not a client
)

// keyNames are the exclusive keys that keyed jobs need.
const keyNames = 4

// task is one job, and what is known of how it must end.
type task struct {
	id    job.ID
	kind  string
	spec  job.Spec
	blobs [][]byte // to be uploaded before
	notes string   // the file in which its runs are noted; "" when it notes nothing
	out   *api.Blob
}

// shares is how many of 100 jobs are of which kind.
var shares = []struct {
	kind  string
	share int
}{{plain, 36}, {long, 10}, {input, 16}, {fails, 5}, {once, 8}, {native, 9}, {words, 7}, {keyed, 9}}

// tasks makes the jobs; the same seed makes the same ones.
func tasks(o *options, self string, module []byte) ([]*task, error) {
	rnd := rand.New(rand.NewPCG(o.seed, 1))
	var out []*task
	for i := range o.jobs {
		t := &task{id: job.ID(fmt.Sprintf("chaos-%d-%05d", o.seed, i)), kind: drawKind(rnd)}
		if t.kind == words && module == nil {
			t.kind = input
		}
		if err := t.build(rnd, self, module, filepath.Join(o.dir, "notes", string(t.id))); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// guestMemory is more than a small Go program writes to: its runtime maps more, and
// the limit counts that.
const guestMemory = 256 << 20

func drawKind(rnd *rand.Rand) string {
	n := rnd.IntN(100)
	for _, k := range shares {
		if n -= k.share; n < 0 {
			return k.kind
		}
	}
	return plain
}

func (t *task) build(rnd *rand.Rand, self string, module []byte, notes string) error {
	t.spec = job.Spec{Driver: job.Process, Priority: job.Priority{User: job.DefaultUser}}
	between := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(rnd.Int64N(int64(hi-lo))) }
	pause, code := time.Duration(0), 0
	switch t.kind {
	case native:
		t.spec.Command = "true"
		return nil
	case words:
		t.spec.Driver, t.spec.Args = job.Wasm, []string{"-top", "1"}
		var err error
		if t.spec.Module, err = t.upload(module); err != nil {
			return err
		}
		if t.spec.Stdin, err = t.upload(fmt.Appendf(nil, "%s %s\n", t.id, t.id)); err != nil {
			return err
		}
		return nil
	case plain:
		if rnd.IntN(2) == 0 {
			pause = between(100*time.Millisecond, 400*time.Millisecond)
		}
	case long:
		pause = between(time.Second, 6*time.Second)
	case input:
		content := fmt.Appendf(nil, "what %s was given\n", t.id)
		d, err := t.upload(content)
		if err != nil {
			return err
		}
		t.spec.Inputs = map[string]string{"input": string(d)}
		t.out = &api.Blob{Digest: d, Size: int64(len(content))}
		pause = between(0, 200*time.Millisecond)
	case fails:
		code = 3
	case once:
		no := false
		t.spec.Redeploy = &no
		pause = between(100*time.Millisecond, time.Second)
	case keyed:
		t.spec.Exclusive = fmt.Sprintf("radio-%d", rnd.IntN(keyNames))
		pause = between(100*time.Millisecond, 800*time.Millisecond)
	}
	t.notes = notes
	t.spec.Resources = job.Resources{CPU: 100 + 50*rnd.Int64N(12), Memory: guestMemory}
	t.spec.Command, t.spec.Args = self, []string{guestVerb, notes, pause.String(), fmt.Sprint(code), fmt.Sprint(t.spec.Resources.CPU), or(t.spec.Exclusive, noKey)}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (t *task) upload(content []byte) (job.Digest, error) {
	b, err := api.Measure(api.Bytes(content))
	t.blobs = append(t.blobs, content)
	return b.Digest, err
}

// wrong says what is wrong with the job's end, given its runs; "" for nothing.
func (t *task) wrong(j api.Job, runs []*attempt) string {
	if j.Accepted == nil {
		if t.kind == once && j.State == job.StateFailed {
			return "" // "may have run"
		}
		return fmt.Sprintf("it is %s without a result: %s", j.State, j.Reason)
	}
	want, code := job.StateSucceeded, 0
	if t.kind == fails {
		want, code = job.StateFailed, 3
	}
	if j.State != want || j.ExitCode == nil || *j.ExitCode != code {
		return fmt.Sprintf("it is %s, not %s: %s", j.State, want, j.Reason)
	}
	if t.out != nil && (j.Stdout == nil || *j.Stdout != *t.out) {
		return "its output is not its input"
	}
	if t.kind == words && j.Stdout == nil {
		return "it has no output"
	}
	if t.notes == "" {
		return ""
	}
	for _, a := range runs {
		// The attempt may have another name by now: a new owner has adopted it (rule J7).
		if a.broker == j.Accepted.Executor && !a.end.IsZero() {
			return ""
		}
	}
	return fmt.Sprintf("no run at %s has made the accepted result, attempt %s", j.Accepted.Executor, j.Accepted.Attempt)
}
