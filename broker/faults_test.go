package broker

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/job"
)

// faults is a cluster of three of which something breaks, told as a story: what has failed can be pasted into one.
type faults struct {
	s      *story
	w      *world
	told   []string
	spoilt map[string]bool // whose disk was restored or lost, or who was removed, or lied to
	copied map[string]bool
	ended  bool            // j1 was cancelled
	gone   bool            // j1 was forgotten by somebody who may
	early  map[string]bool // whose copy is of a time at which not all were known to hold j1
	again  bool            // one was resumed from such a copy: it can't know that j1 was forgotten since, and says it again (decision 0084)
}

func (f *faults) do(format string, args ...any) string {
	line := fmt.Sprintf(format, args...)
	f.told = append(f.told, line)
	out := f.s.do(f.s.t, parse(f.s.t, line))
	for _, n := range f.w.nodes {
		f.gone = f.gone || n.b != nil && n.b.stats.Forgotten > 0
	}
	return out
}

func (f *faults) up(name string) bool { return f.w.nodes[name].b != nil }

// start starts a broker again, if it is down, and lets SWIM see it.
func (f *faults) start(name string) {
	if !f.up(name) {
		f.do("restart %s", name)
	}
	f.do("meet")
}

func (f *faults) crash(name string) {
	if f.up(name) {
		f.do("crash %s", name)
	}
}

// faultSteps are what may happen to a broker, or to it and another one.
var faultSteps = map[string]func(*faults, string, string){
	"backup": func(f *faults, a, _ string) {
		if !f.copied[a] && f.up(a) {
			f.copied[a] = true
			b := f.w.nodes[a].b
			keys := b.withID("j1")
			f.early[a] = len(keys) > 0 && !b.ledger.Lineage().Has(b.ledger.StableClock(), b.record(keys[0]).Created[0].Dot)
			f.do("backup %s", a)
		}
	},
	"restore": func(f *faults, a, _ string) {
		if f.copied[a] && f.maySpoil(a) {
			f.crash(a)
			f.do("restore %s", a)
			f.start(a)
		}
	},
	"wipe": func(f *faults, a, _ string) {
		if f.maySpoil(a) {
			f.crash(a)
			f.do("wipe %s", a)
			f.start(a)
		}
	},
	"resume": func(f *faults, a, _ string) {
		if f.copied[a] && f.maySpoil(a) {
			f.again = f.again || f.early[a]
			f.do("resume %s", a)
			f.do("meet")
		}
	},
	"lie": func(f *faults, a, b string) {
		if f.up(a) && f.up(b) && f.maySpoil(b) {
			f.do("overstate %s %s %s", a, b, b)
		}
	},
	"crash": func(f *faults, a, _ string) { f.crash(a); f.do("meet") },
	"start": func(f *faults, a, _ string) { f.start(a) },
	"off": func(f *faults, a, _ string) {
		for _, b := range f.w.names {
			if b != a {
				f.do("cut %s %s", a, b)
			}
		}
		f.do("meet")
	},
	"cut":  func(f *faults, a, b string) { f.do("cut %s %s", a, b); f.do("meet") },
	"heal": func(f *faults, _, _ string) { f.do("heal"); f.do("meet") },
	"forget": func(f *faults, a, b string) {
		if f.up(a) && f.w.nodes[a].seen[b].Status == membership.Failed && f.maySpoil(b) {
			f.do("forget %s %s", a, b)
		}
	},
	"leave": func(f *faults, a, _ string) {
		if f.up(a) {
			f.do("leave %s", a)
		}
	},
	"cancel": func(f *faults, a, _ string) {
		if f.up(a) && len(f.w.nodes[a].b.withID("j1")) > 0 {
			f.ended = true
			f.do("cancel %s j1", a)
		}
	},
	"submit": func(f *faults, a, _ string) {
		if f.up(a) {
			f.do("submit %s j2 need=nowhere", a)
		}
	},
	"moment": func(f *faults, _, _ string) { f.do("settle") },
	"short":  func(f *faults, _, _ string) { f.do("pass 5s") },
	"while":  func(f *faults, _, _ string) { f.do("pass 65s") },
	"long":   func(f *faults, _, _ string) { f.do("pass 150s") },
}

