package job

import "github.com/urban-compute/ucp/clock"

// spec makes a string for each text. Slicing one string with all bytes would be faster, but would use more
// memory, and there are many pending jobs (TestPendingJobsAreSmall).
func (d *reader) spec(s *Spec) {
	n := d.mapHeader()
	s.After = optionalList[ID](d, &n, "after")
	s.AfterPolicy = d.optionalString(&n, "after_policy")
	s.Args = optionalList[string](d, &n, "args")
	if d.has("checkpoint") {
		n--
		s.Checkpoint = new(Checkpointing)
		d.checkpointing(s.Checkpoint)
	}
	s.Command = d.optionalString(&n, "command")
	s.Constraints = optionalList[string](d, &n, "constraints")
	s.DeadlineIn = clock.Duration(d.optionalInt(&n, "deadline_in"))
	s.Dirs = optionalList[string](d, &n, "dirs")
	s.Disk = d.optionalInt(&n, "disk")
	s.Driver = Driver(d.nameField("driver"))
	s.Env = readTexts[string](d, &n, "env")
	s.Exclusive = d.optionalString(&n, "exclusive")
	s.Inputs = readTexts[string](d, &n, "inputs")
	s.Labels = readTexts[string](d, &n, "labels")
	s.MinReplicas = d.small32(d.optionalInt(&n, "min_replicas"))
	s.Module = Digest(d.optionalString(&n, "module"))
	s.Name = d.optionalString(&n, "name")
	s.NamedOutputs = readTexts[string](d, &n, "named_outputs")
	s.Network = d.optionalTrue(&n, "network")
	s.Outputs = optionalList[string](d, &n, "outputs")
	s.OutputsOnFailure = d.optionalFlag(&n, "outputs_on_failure")
	s.PlainEnv = d.optionalTrue(&n, "plain_env")
	s.Preemption = Preemption(d.nameField("preemption"))
	d.key("priority")
	d.priority(&s.Priority)
	s.Redeploy = d.optionalFlag(&n, "redeploy")
	d.key("resources")
	d.resources(&s.Resources)
	d.key("retries")
	d.retries(&s.Retries)
	s.Secrets = readTexts[string](d, &n, "secrets")
	s.Stdin = Digest(d.optionalString(&n, "stdin"))
	s.Submitter = d.optionalString(&n, "submitter")
	s.Timeout = clock.Duration(d.optionalInt(&n, "timeout"))
	s.Urgency = Milli(d.small32(d.optionalInt(&n, "urgency")))
	s.WeightPart = Milli(d.small32(d.optionalInt(&n, "weight_part")))
	d.expect(n == 5)
}

func (d *reader) checkpointing(c *Checkpointing) {
	n := d.mapHeader()
	c.Every = clock.Duration(d.optionalInt(&n, "every"))
	c.Paths = optionalList[string](d, &n, "paths")
	c.Signal = d.optionalString(&n, "signal")
	d.expect(n == 0)
}

func (d *reader) priority(p *Priority) {
	n := d.mapHeader()
	p.Deadline = clock.Time(d.optionalInt(&n, "deadline"))
	p.Emergency = d.optionalString(&n, "emergency")
	p.User = d.small32(d.intField("user"))
	p.Weight = d.small32(d.optionalInt(&n, "weight"))
	d.expect(n == 1)
}

func (d *reader) resources(r *Resources) {
	n := d.mapHeader()
	r.CPU = d.intField("cpu")
	if d.has("devices") {
		n--
		count := d.filledMap()
		r.Devices = make(map[string]int64, count)
		last := ""
		for i := range count {
			k := d.string()
			d.expect(i == 0 || k > last)
			last = k
			r.Devices[k] = d.int()
		}
	}
	r.IO = d.optionalInt(&n, "io")
	r.Memory = d.intField("memory")
	d.expect(n == 2)
}

func (d *reader) retries(r *Retries) {
	n := d.mapHeader()
	r.Backoff = clock.Duration(d.optionalInt(&n, "backoff"))
	r.Max = d.small(d.optionalInt(&n, "max"))
	d.expect(n == 0)
}

// The following methods read one field, that is, key and value.
