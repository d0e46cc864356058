package job

import "github.com/urban-compute/ucp/clock"

// This file decodes what append.go writes, without reflection: every broker decodes its copy of each
// submission once, and the codec would take several times as long for that as everything else that is done
// with a record.
//
// It accepts canonical bytes only: the fields that this version knows, in sorted order, without empty fields
// that may be left out, and with every number and length in its shortest form. Everything else, whether it is
// wrong or only new, is left to the codec, which therefore decides what is valid and keeps the fields of a
// newer broker (rules L2, L10). What is accepted here is exactly what append.go writes for the result
// (TestReadEqualsCodec, FuzzDecodeRecord). Therefore the bytes of the spec inside of the record are those of
// which its digest is made (rule J3), and need not be encoded again.

// decodeFast decodes a record from its canonical bytes, and also returns the bytes of its spec. If ok is
// false, the bytes are left to the codec.
func decodeFast(b []byte) (r *Record, spec []byte, ok bool) {
	r = new(Record)
	d := reader{b: b, names: [6]string{string(Process), string(Suspend)}, next: 2}
	spec = d.record(r)
	return r, spec, !d.bad && d.at == len(b)
}

func (d *reader) record(r *Record) (spec []byte) {
	n := d.mapHeader()
	if d.has("checkpoint") {
		n--
		r.Checkpoint = new(Checkpoint)
		d.checkpoint(r.Checkpoint)
	}
	d.key("created")
	r.Created = make([]Stamp, d.length(MaxCreated, 1))
	for i := range r.Created {
		d.stamp(&r.Created[i])
	}
	d.key("dots")
	r.Dots = d.vector()
	if d.has("ended") {
		n--
		r.Ended = make([]Ending, d.length(maxAfter, 1))
		for i := range r.Ended {
			d.ending(&r.Ended[i])
		}
	}
	r.ID = ID(d.stringField("id"))
	if d.has("kept") {
		n--
		r.Kept = new(Report)
		d.report(r.Kept)
	}
	if d.has("loading") {
		n--
		r.Loading = new(Loading)
		d.loading(r.Loading)
	}
	if d.has("losses") {
		n--
		r.Losses = d.uint()
		d.expect(r.Losses != 0)
	}
	r.Origin = d.nameField("origin")
	d.key("owner")
	d.assignment(&r.Owner)
	if d.has("pauses") {
		n--
		r.Pauses = make([]Pause, d.length(maxPauses, 1))
		for i := range r.Pauses {
			d.pause(&r.Pauses[i])
		}
	}
	d.key("place")
	d.placement(&r.Place)
	if d.has("reports") {
		n--
		r.Reports = make([]Report, d.length(maxReports, 1))
		for i := range r.Reports {
			d.report(&r.Reports[i])
		}
	}
	if d.has("returns") {
		n--
		r.Returns = make([]Return, d.length(MaxReturns, 1))
		for i := range r.Returns {
			d.returned(&r.Returns[i])
		}
	}
	if d.has("seal") {
		n--
		r.Seal = new(Seal)
		d.seal(r.Seal)
	}
	d.key("spec")
	start := d.at
	d.spec(&r.Spec)
	spec = d.b[start:d.at]
	r.Stub = Digest(d.optionalString(&n, "stub"))
	if d.has("verdicts") {
		n--
		r.Verdicts = make([]Verdict, d.length(maxVerdicts+1, 1))
		for i := range r.Verdicts {
			d.verdict(&r.Verdicts[i])
		}
	}
	d.expect(n == 7)
	return spec
}

func (d *reader) loading(l *Loading) {
	d.expect(d.mapHeader() == 2)
	d.key("attempt")
	d.attempt(&l.Attempt)
	d.key("dot")
	l.Dot = d.dot()
}

func (d *reader) checkpoint(c *Checkpoint) {
	d.expect(d.mapHeader() == 6)
	c.At = clock.Hybrid(d.uintField("at"))
	d.key("attempt")
	d.attempt(&c.Attempt)
	c.Bytes = d.intField("bytes")
	d.key("dot")
	c.Dot = d.dot()
	c.Ran = clock.Duration(d.intField("ran"))
	c.Tree = Digest(d.stringField("tree"))
}

func (d *reader) seal(s *Seal) {
	n := d.mapHeader()
	if d.has("again") {
		n--
		s.Again = d.uint()
		d.expect(s.Again != 0)
	}
	d.expect(n == 3)
	s.Closes = d.uintField("closes")
	d.key("dot")
	s.Dot = d.dot()
	d.key("verdict")
	s.Verdict = d.dot()
}

func (d *reader) ending(e *Ending) {
	n := d.mapHeader()
	e.At = clock.Hybrid(d.uintField("at"))
	e.By = clock.Actor(d.nameField("by"))
	e.Job = ID(d.stringField("job"))
	e.Outcome = Outcome(d.nameField("outcome"))
	e.Read = readTexts[Digest](d, &n, "read")
	if d.has("sealed") {
		n--
		e.Sealed = d.uint()
		d.expect(e.Sealed != 0)
	}
	d.expect(n == 4)
}

func (d *reader) returned(x *Return) {
	n := d.mapHeader()
	x.At = clock.Hybrid(d.uintField("at"))
	d.key("attempt")
	d.attempt(&x.Attempt)
	x.Began = d.optionalTrue(&n, "began")
	x.By = clock.Actor(d.nameField("by"))
	x.Never = d.optionalTrue(&n, "never")
	x.Reason = d.stringField("reason")
	d.expect(n == 4)
}

