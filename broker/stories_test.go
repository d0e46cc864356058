package broker

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	stories "github.com/urban-compute/ucp/test/story"
)

// The stories in testdata show what brokers do, in the manner of etcd raft's
// interaction tests. Nothing happens by itself: time passes and messages move when
// a command says so. The commands:
//
//	cluster a b c [options]     starts these brokers, all alive, and lets them meet
//	broker d [options]          starts one more; options: replicas=2 news=off cpu=1000 drivers=wasm label=gpu:1
//	                            retention=24h data_retention=0s retention_count=0 max_losses=3 modules=10: of so many MiB each
//	                            told: it was told of others to join, and has met none
//	numbered                    from now on starts are numbered as a store numbers them (rule K1)
//	crash a [late], restart a [options]
//	                            late: what a has sent is still on its way
//	leave a                     a says goodbye, and all know
//	drain a [now]               a is asked to leave gracefully; now: it stops what still runs
//	reap a [by=b+c]             SWIM forgets, at all others or at these, that a was ever a member
//	forget a b                  an operator says at a that b will not come back
//	order a drain b [within=10m], order a resume b
//	                            an operator says at a that b runs nothing new, with that deadline; that it may again
//	city                        the brokers belong to one, and an authority has let each of them in (rule M6)
//	shut d, shut d no           nobody sees by what d was let in; they do
//	invent c zz                 c puts that name into the roll, whoever it is
//	roll a                      who takes part, as a knows it
//	wipe a, backup a, restore a a's disk is lost; copied; brought back to that copy (and may start again)
//	resume a                    a goes on as it was when it was copied, under the same actor, as a machine from its snapshot
//	renumber a 1                a's next start has that number: its disk knows of none, and its clock is behind
//	mint a later, mint a        another start that a asks for is made only when the second command says so
//	claim b c a [n=5]           b tells c that it holds so many updates of a's present start, 2^40 if not given
//	meet [a]                    all brokers, or only a, see who is alive, as SWIM would tell them
//	cut a b, heal               messages between a and b are lost; SWIM notices with the next meet
//	apart c d                   these are another half: nobody else ever hears of them, by SWIM or by messages
//	pack a f for=c+d [admit] [whole]
//	                            a packs the file f (rule B1); without for it is for all that a does not reach. It is cut into
//	                            pages of 400 bytes. The words of those that a reaches are in it
//	unpack c f [pages=1]        c takes f in; pages: f was cut behind so many
//	skew a 1h                   a's wall clock is ahead, from its first start on if it has not started
//	time a b                    what time it is to a and b, by how far that is from the right one, and how they judge
//	submit a j1 [cpu=100 memory=64 module=e need=gpu retries=2 backoff=1s args=x once least=2 timeout=5s token=t]
//	                            [mode=requeue key=drone level=high user=7 deadline=10m within=10m after=j1+j2 policy=end]
//	                            module: e, of eeee..., or data:NAME, which a's shell has looked up, but where it is unseen; brought: one that the
//	                            shell has brought meanwhile
//	                            output: a path that is kept; as: the data that it becomes; by: who submits it; stdin, input: what another job has left, or a blob
//	                            deadline: an instant, so long from now; within: deadline_in, a duration
//	                            once: redeploy is false; least: min_replicas; token: what its client has
//	                            seen, under that name, as the answers add to it
//	flood a f n=200 size=9000   a takes f000, f001 ..., which nobody can run, of that many bytes each
//	speaks b 1                  the highest version of the protocol that the others know of b
//	gossip a b                  a push-pull brings a's state to b
//	settle, pass 5s             all happens that needs no time, or this much time
//	jump 700h                   so much time goes by in one step, for all: nothing happens in between
//	ready a                     a commits, and does what its Ready says
//	deliver a b [lost] [bad]    the first message on its way from a to b arrives; lost: its reply will not;
//	                            bad: its first record is damaged
//	drop a b                    that message is lost
//	mislead b c                 b tells c a clock that covers all that b holds, and leaves the records out
//	claim b a j1 [doubt]        b answers a that it has forgotten j1, and holds all that a holds; or that it is in doubt of j1
//	hold a b, late a b          the first message on its way from a to b is held up; it arrives
//	loud, quiet                 messages are shown, or not
//	report a j1 ok|fail|fatal [out=f], stopped a j1 [out=f], fetched a j1 [error|nowhere], pushed a b [failed]
//	                            what a's shell says of an attempt, of inputs, of blobs
//	kept a here|new|nowhere|silent
//	                            the next file that a is to keep is here; comes; is nowhere; may be with who is silent
//	room a full|free            a's shell says whether its disk has room
//	damaged a f                 a's shell has found that a file is damaged
//	report a j1 returned [began] [never]
//	                            a's shell could not carry the attempt out; its program may have run; a never can
//	recover a                   a's shell has found out that it can carry out jobs again
//	checkpoint a j1 f ran=10s   a's executor has taken a checkpoint of its attempt, after so long; submit's checkpoint: its path
//	loads a j1, loaded a j1     a's executor says that the module of its attempt is not ready, or that it is now
//	watch a                     somebody wants to hear from a of every job's state
//	compiled a e f              a has compiled the modules e and f, and no others
//	gone a j1                   a's shell says of an attempt that it has stopped that nothing of it runs, and stores what it wrote
//	paused a j1                 a's shell says that the attempt stands still
//	strategy a NAME [cluster]   a, or with it all brokers, decide conflicts in this way
//	which a                     a's strategy, and what it overrides (rule E5)
//	where a ID                  where an emergency is in force, as a answers its client, and by what is decided there
//	conflict a [limit=1]        the latest conflicts that a has decided
//	get a j1, wait a j1, cancel a j1, list a [state=running limit=2 name=pumps at=a emergency=flood label=k since=1h urgent paused why]
//	catchup a [timeout=5s]      whoever has seen token=t asks a whether it knows as much
//	status a                    what a says of how it is, beside what is well; warnings a: the latter half of it
//	stats a                     what a has counted of its decisions
//	show a j1                   the record as a holds it, gates or not
//	clock a, row a b            a's clock; whether a's metadata of b is of its present start
//	stable a                    a's stable clock (rule F1)
//	deps a j1                   what j1 depends on, as a holds it (rule C1)
//	transfer a b                how far a's transfer to b is
//	hybrid a                    how far a's hybrid clock is from its wall clock
//
//	declare a [new-type], and JSON
//	                            a declares an emergency, as its client says
//	clear a ID [force]          a clears it; force: also when it is not known
//	event a b [from=c ltime=7], and JSON without from
//	                            a and b hear an event: the one that c has flooded last, or one of a stock command line
//	emergencies a, emergency a ID
//	                            what a knows of emergencies; of one, with what it has caused
//
// Answers, starts, stops, fetches and pushes are told by themselves.
func TestStories(t *testing.T) {
	stories.Run(t, func(t *testing.T) func(*testing.T, *datadriven.TestData) string {
		s := &story{t: t, w: newWorld()}
		t.Cleanup(func() { require.Empty(t, s.w.errors, "invariants_test.go") })
		return s.do
	})
}

