package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// runFlags holds what `ucp run` was told about the job.
type runFlags struct {
	checkpoint struct { // what is kept while it runs, and when
		paths  []string
		every  time.Duration
		signal string
	}

	name, stdin, driver        string
	plainEnv, onSuccessOnly    bool
	network                    bool
	inputs, env, labels, puts  pairsValue
	constraints, outputs, dirs []string
	cpu                        cpuValue
	memory, disk               bytesValue
	timeout, backoff           time.Duration
	retries                    int
	id, to                     string
	array, each                string
	detach, dryRun             bool
	patience                   patience

	priority            int
	deadline, emergency string
	after, afterEach    []string
	afterEnd            bool
	exclusive, mode     string
	devices             pairsValue
	weight, urgency     milliValue
	minReplicas         int
	once                bool
	token               string
	ackWithin           time.Duration
	secrets             secrets
}

// register declares the flags that describe the job.
func (f *runFlags) register(fs *pflag.FlagSet) {
	f.inputs.form, f.env.form, f.labels.form, f.puts.form = "PATH=FILE", "NAME=VALUE", "NAME=VALUE", "PATH=NAME"
	fs.SortFlags = false
	fs.StringVar(&f.name, "name", "", "`NAME` of the job for people, and for a wasm program its own (default: the file name of the program)")
	fs.StringVar(&f.stdin, "stdin", "", "`FILE` that the job reads as its stdin; - is that of this command; or what another job leaves: job:ID/stdout; or named data: data:NAME")
	fs.Var(&f.inputs, "input", "put this machine's FILE (- is stdin) at PATH in the job's directory; with a slash behind PATH the directory FILE;\nor what another job leaves: job:ID/out/FILE, job:ID/stdout; the job runs after that one;\nor named data: data:NAME, or below data:PREFIX/; repeatable")
	fs.StringArrayVar(&f.outputs, "output", nil, "`PATH` of a file to bring back, or with a slash behind it of a directory; repeatable")
	fs.Var(&f.puts, "put", "keep PATH as --output does, and when the job has succeeded write it as named data under NAME (ucp data); repeatable")
	fs.StringVar(&f.to, "to", ".", "`DIR` that --output files are written to, at their own paths")
	fs.StringArrayVar(&f.dirs, "dir", nil, "make the directory `PATH` before the job starts; repeatable")
	fs.Var(&f.env, "env", "environment variable; repeatable")
	fs.StringArrayVar(&f.secrets.named, "secret", nil, "what nobody but the job is to see: the variable `NAME`, from the environment here; with a slash (./key) a file of its directory, from that path here; =FILE: from that file, - for stdin; repeatable")
	fs.BoolVar(&f.plainEnv, "plain-env", false, "no variables but those of --env: not UCP_ATTEMPT, the fencing token, nor UCP_JOB_ID")
	fs.BoolVar(&f.onSuccessOnly, "outputs-on-success-only", false, "keep no --output of an attempt that fails (outputs_on_failure: false)")

	fs.Var(&f.cpu, "cpu", "CPU to ask for, "+cpuHelp+fmt.Sprintf(" (default %dm)", job.DefaultCPU))
	fs.Var(&f.memory, "memory", "memory to ask for, also the limit, "+bytesHelp+fmt.Sprintf(" (default %s)", humanBytes(job.DefaultMemory)))
	fs.Var(&f.disk, "disk", "what an attempt may write into its directory, "+bytesHelp+fmt.Sprintf(" (default %s)", humanBytes(job.DefaultDisk)))
	fs.DurationVar(&f.timeout, "timeout", 0, "end an attempt that takes longer (0: never)")
	fs.IntVar(&f.retries, "retries", 0, "how often to run again what failed by itself")
	fs.DurationVar(&f.backoff, "retry-backoff", 0, "pause before the first retry, doubled from one to the next (default 1s)")

	fs.StringSliceVar(&f.checkpoint.paths, "checkpoint", nil, "keep these `PATHS` while it runs, so that its next attempt goes on from there when a broker is lost; the program exits with code 85 when they are whole, and is started again")
	fs.DurationVar(&f.checkpoint.every, "checkpoint-every", 0, "with --checkpoint: keep them each time that it has run for so long, too; it stands still meanwhile")
	fs.StringVar(&f.checkpoint.signal, "checkpoint-signal", "", "with --checkpoint: send a native program this `SIGNAL` instead, such as USR1; it exits with code 85, or makes the file .ucp-checkpoint (default each 5m)")

	fs.StringArrayVar(&f.constraints, "constraint", nil, "only on brokers that meet `CONSTRAINT`: k=v, k!=v, \"k in (a,b)\" or k; repeatable, all must hold")
	fs.Var(&f.labels, "label", "label of the job itself; repeatable")
	fs.StringVar(&f.driver, "driver", string(job.Wasm), "wasm, or process: then FILE is a command of the executing machine")
	fs.StringVar(&f.id, "id", "", "`ID` of the job; running the same again is the same job (default: a new one)")
	fs.StringVar(&f.array, "array", "", "run one job for each of these `INDICES`, such as 0-999 or 1,3,7-9; {index} stands for it")
	fs.StringVar(&f.each, "each", "", "run one job for each line of `FILE` (- is stdin); {} stands for the line, {index} for its number from 0")
	fs.BoolVar(&f.detach, "detach", false, "do not wait: print the job's ID")

	fs.BoolVar(&f.dryRun, "dry-run", false, "submit nothing: show for every broker whether the job could run there, and who would have to yield")

	fs.IntVar(&f.priority, "priority", job.DefaultUser, "how urgent it is: a whole number from 0 (least) to 10 (most)")
	fs.StringVar(&f.deadline, "deadline", "", "`TIME` (RFC 3339) or duration from now after which the job is of no use")
	fs.StringVar(&f.emergency, "emergency", "", "`LEVEL` (none, low, medium, high, critical, or 0 to 4), or ID or type of the emergency that the job belongs to")
	fs.BoolVar(&f.once, "once", false, "never run it a second time when a broker is lost: it then ends as failed, \"may have run\" (redeploy: false)")
	registerSubmission(fs, &f.minReplicas, &f.ackWithin, &f.token)
	fs.StringArrayVar(&f.after, "after", nil, "run only after the job with this `ID` has succeeded, or all jobs of the array with this ID;\nthose of an array that this broker may not know yet by their indices: tiles[0-999]; repeatable")
	fs.StringArrayVar(&f.afterEach, "after-each", nil, "with --array or --each: run each job only after the job with its index of the `ARRAY` with this ID has succeeded; repeatable")
	fs.BoolVar(&f.afterEnd, "after-any-end", false, "with --after and --after-each: any end of those jobs will do (after_policy: end)")
	fs.BoolVar(&f.network, "network", false, "a native program that needs the network, which it has only on brokers with --allow-network")
	f.devices.form = "NAME=COUNT"
	fs.Var(&f.devices, "device", "counted device to ask for, such as camera=1; repeatable")
	fs.StringVar(&f.exclusive, "exclusive", "", "`KEY` that only one job in the cluster holds at a time, such as drone-2")
	fs.StringVar(&f.mode, "preempt", "", "what a more urgent job may do to this one: suspend (default), requeue or never")
	fs.Var(&f.urgency, "urgency", "how urgent it is where there is no --deadline, from 0 (not at all) to 1, such as 0.5")
	fs.Var(&f.weight, "weight", "how much it computes: from 0 (little) to 10 (much), such as 2 or 2.5; a small part of its score")
}

