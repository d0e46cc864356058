package resolve

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// The golden cases in testdata are read like this: the first line names the
// strategy and what the executor has, each other line is a job ("runs", "suspended"
// or "waits", its name, and what it wants), below the dashes stands what must be
// decided. A job that says nothing wants 100m CPU and 1 byte, has user priority 5,
// and came in the second of its line. After the file is changed,
// `go test ./resolve -run Golden -rewrite` writes down what is decided now.
func TestGolden(t *testing.T) {
	n := 0
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	require.NoError(t, err)
	for _, path := range files {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			n++
			s := readSnapshot(t, d)
			plan := Plan(s)
			q := queueOf(s)
			got := q.Resolve(s.Now)
			got.Defer = plan.Defer
			require.Equal(t, plan, got, "the index decides otherwise")
			require.Equal(t, plan, Plan(reversed(s)), "the order of the snapshot matters")
			again := Plan(s.after(plan))
			require.Empty(t, slices.Concat(again.Start, again.Resume), "it decides again")
			require.Empty(t, again.Preempt, "it decides again")
			out := tell(s, plan)
			if d.Cmd == "replay" {
				out += others(s)
			}
			return out
		})
	}
	require.GreaterOrEqual(t, n, 40)
}

func reversed(s Snapshot) Snapshot {
	for _, list := range []*[]*Candidate{&s.Running, &s.Suspended, &s.Pending} {
		var out []*Candidate
		for _, c := range *list {
			out = append([]*Candidate{c}, out...)
		}
		*list = out
	}
	return s
}

// queueOf makes a queue that holds what a snapshot holds.
func queueOf(s Snapshot) *Queue {
	q := NewQueue(s.Capacity)
	q.now = s.Now
	q.SetStrategy(s.Strategy, s.Weights)
	q.SetHeld(s.Keys)
	for st, list := range map[state][]*Candidate{running: s.Running, suspended: s.Suspended, pending: s.Pending} {
		for _, c := range list {
			e := &entry{c: c, state: st, dev: c.devices()}
			if st == pending && c.Fresh {
				q.fresh = append(q.fresh, e)
			}
			q.link(e)
		}
	}
	return q
}

func readSnapshot(t *testing.T, d *datadriven.TestData) Snapshot {
	s := Snapshot{Now: 10 * minute, Strategy: Causal, Weights: DefaultWeights(), Capacity: job.Resources{CPU: 1000, Memory: 1000, IO: 100}}
	for _, a := range d.CmdArgs {
		v := strings.Join(a.Vals, ",")
		switch a.Key {
		case "strategy":
			var err error
			s.Strategy, err = ParseStrategy(v)
			require.NoError(t, err)
		case "now":
			s.Now = millis(t, v)
		case "held":
			key, by, _ := strings.Cut(v, ":")
			s.Keys = append(s.Keys, HeldKey{Exclusive: key, By: by, At: "b2"})
		default:
			want(t, &s.Capacity, a.Key, v)
		}
	}
	for i, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		f := strings.Fields(line)
		c := &Candidate{Key: f[1], Want: job.Resources{CPU: 100, Memory: 1}, User: 5, Arrived: at(int64(i+1) * 1000), By: "a"}
		for _, kv := range f[2:] {
			k, v, _ := strings.Cut(kv, "=")
			field(t, c, k, v)
		}
		switch f[0] {
		case "runs":
			if c.Began == 0 {
				c.Began = minute
			}
			s.Running = append(s.Running, c)
		case "suspended":
			s.Suspended = append(s.Suspended, c)
		default:
			require.Equal(t, "waits", f[0])
			c.Fresh = true
			s.Pending = append(s.Pending, c)
		}
	}
	return s
}

func millis(t *testing.T, v string) clock.Time {
	d, err := time.ParseDuration(v)
	require.NoError(t, err)
	return clock.Time(d.Milliseconds())
}

func want(t *testing.T, r *job.Resources, k, v string) {
	n, err := strconv.ParseInt(v, 10, 64)
	require.NoError(t, err, "%s=%s", k, v)
	switch k {
	case "cpu":
		r.CPU = n
	case "memory":
		r.Memory = n
	case "io":
		r.IO = n
	default:
		if r.Devices == nil {
			r.Devices = map[string]int64{}
		}
		r.Devices[k] = n
	}
}

func field(t *testing.T, c *Candidate, k, v string) {
	number := func() int {
		n, err := strconv.Atoi(v)
		require.NoError(t, err)
		return n
	}
	switch k {
	case "user":
		c.User = number()
	case "level":
		c.Level = job.Level(v)
		require.GreaterOrEqual(t, c.Level, 0, v)
	case "raised":
		c.Raised = job.Level(v)
	case "weight":
		w, err := job.ParseMilli(v)
		require.NoError(t, err)
		c.Weight, c.Part = int(w/1000), w%1000
	case "urgency":
		u, err := job.ParseMilli(v)
		require.NoError(t, err)
		c.Urgency = u
	case "at":
		c.Arrived = at(int64(millis(t, v)))
	case "by":
		c.By = "b"
	case "since":
		c.Began = millis(t, v)
	case "ran":
		c.Ran = clock.Duration(millis(t, v)) * 1e6
	case "deadline":
		c.Deadline = millis(t, v)
	case "length":
		c.Length = clock.Duration(millis(t, v)) * 1e6
	case "mode":
		c.Mode = job.Preemption(v)
	case "key":
		c.Exclusive = v
	case "deps":
		c.Deps = strings.Split(v, ",")
	case "after":
		c.After = strings.Split(v, ",")
	case "displaced":
		c.Displaced = number()
	case "displaced_by":
		c.DisplacedBy, c.Displaced = strings.Split(v, ","), max(c.Displaced, 1)
	case "displaced_at":
		c.DisplacedAt = job.Level(v)
	case "leaving":
		how, whom, _ := strings.Cut(v, ":")
		c.Leaving, c.For = Leaving(how), whom
	case "promised":
		c.Promised = true
	default:
		want(t, &c.Want, k, v)
	}
}

// tell writes a decision down.
func tell(s Snapshot, d Decision) string {
	var b strings.Builder
	for _, key := range d.Start {
		fmt.Fprintf(&b, "start %s\n", key)
	}
	for _, key := range d.Resume {
		fmt.Fprintf(&b, "resume %s\n", key)
	}
	for _, p := range d.Preempt {
		fmt.Fprintf(&b, "%s %s for %s: %s\n", p.Mode, p.Victim, p.For, p.Why)
	}
	for _, r := range d.Expire {
		fmt.Fprintf(&b, "expire %s: %s\n", r.Key, r.Why)
	}
	for _, r := range d.Defer {
		fmt.Fprintf(&b, "wait %s: %s\n", r.Key, r.Why)
	}
	for _, c := range d.Conflicts {
		fmt.Fprintf(&b, "conflict over %s: %s\n", strings.TrimSpace(string(c.Kind)+" "+c.Over), c.Explain().Sentence)
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// others tells what the other strategies would have decided.
func others(s Snapshot) string {
	var b strings.Builder
	own := s.Strategy
	for _, x := range All() {
		if x != own {
			s.Strategy = x
			d := Plan(s)
			fmt.Fprintf(&b, "under %s: start %v, preempt %d\n", x, d.Start, len(d.Preempt))
		}
	}
	return b.String()
}
