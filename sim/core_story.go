package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// maxTold bounds the text of a story.
const maxTold = 20000

// tell adds a line to the story.
func (c *Core) tell(format string, args ...any) {
	if len(c.told) < maxTold {
		c.told = append(c.told, fmt.Sprintf("%9.3fs  ", c.Now.Sub(c.start).Seconds())+fmt.Sprintf(format, args...))
	}
}

// Story is what happened, as text. With a word, only the lines with it, and those
// that concern no single job.
func (c *Core) Story(about string) string {
	var out []string
	for _, line := range c.told {
		single := strings.Contains(line, " runs ") || strings.Contains(line, " is submitted ") || strings.Contains(line, "acknowledges") ||
			strings.Contains(line, "cancelled") || strings.Contains(line, "copies of j")
		if about == "" || !single || strings.Contains(line+" ", " "+about+" ") || strings.Contains(line, " "+about+",") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// Schedule drives one seeded fault schedule: brokers are killed, restarted, wiped and
// rolled back, they flap, stand still and leave, the network splits and heals and
// loses messages, clocks jump, while clients submit, read and cancel. In the end all
// is healed, and the checks are made. Faults adds what else may happen; what it adds is drawn
// apart, so that a schedule without it is what it always was.
func Schedule(seed uint64, cfg broker.Config, faults Faults) *Core {
	cfg.SyncInterval = 20 * time.Second
	if seed%2 == 1 {
		cfg.Retention, cfg.RetentionCount = 15*time.Second, 5
	}
	if faults.has(Names) && seed%4 == 1 {
		cfg.DataRetention = 7 * time.Second
	}
	if faults.has(DeclaredAgain) {
		cfg.EmergencyRetention = 20 * time.Second
	}
	c := NewCore(seed, 3+int(seed%5), cfg)
	c.faults = faults
	c.Loss = []float64{0, 0.02, 0.1, 0.3}[seed/5%4]
	c.Dup = []float64{0, 0.05}[seed/20%2]
	if seed%3 == 0 {
		c.Reap = 20 * time.Second
	}
	c.Run(3 * time.Second)
	n := &schedule{c: c, past: map[int]causal.Context{}, more: rand.New(rand.NewPCG(seed, 2))}
	n.begin()
	for range 60 {
		n.event()
		n.moreEvents()
		c.Run(time.Duration(c.rand.IntN(2000)) * time.Millisecond)
	}
	c.tell("the schedule is over: all is healed and started")
	c.Loss, c.Dup, c.Damage = 0, 0, 0
	c.Heal()
	if c.hostile != nil {
		c.hostile.leave()
	}
	c.Run(10 * time.Second) // who is about to leave has left
	for _, name := range c.names {
		if !c.Up(name) {
			c.Start(name)
		}
	}
	c.Run(c.cfg.IsolationDelay + 5*c.cfg.SyncInterval)
	c.Converged()
	return c
}

// schedule draws who does what, and when.
type schedule struct {
	c     *Core
	ids   []job.ID
	past  map[int]causal.Context // what each of three clients has seen
	more  *rand.Rand             // draws what Faults adds
	named []namedJob             // those of which the module is named data
}

func (n *schedule) pick() string { return n.c.names[n.c.rand.IntN(len(n.c.names))] }

func (n *schedule) event() {
	c, name := n.c, n.pick()
	switch x := c.rand.IntN(46); {
	case x >= 42:
		n.emergencies(name)
	case x >= 40:
		all := resolve.All()
		c.SetStrategy(name, all[c.rand.IntN(len(all))], x == 41)
	case x < 16:
		n.submit(name)
	case x < 18 && len(n.ids) > 0:
		c.Cancel(name, n.ids[c.rand.IntN(len(n.ids))])
	case x < 20 && len(n.ids) > 0:
		client := c.rand.IntN(3)
		if p := n.past[client]; len(p) > 0 && p[len(p)-1].Job != "" {
			c.ReadAfter(name, p[len(p)-1].Job, p)
		}
	case x < 23:
		c.Kill(name)
	case x < 26:
		if !c.Up(name) {
			n.restart(name)
		}
	case x == 26:
		group := map[string]bool{}
		for _, other := range c.names {
			group[other] = c.rand.IntN(2) == 0
		}
		c.Split(group)
	case x == 27:
		c.Bridge(name, n.pick())
	case x == 28:
		c.OneWay(name, n.pick())
	case x < 32:
		c.Heal()
	case x == 32:
		c.Flap(name)
	case x == 33:
		c.Pause(name, time.Duration(1+c.rand.IntN(12))*time.Second)
	case x == 34:
		c.Skew(name, time.Duration(c.rand.IntN(7201)-3600)*time.Second)
	case x == 35:
		c.Leave(name)
	default:
		c.backup(c.nodes[name])
	}
}

// restart starts a broker, sometimes from a disk that is not what it was.
func (n *schedule) restart(name string) {
	switch n.c.rand.IntN(6) {
	case 0:
		n.c.Wipe(name)
	case 1, 2:
		n.c.Rollback(name)
	}
	n.c.Start(name)
}

func (n *schedule) submit(at string) {
	c := n.c
	id := job.ID(fmt.Sprintf("j%d", len(n.ids)))
	if len(n.ids) > 0 && c.rand.IntN(8) == 0 {
		id = n.ids[c.rand.IntN(len(n.ids))] // again, or by somebody else
	} else {
		n.ids = append(n.ids, id)
	}
	spec := job.Spec{Resources: job.Resources{CPU: int64(100 + c.rand.IntN(500))}}
	if c.rand.IntN(8) != 0 { // else it is another spec when the ID was used before
		spec.Resources.CPU = 300
	}
	no := false
	switch c.rand.IntN(8) {
	case 0:
		spec.Redeploy = &no
	case 1:
		spec.MinReplicas = 1 + c.rand.Int32N(3)
	case 2, 3:
		spec.Module = job.Digest(digestOf(string(id)))
	case 4:
		spec.Retries.Max = 2
	}
	n.competes(&spec)
	n.long(id, &spec)
	n.byName(id, &spec)
	client := c.rand.IntN(3)
	c.SubmitSpec(at, id, spec, n.past[client], func(s *broker.Submitted) { n.past[client] = s.Past })
}

// competes makes a job more or less urgent than others, and lets it want what others
// want.
func (n *schedule) competes(spec *job.Spec) {
	c := n.c
	spec.Priority.User = int32(c.rand.IntN(11))
	spec.Priority.Emergency = []string{"", "", "", "low", "high", "critical", "flood", "e1"}[c.rand.IntN(8)]
	if spec.MayRedeploy() {
		spec.Preemption = []job.Preemption{"", job.Requeue, job.Never}[c.rand.IntN(3)]
	}
	if c.rand.IntN(4) == 0 {
		spec.Labels = map[string]string{"pumps": "yes"}
	}
	switch c.rand.IntN(8) {
	case 0:
		spec.Exclusive = []string{"drone", "radio"}[c.rand.IntN(2)]
	case 1:
		spec.After = []job.ID{n.ids[c.rand.IntN(len(n.ids))]} // often unknown, or itself
		spec.AfterPolicy = []string{job.AfterSuccess, job.AfterEnd}[c.rand.IntN(2)]
	case 2:
		spec.Priority.Deadline = clock.At(c.Now.Add(time.Duration(1+c.rand.IntN(30)) * time.Second))
	}
}