// registerSubmission declares the flags that say how a submission is answered.
func registerSubmission(fs *pflag.FlagSet, least *int, within *time.Duration, token *string) {
	if least != nil {
		fs.IntVar(least, "min-replicas", 0, "fail unless so many brokers hold the job within --ack-within")
	}
	fs.DurationVar(within, "ack-within", 0, "time to wait for --min-replicas, or the spec's min_replicas (default 10s)")
	fs.StringVar(token, "causal-token", "", "`TOKEN` of an earlier answer (-o json): this job comes after what that client had seen")
}

// spec makes the job spec, as far as it needs no upload. It checks what flags
// can get wrong; what a job may ask for is the broker's to say.
func (f *runFlags) spec(args []string) (job.Spec, error) {
	s := job.Spec{
		Driver: job.Driver(f.driver), Name: f.name, Args: args, Env: f.env.pairs, PlainEnv: f.plainEnv,
		Dirs: f.dirs, Outputs: f.outputs, NamedOutputs: f.puts.pairs,
		Resources:   job.Resources{CPU: int64(f.cpu), Memory: int64(f.memory)},
		Disk:        int64(f.disk),
		Priority:    job.Priority{User: int32(min(max(f.priority, -1), math.MaxInt32)), Emergency: job.LevelOf(f.emergency)},
		Urgency:     job.Milli(f.urgency),
		Labels:      f.labels.pairs,
		Constraints: f.constraints,
		Timeout:     clock.Duration(f.timeout),
		Retries:     job.Retries{Max: f.retries, Backoff: clock.Duration(f.backoff)},
	}
	s.MinReplicas, s.Network = int32(min(max(f.minReplicas, -1), math.MaxInt32)), f.network // the broker refuses more than 100
	s.Exclusive, s.Preemption = f.exclusive, job.Preemption(f.mode)
	for _, path := range slices.Sorted(maps.Keys(f.puts.pairs)) {
		if !slices.Contains(s.Outputs, path) {
			s.Outputs = append(s.Outputs, path)
		}
	}
	s.SetWeight(job.Milli(f.weight))
	if err := f.secrets.check(); err != nil {
		return s, err
	}
	s.Secrets = f.secrets.unsealed()
	if f.afterEnd {
		s.AfterPolicy = job.AfterEnd
	}
	devices, err := counts(f.devices.pairs)
	if err != nil {
		return s, fmt.Errorf("--device %w", err)
	}
	s.Resources.Devices = devices
	if no := false; f.once {
		s.Redeploy = &no
	}
	if no := false; f.onSuccessOnly {
		s.OutputsOnFailure = &no
	}
	if c := f.checkpoint; len(c.paths) > 0 || c.every != 0 || c.signal != "" { // the broker refuses one without paths
		s.Checkpoint = &job.Checkpointing{Paths: c.paths, Every: clock.Duration(c.every), Signal: c.signal}
	}
	for _, id := range f.after {
		s.After = append(s.After, job.ID(id))
	}
	if s.Driver != job.Wasm && s.Driver != job.Process {
		return s, fmt.Errorf("--driver %q: %s", f.driver, label.OneOf(f.driver, []string{string(job.Wasm), string(job.Process)}))
	}
	if f.deadline != "" {
		var err error
		if s.Priority.Deadline, s.DeadlineIn, err = parseDeadline(f.deadline); err != nil {
			return s, fmt.Errorf("--deadline %q: %w", f.deadline, err)
		}
	}
	return s, nil
}

// counts reads counted devices, nil for none.
func counts(pairs map[string]string) (map[string]int64, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	out := map[string]int64{}
	for name, text := range pairs {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 || !label.ValidName(name) {
			return nil, fmt.Errorf("%q: write a name and how many, such as camera=1", name+"="+text)
		}
		out[name] = n
	}
	return out, nil
}

// parseDeadline reads an instant, or a duration, which the broker that takes the job counts: this machine's
// clock may be wrong.
func parseDeadline(text string) (at clock.Time, in clock.Duration, err error) {
	if d, err := time.ParseDuration(text); err == nil {
		if d <= 0 {
			return 0, 0, errors.New("it is over; write a duration from now such as 90m")
		}
		return 0, clock.Duration(d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, 0, errors.New("write 2026-01-31T15:04:05Z, or a duration from now such as 90m")
	}
	return clock.At(t), 0, nil
}