type story struct {
	t *testing.T
	w *world
	d *datadriven.TestData
}

// past is what the client with that token has seen.
func (s *story) past() causal.Context { return s.w.past[s.option("token", "")] }

// do carries a command out, and tells what was said meanwhile.
func (s *story) do(t *testing.T, d *datadriven.TestData) string {
	s.t, s.d, s.w.said = t, d, nil
	stories.Command(t, d, commands)(s)
	s.w.checkHeld()
	if len(s.w.said) == 0 {
		return "ok"
	}
	return strings.Join(s.w.said, "\n")
}

// word is the command's i-th word that is not an option, "" when there is none.
func (s *story) word(i int) string {
	for _, arg := range s.d.CmdArgs {
		if len(arg.Vals) > 0 {
			continue
		}
		if i == 0 {
			return arg.Key
		}
		i--
	}
	return ""
}

// option is the value of key=value, or what it is without.
func (s *story) option(key, without string) string {
	for _, arg := range s.d.CmdArgs {
		if arg.Key == key && len(arg.Vals) > 0 {
			return arg.Vals[0]
		}
	}
	return without
}

func (s *story) number(key string, without int64) int64 {
	n, err := strconv.ParseInt(s.option(key, strconv.FormatInt(without, 10)), 10, 64)
	require.NoError(s.t, err)
	return n
}

func (s *story) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	require.NoError(s.t, err)
	return d
}

func (s *story) node(i int) *node {
	n := s.w.nodes[s.word(i)]
	if n == nil {
		s.d.Fatalf(s.t, "no broker %q", s.word(i))
	}
	return n
}

// path is the way from the first to the second broker of the command.
func (s *story) path() [2]string { return [2]string{s.word(0), s.word(1)} }

