package job

import (
	"bytes"
	"math"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// This file is a fast parser for specs in plain JSON, as programs write it. encoding/json would take a tenth
// of the time that a broker needs for a submission. JSON is plain if each field has its exact name and occurs
// once, strings are printable ASCII without escapes, and numbers are integers. Everything else, and
// everything that is wrong, is left to encoding/json, which is the specification, also of the errors. What is
// parsed here gives the same spec as encoding/json (TestPlainEqualsJSON, FuzzParseSpec).
//
// A new field of Spec that is not read here makes every spec that uses it take the slow path; fields_test.go
// names it.

// parsePlainSpec parses plain JSON into s, which must hold the defaults. If it returns false, the JSON is not
// plain and s is undefined.
func parsePlainSpec(b []byte, s *Spec) bool {
	d := plainReader{b: b}
	d.object(func(key string) (field int) { return d.specField(key, s) })
	d.blank()
	return !d.bad && d.at == len(b)
}

// plainReader reads plain JSON. Once bad is set it stays set, and what is read afterwards is undefined.
type plainReader struct {
	b   []byte
	at  int
	bad bool
}

// specField reads the value of the field named key, and returns a number that identifies the field.
func (d *plainReader) specField(key string, s *Spec) (field int) {
	switch key {
	case "driver":
		s.Driver = Driver(d.string())
		return 0
	case "module":
		s.Module = Digest(d.string())
		return 1
	case "command":
		s.Command = d.string()
		return 2
	case "args":
		s.Args = d.list()
		return 3
	case "env":
		s.Env = d.texts()
		return 4
	case "stdin":
		s.Stdin = Digest(d.string())
		return 5
	case "inputs":
		s.Inputs = d.texts()
		return 6
	case "dirs":
		s.Dirs = d.list()
		return 7
	case "outputs":
		s.Outputs = d.list()
		return 8
	case "resources":
		d.object(func(key string) int { return d.resourcesField(key, &s.Resources) })
		return 9
	case "labels":
		s.Labels = d.texts()
		return 10
	case "constraints":
		s.Constraints = d.list()
		return 11
	case "timeout":
		s.Timeout = d.duration()
		return 12
	case "retries":
		d.object(func(key string) int { return d.retriesField(key, &s.Retries) })
		return 13
	case "redeploy":
		yes := d.bool()
		s.Redeploy = &yes
		return 14
	case "min_replicas":
		s.MinReplicas = d.small()
		return 15
	case "priority":
		d.object(func(key string) int { return d.priorityField(key, &s.Priority) })
		return 16
	case "preemption":
		s.Preemption = Preemption(d.string())
		return 17
	case "exclusive":
		s.Exclusive = d.string()
		return 18
	case "deadline_in":
		s.DeadlineIn = d.duration()
		return 19
	case "name":
		s.Name = d.string()
		return 20
	case "plain_env":
		s.PlainEnv = d.bool()
		return 21
	case "outputs_on_failure":
		yes := d.bool()
		s.OutputsOnFailure = &yes
		return 22
	}
	d.bad = true // a rare field, or an unknown one
	return 0
}

func (d *plainReader) resourcesField(key string, r *Resources) (field int) {
	switch key {
	case "cpu":
		r.CPU = d.number()
		return 0
	case "memory":
		r.Memory = d.number()
		return 1
	case "io":
		r.IO = d.number()
		return 2
	}
	d.bad = true
	return 0
}

func (d *plainReader) priorityField(key string, p *Priority) (field int) {
	switch key {
	case "user":
		p.User = d.small()
		return 0
	case "emergency":
		p.Emergency = d.string()
		return 1
	case "weight":
		p.Weight = d.small()
		return 2
	}
	d.bad = true
	return 0
}

func (d *plainReader) retriesField(key string, r *Retries) (field int) {
	switch key {
	case "max":
		r.Max = d.small()
		return 0
	case "backoff":
		r.Backoff = d.duration()
		return 1
	}
	d.bad = true
	return 0
}

// object reads an object; value reads the value of a key. A field must not occur twice, because encoding/json
// would merge the two values.
func (d *plainReader) object(value func(key string) (field int)) {
	seen := 0
	d.members('{', '}', func() {
		key := d.bytes()
		d.token(':')
		bit := 1 << value(string(key)) // the compiler does not copy it, because value does not keep it
		d.bad = d.bad || seen&bit != 0
		seen |= bit
	})
}

func (d *plainReader) texts() map[string]string {
	m := map[string]string{}
	d.members('{', '}', func() {
		key := d.string()
		d.token(':')
		m[key] = d.string()
	})
	return m
}

func (d *plainReader) list() []string {
	var buf [16]string
	list := buf[:0]
	d.members('[', ']', func() { list = append(list, d.string()) })
	return append(make([]string, 0, len(list)), list...)
}

// members reads a list of members between brackets, separated by commas.
func (d *plainReader) members(opening, closing byte, member func()) {
	d.token(opening)
	if d.next() == closing {
		d.at++
		return
	}
	for !d.bad {
		member()
		if d.next() == closing {
			d.at++
			return
		}
		d.token(',')
	}
}

func (d *plainReader) blank() {
	for d.at < len(d.b) && (d.b[d.at] == ' ' || d.b[d.at] == '\n' || d.b[d.at] == '\t' || d.b[d.at] == '\r') {
		d.at++
	}
}

// next returns the next byte that is not white space, without consuming it, or 0 at the end.
func (d *plainReader) next() byte {
	d.blank()
	if d.bad || d.at == len(d.b) {
		d.bad = true
		return 0
	}
	return d.b[d.at]
}

func (d *plainReader) token(c byte) {
	d.bad = d.next() != c || d.bad
	d.at++
}

// bytes reads a string without copying it.
func (d *plainReader) bytes() []byte {
	d.token('"')
	if d.bad {
		return nil
	}
	from := d.at
	for d.at < len(d.b) && d.b[d.at] >= ' ' && d.b[d.at] <= '~' && d.b[d.at] != '"' && d.b[d.at] != '\\' {
		d.at++
	}
	out := d.b[from:d.at]
	if d.at == len(d.b) || d.b[d.at] != '"' {
		d.bad = true
		return nil
	}
	d.at++
	return out
}

func (d *plainReader) string() string { return string(d.bytes()) }

// number reads an integer of at most 18 digits. The next call checks what follows it.
func (d *plainReader) number() (n int64) {
	negative := d.next() == '-'
	if negative {
		d.at++
	}
	from := d.at
	for d.at < len(d.b) && d.b[d.at] >= '0' && d.b[d.at] <= '9' && d.at-from < 18 {
		n = n*10 + int64(d.b[d.at]-'0')
		d.at++
	}
	d.bad = d.bad || d.at == from || d.b[from] == '0' && d.at > from+1
	if negative {
		return -n
	}
	return n
}

func (d *plainReader) small() int {
	n := d.number()
	d.bad = d.bad || n > math.MaxInt32 || n < math.MinInt32
	return int(n)
}

func (d *plainReader) bool() bool {
	yes := d.next() == 't'
	word := "false"
	if yes {
		word = "true"
	}
	if d.bad || !bytes.HasPrefix(d.b[d.at:], []byte(word)) {
		d.bad = true
		return false
	}
	d.at += len(word)
	return yes
}

func (d *plainReader) duration() clock.Duration {
	v, err := time.ParseDuration(string(d.bytes()))
	d.bad = d.bad || err != nil
	return clock.Duration(v)
}