// maySpoil says whether a's disk may be restored or lost, or a be removed, or lied to: that happens to fewer than hold copies.
func (f *faults) maySpoil(a string) bool {
	if !f.spoilt[a] && len(f.spoilt) >= f.w.nodes[a].cfg.Replicas-1 {
		return false
	}
	f.spoilt[a] = true
	return true
}

// mend lets all be well again, and says what is not.
func (f *faults) mend() (bad []string) {
	f.do("heal")
	for _, name := range f.w.names {
		f.start(name)
	}
	for range 3 {
		f.do("meet")
		f.do("pass 125s")
	}
	wrong := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, name := range f.w.names {
		b := f.w.nodes[name].b
		for key := range b.disputes.open {
			if !b.record(key).Finished() { // else it may stay so until its retention is over (rule F3)
				wrong("%s disputes", name)
			}
		}
		if !b.proven() {
			wrong("%s is not proven", name)
		}
		if keys := b.withID("j1"); len(keys) > 0 && f.gone && !f.again && !b.record(keys[0]).Finished() {
			wrong("%s holds j1, which was forgotten", name)
		}
		if keys := b.withID("j1"); !f.ended && (len(keys) == 0 || b.record(keys[0]).Finished()) {
			wrong("%s does not hold j1", name)
		}
	}
	for _, name := range f.w.names {
		f.do("submit %s new-%s need=nowhere", name, name)
		if out := f.do("pass 5s"); !strings.Contains(out, " replicas") || strings.Contains(out, "degraded") {
			wrong("%s: %s", name, out)
		}
	}
	for _, name := range f.w.names {
		for _, of := range f.w.names {
			id := job.ID("new-" + of)
			if len(f.w.nodes[name].b.withID(id)) == 0 {
				wrong("%s does not hold %s", name, id)
			}
		}
	}
	for _, name := range f.w.names {
		f.do("cancel %s new-%s", name, name)
	}
	f.do("pass 6m")
	for _, name := range f.w.names {
		b := f.w.nodes[name].b
		for _, of := range f.w.names {
			if keys := b.withID(job.ID("new-" + of)); len(keys) > 0 {
				wrong("%s holds %s still: %s", name, "new-"+of, recordText(b.record(keys[0])))
			}
		}
		if n := b.ledger.Stubs(); n > 0 {
			wrong("%s has %d stubs", name, n)
		}
	}
	// Who ends a job before it hears that the others have forgotten it covers more of it than it holds, until it forgets it, too.
	covers := func(what string) bool { return strings.Contains(what, " covers ") }
	f.w.errors = slices.DeleteFunc(f.w.errors, covers)
	f.w.checkHeld()
	bad = append(bad, f.w.errors...)
	return bad
}

// Whatever two of three brokers go through: when all is well again nothing waits for good, and nothing that was forgotten
// runs again, as long as fewer brokers lose their disk, or are removed, than hold copies. UCP_TRIALS=n tries n others; what
// fails is printed as a story.
func TestFaultsOfTwo(t *testing.T) {
	from, trials := 0, 12
	number := func(variable string, fallback int) int {
		text := os.Getenv(variable)
		if text == "" {
			return fallback
		}
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	if more := number("UCP_TRIALS", 0); more > 0 {
		from, trials = number("UCP_SEED", trials), more
	}
	steps := slices.Sorted(maps.Keys(faultSteps))
	for seed := from; seed < from+trials; seed++ {
		random := prng.Source(seed)
		f := &faults{w: newWorld(), spoilt: map[string]bool{}, copied: map[string]bool{}, early: map[string]bool{}}
		f.s = &story{t: t, w: f.w}
		f.do("numbered")
		f.do("cluster a b c replicas=%d retention=20s", 2+random.Below(2))
		f.do("submit a j1 need=nowhere")
		f.do("settle")
		for range 1 + random.Below(12) {
			a := random.Below(3)
			b := (a + 1 + random.Below(2)) % 3
			faultSteps[steps[random.Below(len(steps))]](f, f.w.names[a], f.w.names[b])
		}
		if bad := f.mend(); len(bad) > 0 {
			t.Fatalf("seed %d:\n%s\n\n%s", seed, strings.Join(bad, "\n"), strings.Join(f.told, "; "))
		}
	}
}