func (d *reader) pause(p *Pause) {
	n := d.mapHeader()
	p.By = clock.Actor(d.nameField("by"))
	p.Emergency = d.optionalString(&n, "em")
	p.For = ID(d.stringField("for"))
	p.From = clock.Time(d.intField("from"))
	p.Mode = Preemption(d.stringField("mode"))
	p.To = clock.Time(d.optionalInt(&n, "to"))
	d.expect(n == 4)
}

func (d *reader) stamp(s *Stamp) {
	n := d.mapHeader()
	s.At = clock.Hybrid(d.uintField("at"))
	if d.has("deps") {
		n--
		s.Deps = make([]Dependency, d.length(maxDeps, 1))
		for i := range s.Deps {
			d.expect(d.mapHeader() == 2)
			d.key("dot")
			s.Deps[i].Dot = d.dot()
			s.Deps[i].Job = ID(d.stringField("job"))
		}
	}
	d.key("dot")
	s.Dot = d.dot()
	d.expect(n == 2)
}

// minDot is the length of the shortest encoded dot in bytes.
const minDot = 7

func (d *reader) vector() clock.Vector {
	v := make(clock.Vector, d.length(len(d.b), minDot))
	for i := range v {
		v[i] = d.dot()
	}
	return v
}

func (d *reader) dot() (out clock.Dot) {
	d.expect(d.mapHeader() == 2)
	out.Actor = clock.Actor(d.nameField("a"))
	out.Counter = d.uintField("n")
	return out
}

func (d *reader) tenure(t *Tenure) {
	d.expect(d.mapHeader() == 3)
	t.By = clock.Actor(d.nameField("b"))
	t.Epoch = d.uintField("e")
	t.At = clock.Hybrid(d.uintField("t"))
}

func (d *reader) assignment(a *Assignment) {
	d.expect(d.mapHeader() == 3)
	a.Actor = clock.Actor(d.nameField("actor"))
	a.Broker = d.nameField("broker")
	d.key("tenure")
	d.tenure(&a.Tenure)
}

func (d *reader) attempt(a *Attempt) {
	d.expect(d.mapHeader() == 2)
	a.Seq = d.uintField("seq")
	d.key("tenure")
	d.tenure(&a.Tenure)
}

func (d *reader) placement(p *Placement) {
	n := d.mapHeader()
	p.Actor = clock.Actor(d.nameField("actor"))
	p.NotBefore = clock.Time(d.optionalInt(&n, "after"))
	d.key("attempt")
	d.attempt(&p.Attempt)
	p.Broker = d.nameField("broker")
	p.Try = d.small(d.intField("try"))
	d.expect(n == 4)
}

func (d *reader) report(r *Report) {
	n := d.mapHeader()
	r.At = clock.Hybrid(d.uintField("at"))
	d.key("attempt")
	d.attempt(&r.Attempt)
	d.key("dot")
	r.Dot = d.dot()
	r.Phase = Phase(d.stringField("phase"))
	if d.has("result") {
		n--
		r.Result = new(Result)
		d.result(r.Result)
	}
	d.expect(n == 4)
}

func (d *reader) verdict(v *Verdict) {
	n := d.mapHeader()
	v.At = clock.Hybrid(d.uintField("at"))
	d.key("dot")
	v.Dot = d.dot()
	v.Outcome = Outcome(d.stringField("outcome"))
	v.Reason = d.optionalString(&n, "reason")
	if d.has("report") {
		n--
		v.Report = new(Report)
		d.report(v.Report)
	}
	d.expect(n == 3)
}

func (d *reader) result(r *Result) {
	n := d.mapHeader()
	r.Finished = clock.Time(d.intField("f"))
	r.Outcome = Outcome(d.stringField("o"))
	if d.has("out") {
		n--
		r.Outputs = d.outputs()
	}
	r.Permanent = d.optionalTrue(&n, "p")
	r.Reason = d.optionalString(&n, "r")
	if d.has("rd") {
		n--
		r.Read = make([]Reading, d.length(maxAfter, 1))
		for i := range r.Read {
			d.expect(d.mapHeader() == 3)
			r.Read[i].At = clock.Hybrid(d.uintField("at"))
			r.Read[i].By = clock.Actor(d.nameField("by"))
			r.Read[i].Job = ID(d.stringField("job"))
		}
	}
	r.Started = clock.Time(d.intField("s"))
	r.Stderr = d.optionalBlob(&n, "se")
	r.Stdout = d.optionalBlob(&n, "so")
	if d.has("x") {
		n--
		code := d.small(d.int())
		r.ExitCode = &code
	}
	d.expect(n == 3)
}

func (d *reader) outputs() map[string]Blob {
	n := d.filledMap()
	m := make(map[string]Blob, n)
	last := ""
	for i := range n {
		k := d.string()
		d.expect(i == 0 || k > last)
		last = k
		m[k] = d.blob()
	}
	return m
}

func (d *reader) optionalBlob(n *int, key string) *Blob {
	if !d.has(key) {
		return nil
	}
	*n--
	b := d.blob()
	return &b
}

func (d *reader) blob() (b Blob) {
	d.expect(d.mapHeader() == 2)
	b.Digest = Digest(d.stringField("d"))
	b.Size = d.intField("n")
	return b
}