// configure applies a broker's options.
func (s *story) configure(c *Config) {
	c.Replicas = int(s.number("replicas", int64(c.Replicas)))
	c.NewsLinks = s.option("news", "on") == "on"
	c.Capabilities.Capacity.CPU = s.number("cpu", c.Capabilities.Capacity.CPU)
	c.Retention = s.duration(s.option("retention", c.Retention.String()))
	c.DataRetention = s.duration(s.option("data_retention", c.DataRetention.String()))
	c.Expecting = s.d.HasArg("told")
	if n := s.number("modules", 0); n > 0 {
		c.ModuleSize = func(job.Digest) int64 { return n << 20 }
	}
	c.WorkerMemory = func(limit, size int64, compiled bool) int64 {
		if compiled {
			return limit + size
		}
		return limit + 10*size
	}
	c.Capabilities.NoNetwork = s.option("network", "on") == "off"
	if n := s.number("allow", 0); n > 0 {
		c.Capabilities.AllowModules = []uint32{uint32(n)}
	}
	if n := s.number("signed", 0); n > 0 {
		c.ModuleTags = func(job.Digest) []uint32 { return []uint32{1, uint32(n)} }
	}
	c.Capabilities.Room = s.number("room", 0) << 20
	c.KeepStrategy = s.d.HasArg("keep")
	c.MaxLosses = uint64(s.number("max_losses", int64(c.MaxLosses)))
	c.RetentionCount = int(s.number("retention_count", int64(c.RetentionCount)))
	if d := s.option("drivers", ""); d != "" {
		c.Capabilities.Drivers = []job.Driver{job.Driver(d)}
	}
	if k, v, ok := strings.Cut(s.option("label", ""), ":"); ok {
		c.Capabilities.Labels[k] = v
	}
}

func (s *story) spec() job.Spec {
	spec := job.Spec{
		Priority:  job.Priority{User: job.DefaultUser},
		Resources: job.Resources{CPU: s.number("cpu", 100), Memory: s.number("memory", 0) << 20},
		Retries:   job.Retries{Max: int(s.number("retries", 0)), Backoff: clock.Duration(s.duration(s.option("backoff", "0s")))},
	}
	if m := s.option("module", ""); strings.Contains(m, ":") {
		spec.Module = job.Digest(m)
	} else if m != "" {
		spec.Module = job.Digest(strings.Repeat(m, 64))
	} else {
		spec.Command = "work"
	}
	if a := s.option("args", ""); a != "" {
		spec.Args = []string{a}
	}
	if path := s.option("checkpoint", ""); path != "" {
		spec.Checkpoint = &job.Checkpointing{Paths: []string{path}}
	}
	if out := s.option("output", ""); out != "" {
		spec.Outputs = []string{out}
		if name := s.option("as", ""); name != "" {
			spec.NamedOutputs = map[string]string{out: name}
		}
	}
	spec.Submitter = s.option("by", "")
	if c := s.option("need", ""); c != "" {
		spec.Constraints = []string{c}
	}
	spec.Network, spec.Disk = s.d.HasArg("network"), s.number("disk", 0)<<20
	if s.d.HasArg("once") {
		never := false
		spec.Redeploy = &never
	}
	if k, v, ok := strings.Cut(s.option("joblabel", ""), ":"); ok {
		spec.Labels = map[string]string{k: v}
	}
	spec.Preemption = job.Preemption(s.option("mode", ""))
	spec.Exclusive = s.option("key", "")
	spec.Priority.Emergency = s.option("level", "")
	spec.Priority.User = int32(s.number("user", job.DefaultUser))
	if d := s.option("deadline", ""); d != "" {
		spec.Priority.Deadline = clock.At(s.w.now.Add(s.duration(d)))
	}
	spec.DeadlineIn = clock.Duration(s.duration(s.option("within", "0s")))
	if a := s.option("after", ""); a != "" {
		for _, id := range strings.Split(a, "+") {
			spec.After = append(spec.After, job.ID(id))
		}
	}
	spec.AfterPolicy = s.option("policy", "")
	spec.Stdin = job.Digest(s.option("stdin", ""))
	if from := s.option("input", ""); from != "" {
		spec.Inputs = map[string]string{"in": from}
		if strings.HasSuffix(from, "/") {
			spec.Inputs = map[string]string{"in/": from}
		}
	}
	spec.MinReplicas = int32(s.number("least", 0))
	require.NoError(s.t, spec.Complete())
	return spec
}

// parse makes a command outside of a story.
func parse(t *testing.T, line string) *datadriven.TestData {
	cmd, args, err := datadriven.ParseLine(line)
	require.NoError(t, err)
	return &datadriven.TestData{Cmd: cmd, CmdArgs: args}
}

func (s *story) run() { commands[s.d.Cmd](s) }
