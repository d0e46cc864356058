package job

import (
	"encoding/binary"
	"math"

	"github.com/urban-compute/ucp/clock"
)

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

// reader reads canonical bytes. Once bad is set it stays set, and everything that is read afterwards is
// empty. It allocates nothing that the remaining bytes cannot fill (rule L11).
type reader struct {
	b   []byte
	at  int
	bad bool

	names [6]string // a driver, a mode, and the names read last, which a record repeats
	next  int       // index of the name to replace
}

func (d *reader) expect(ok bool) { d.bad = d.bad || !ok }

func (d *reader) record(r *Record) (spec []byte) {
	n := d.mapHeader()
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
		d.expect(d.mapHeader() == 2)
		d.key("attempt")
		d.attempt(&r.Loading.Attempt)
		d.key("dot")
		r.Loading.Dot = d.dot()
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
		fields := d.mapHeader()
		if d.has("again") {
			fields--
			r.Seal.Again = d.uint()
			d.expect(r.Seal.Again != 0)
		}
		d.expect(fields == 3)
		r.Seal.Closes = d.uintField("closes")
		d.key("dot")
		r.Seal.Dot = d.dot()
		d.key("verdict")
		r.Seal.Verdict = d.dot()
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

// optionalTrue reads a flag that is left out if it is not set.
func (d *reader) optionalTrue(n *int, key string) bool {
	if !d.has(key) {
		return false
	}
	*n--
	yes := d.bool()
	d.expect(yes)
	return yes
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

// spec makes a string for each text. Slicing one string with all bytes would be faster, but would use more
// memory, and there are many pending jobs (TestPendingJobsAreSmall).
func (d *reader) spec(s *Spec) {
	n := d.mapHeader()
	s.After = optionalList[ID](d, &n, "after")
	s.AfterPolicy = d.optionalString(&n, "after_policy")
	s.Args = optionalList[string](d, &n, "args")
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

func (d *reader) priority(p *Priority) {
	n := d.mapHeader()
	p.Deadline = clock.Time(d.optionalInt(&n, "deadline"))
	p.Emergency = d.optionalString(&n, "emergency")
	p.User = d.small(d.intField("user"))
	p.Weight = d.small(d.optionalInt(&n, "weight"))
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

// has consumes the key if it is the next one. Keys have at most 31 bytes.
func (d *reader) has(key string) bool {
	end := d.at + 1 + len(key)
	if d.bad || end > len(d.b) || d.b[d.at] != 0xa0|byte(len(key)) || string(d.b[d.at+1:end]) != key {
		return false
	}
	d.at = end
	return true
}

func (d *reader) key(key string) { d.expect(d.has(key)) }

func (d *reader) stringField(key string) string {
	d.key(key)
	return d.string()
}

func (d *reader) intField(key string) int64 {
	d.key(key)
	return d.int()
}

func (d *reader) uintField(key string) uint64 {
	d.key(key)
	return d.uint()
}

// nameField reads a name that is often repeated, such as that of an actor or a broker. Equal names share memory.
func (d *reader) nameField(key string) string {
	d.key(key)
	b := d.bytes()
	for _, name := range d.names {
		if string(b) == name {
			return name
		}
	}
	name := string(b)
	d.names[d.next%len(d.names)] = name
	d.next++
	return name
}

// The following methods read one field with omitempty. n counts down the fields of the map that contains it.

func (d *reader) optionalString(n *int, key string) string {
	if !d.has(key) {
		return ""
	}
	*n--
	s := d.string()
	d.expect(s != "")
	return s
}

func (d *reader) optionalInt(n *int, key string) int64 {
	if !d.has(key) {
		return 0
	}
	*n--
	v := d.int()
	d.expect(v != 0)
	return v
}

// optionalFlag reads a flag that may be absent, which is neither true nor false.
func (d *reader) optionalFlag(n *int, key string) *bool {
	if !d.has(key) {
		return nil
	}
	*n--
	yes := d.bool()
	return &yes
}

func optionalList[S ~string](d *reader, n *int, key string) []S {
	if !d.has(key) {
		return nil
	}
	*n--
	list := make([]S, d.length(len(d.b), 1))
	d.expect(len(list) > 0)
	for i := range list {
		list[i] = S(d.string())
	}
	return list
}

func readTexts[S ~string](d *reader, n *int, key string) map[string]S {
	if !d.has(key) {
		return nil
	}
	*n--
	count := d.filledMap()
	m := make(map[string]S, count)
	last := ""
	for i := range count {
		k := d.string()
		d.expect(i == 0 || k > last)
		last = k
		m[k] = S(d.string())
	}
	return m
}

// The following methods read the types of msgpack in their shortest form.

// small checks that a number fits into an int of this machine.
func (d *reader) small(v int64) int {
	d.expect(int64(int(v)) == v)
	return int(v)
}

// small32 is small for 32 bits.
func (d *reader) small32(v int64) int32 {
	d.expect(int64(int32(v)) == v)
	return int32(v)
}

// mapHeader reads the number of fields of a map; -1 means that it is not a map.
func (d *reader) mapHeader() int { return d.header(0x80, 0xde) }

// filledMap reads the number of entries of a map, which is at least 1, because an empty map would have been
// left out.
func (d *reader) filledMap() int {
	n := d.mapHeader()
	d.expect(n > 0 && 2*n <= len(d.b)-d.at)
	if d.bad {
		return 0
	}
	return n
}

// length reads the number of elements of a list, from 1 to most. Each element has at least size bytes. A list
// is never empty here: it would have been left out, or must not be empty.
func (d *reader) length(most, size int) int {
	n := d.header(0x90, 0xdc)
	d.expect(n > 0 && n <= most && n <= (len(d.b)-d.at)/size)
	if d.bad {
		return 0
	}
	return n
}

// header reads the length of a map or list: fixed is the first byte of the shortest form, for an empty one,
// and long that of the form with two bytes for the length.
func (d *reader) header(fixed, long byte) int {
	switch c := d.byte(); {
	case c&0xf0 == fixed:
		return int(c & 0x0f)
	case c == long:
		n := d.number(2)
		d.expect(n >= 16)
		return int(n)
	}
	d.bad = true // longer forms are left to the codec
	return -1
}

func (d *reader) byte() byte {
	if d.bad || d.at >= len(d.b) {
		d.bad = true
		return 0
	}
	c := d.b[d.at]
	d.at++
	return c
}

// number reads an unsigned number of size bytes.
func (d *reader) number(size int) uint64 {
	if d.bad || len(d.b)-d.at < size {
		d.bad = true
		return 0
	}
	p := d.b[d.at:]
	d.at += size
	switch size {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	case 4:
		return uint64(binary.BigEndian.Uint32(p))
	}
	return binary.BigEndian.Uint64(p)
}

// bytes reads a string without copying it.
func (d *reader) bytes() []byte {
	n := uint64(0)
	switch c := d.byte(); {
	case c&0xe0 == 0xa0:
		n = uint64(c & 0x1f)
	case c == 0xd9:
		n = d.number(1)
		d.expect(n >= 32)
	case c == 0xda:
		n = d.number(2)
		d.expect(n > math.MaxUint8)
	case c == 0xdb:
		n = d.number(4)
		d.expect(n > math.MaxUint16)
	default:
		d.bad = true
	}
	if d.bad || uint64(len(d.b)-d.at) < n {
		d.bad = true
		return nil
	}
	out := d.b[d.at : d.at+int(n)]
	d.at += int(n)
	return out
}

func (d *reader) string() string { return string(d.bytes()) }

func (d *reader) uint() uint64 {
	c := d.byte()
	switch c {
	case 0xcc:
		v := d.number(1)
		d.expect(v > math.MaxInt8)
		return v
	case 0xcd:
		v := d.number(2)
		d.expect(v > math.MaxUint8)
		return v
	case 0xce:
		v := d.number(4)
		d.expect(v > math.MaxUint16)
		return v
	case 0xcf:
		v := d.number(8)
		d.expect(v > math.MaxUint32)
		return v
	}
	d.expect(c <= math.MaxInt8)
	return uint64(c)
}

func (d *reader) int() int64 {
	c := d.byte()
	switch c {
	case 0xd0:
		v := int64(int8(d.number(1)))
		d.expect(v < -32)
		return v
	case 0xd1:
		v := int64(int16(d.number(2)))
		d.expect(v < math.MinInt8 || v > math.MaxInt8)
		return v
	case 0xd2:
		v := int64(int32(d.number(4)))
		d.expect(v < math.MinInt16 || v > math.MaxInt16)
		return v
	case 0xd3:
		v := int64(d.number(8))
		d.expect(v < math.MinInt32 || v > math.MaxInt32)
		return v
	}
	d.expect(c <= math.MaxInt8 || c >= 0xe0)
	return int64(int8(c))
}

func (d *reader) bool() bool {
	c := d.byte()
	d.expect(c == 0xc2 || c == 0xc3)
	return c == 0xc3
}
