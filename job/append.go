package job

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// The codec is the specification of the encoding; this file is a fast encoder.
// Every commit encodes a record, and the codec, which uses reflection, takes longer for
// that than the disk. For Record, Spec and Result the functions below
// append what the codec writes, byte for byte: keys in sorted order, and fields with
// omitempty left out if they are empty. Digests, and therefore the keys of jobs, depend on
// that equality (rules L2, J3). TestAppendEqualsCodec checks it, and fields_test.go names a field
// that was forgotten here.
//
// read.go decodes these bytes. Values with fields of a newer broker are encoded and decoded by the codec alone.

// stackBuffer is the size in bytes of a buffer on the stack that is large enough for nearly every record. The
// result is copied from it once, at its exact size, because encodings are kept.
const stackBuffer = 2 << 10

// encodeFast returns the canonical encoding of a Record, Spec or Result without fields of a newer broker. For
// all other values ok is false.
func encodeFast(v any) (out []byte, ok bool) {
	var buf [stackBuffer]byte
	switch v := v.(type) {
	case *Record:
		if !v.newer() {
			return bytes.Clone(appendRecord(buf[:0], v)), true
		}
	case *Spec:
		if !v.newer() {
			return bytes.Clone(appendSpec(buf[:0], v)), true
		}
	case *Result:
		return bytes.Clone(appendResult(buf[:0], v)), true
	}
	return nil, false
}

func appendRecord(b []byte, r *Record) []byte {
	b, start := openMap(b)
	n := 7
	if r.Checkpoint != nil {
		b, n = appendCheckpoint(appendString(b, "checkpoint"), r.Checkpoint), n+1
	}
	b = appendStamps(appendString(b, "created"), r.Created)
	b = appendVector(appendString(b, "dots"), r.Dots)
	if len(r.Ended) > 0 {
		b, n = appendArrayHeader(appendString(b, "ended"), len(r.Ended)), n+1
		for _, e := range r.Ended {
			b = appendEnding(b, &e)
		}
	}
	b = stringField(b, "id", r.ID)
	if r.Kept != nil {
		b, n = appendReport(appendString(b, "kept"), r.Kept), n+1
	}
	if l := r.Loading; l != nil {
		b, n = appendMapHeader(appendString(b, "loading"), 2), n+1
		b = appendAttempt(appendString(b, "attempt"), &l.Attempt)
		b = appendDot(appendString(b, "dot"), l.Dot)
	}
	if r.Losses != 0 {
		b, n = uintField(b, "losses", r.Losses), n+1
	}
	b = stringField(b, "origin", r.Origin)
	b = appendAssignment(appendString(b, "owner"), &r.Owner)
	if len(r.Pauses) > 0 {
		b, n = appendArrayHeader(appendString(b, "pauses"), len(r.Pauses)), n+1
		for i := range r.Pauses {
			b = appendPause(b, &r.Pauses[i])
		}
	}
	b = appendPlacement(appendString(b, "place"), &r.Place)
	if len(r.Reports) > 0 {
		b, n = appendArrayHeader(appendString(b, "reports"), len(r.Reports)), n+1
		for i := range r.Reports {
			b = appendReport(b, &r.Reports[i])
		}
	}
	if len(r.Returns) > 0 {
		b, n = appendArrayHeader(appendString(b, "returns"), len(r.Returns)), n+1
		for i := range r.Returns {
			b = appendReturn(b, &r.Returns[i])
		}
	}
	if s := r.Seal; s != nil {
		b, n = appendString(b, "seal"), n+1
		if s.Again != 0 {
			b = uintField(appendMapHeader(b, 4), "again", s.Again)
		} else {
			b = appendMapHeader(b, 3)
		}
		b = uintField(b, "closes", s.Closes)
		b = appendDot(appendString(b, "dot"), s.Dot)
		b = appendDot(appendString(b, "verdict"), s.Verdict)
	}
	b = appendSpec(appendString(b, "spec"), &r.Spec)
	if r.Stub != "" {
		b, n = stringField(b, "stub", r.Stub), n+1
	}
	if len(r.Verdicts) > 0 {
		b, n = appendArrayHeader(appendString(b, "verdicts"), len(r.Verdicts)), n+1
		for i := range r.Verdicts {
			b = appendVerdict(b, &r.Verdicts[i])
		}
	}
	return closeMap(b, start, n)
}

func appendEnding(b []byte, e *Ending) []byte {
	b, start := openMap(b)
	n := 4
	b = uintField(b, "at", uint64(e.At))
	b = stringField(b, "by", e.By)
	b = stringField(b, "job", e.Job)
	b = stringField(b, "outcome", e.Outcome)
	b, n = optionalTexts(b, n, "read", e.Read)
	if e.Sealed != 0 {
		b, n = uintField(b, "sealed", e.Sealed), n+1
	}
	return closeMap(b, start, n)
}

func appendCheckpoint(b []byte, c *Checkpoint) []byte {
	b = appendMapHeader(b, 6)
	b = uintField(b, "at", uint64(c.At))
	b = appendAttempt(appendString(b, "attempt"), &c.Attempt)
	b = intField(b, "bytes", c.Bytes)
	b = appendDot(appendString(b, "dot"), c.Dot)
	b = intField(b, "ran", int64(c.Ran))
	return stringField(b, "tree", c.Tree)
}

func appendReturn(b []byte, x *Return) []byte {
	b, start := openMap(b)
	n := 4
	b = uintField(b, "at", uint64(x.At))
	b = appendAttempt(appendString(b, "attempt"), &x.Attempt)
	if x.Began {
		b, n = appendBool(appendString(b, "began"), true), n+1
	}
	b = stringField(b, "by", x.By)
	if x.Never {
		b, n = appendBool(appendString(b, "never"), true), n+1
	}
	b = stringField(b, "reason", x.Reason)
	return closeMap(b, start, n)
}

func appendPause(b []byte, p *Pause) []byte {
	b, start := openMap(b)
	n := 4
	b = stringField(b, "by", p.By)
	if p.Emergency != "" {
		b, n = stringField(b, "em", p.Emergency), n+1
	}
	b = stringField(b, "for", p.For)
	b = intField(b, "from", int64(p.From))
	b = stringField(b, "mode", p.Mode)
	if p.To != 0 {
		b, n = intField(b, "to", int64(p.To)), n+1
	}
	return closeMap(b, start, n)
}

func appendStamps(b []byte, list []Stamp) []byte {
	if list == nil {
		return appendNil(b)
	}
	b = appendArrayHeader(b, len(list))
	for i := range list {
		b = appendStamp(b, &list[i])
	}
	return b
}

func appendStamp(b []byte, s *Stamp) []byte {
	b, start := openMap(b)
	n := 2
	b = uintField(b, "at", uint64(s.At))
	if len(s.Deps) > 0 {
		b, n = appendArrayHeader(appendString(b, "deps"), len(s.Deps)), n+1
		for _, d := range s.Deps {
			b = appendMapHeader(b, 2)
			b = appendDot(appendString(b, "dot"), d.Dot)
			b = stringField(b, "job", d.Job)
		}
	}
	b = appendDot(appendString(b, "dot"), s.Dot)
	return closeMap(b, start, n)
}

func appendVector(b []byte, v clock.Vector) []byte {
	if v == nil {
		return appendNil(b)
	}
	b = appendArrayHeader(b, len(v))
	for _, d := range v {
		b = appendDot(b, d)
	}
	return b
}

func appendDot(b []byte, d clock.Dot) []byte {
	b = appendMapHeader(b, 2)
	b = stringField(b, "a", d.Actor)
	return uintField(b, "n", d.Counter)
}

func appendTenure(b []byte, t *Tenure) []byte {
	b = appendMapHeader(b, 3)
	b = stringField(b, "b", t.By)
	b = uintField(b, "e", t.Epoch)
	return uintField(b, "t", uint64(t.At))
}

func appendAssignment(b []byte, a *Assignment) []byte {
	b = appendMapHeader(b, 3)
	b = stringField(b, "actor", a.Actor)
	b = stringField(b, "broker", a.Broker)
	return appendTenure(appendString(b, "tenure"), &a.Tenure)
}

func appendAttempt(b []byte, a *Attempt) []byte {
	b = appendMapHeader(b, 2)
	b = uintField(b, "seq", a.Seq)
	return appendTenure(appendString(b, "tenure"), &a.Tenure)
}

func appendPlacement(b []byte, p *Placement) []byte {
	b, start := openMap(b)
	n := 4
	b = stringField(b, "actor", p.Actor)
	b, n = optionalInt(b, n, "after", int64(p.NotBefore))
	b = appendAttempt(appendString(b, "attempt"), &p.Attempt)
	b = stringField(b, "broker", p.Broker)
	b = intField(b, "try", int64(p.Try))
	return closeMap(b, start, n)
}

func appendReport(b []byte, r *Report) []byte {
	b, start := openMap(b)
	n := 4
	b = uintField(b, "at", uint64(r.At))
	b = appendAttempt(appendString(b, "attempt"), &r.Attempt)
	b = appendDot(appendString(b, "dot"), r.Dot)
	b = stringField(b, "phase", r.Phase)
	if r.Result != nil {
		b, n = appendResult(appendString(b, "result"), r.Result), n+1
	}
	return closeMap(b, start, n)
}

func appendVerdict(b []byte, v *Verdict) []byte {
	b, start := openMap(b)
	n := 3
	b = uintField(b, "at", uint64(v.At))
	b = appendDot(appendString(b, "dot"), v.Dot)
	b = stringField(b, "outcome", v.Outcome)
	b, n = optionalString(b, n, "reason", v.Reason)
	if v.Report != nil {
		b, n = appendReport(appendString(b, "report"), v.Report), n+1
	}
	return closeMap(b, start, n)
}

func appendResult(b []byte, r *Result) []byte {
	b, start := openMap(b)
	n := 3
	b = intField(b, "f", int64(r.Finished))
	b = stringField(b, "o", r.Outcome)
	if len(r.Outputs) > 0 {
		b, n = appendOutputs(appendString(b, "out"), r.Outputs), n+1
	}
	if r.Permanent {
		b, n = appendBool(appendString(b, "p"), true), n+1
	}
	b, n = optionalString(b, n, "r", r.Reason)
	if len(r.Read) > 0 {
		b, n = appendArrayHeader(appendString(b, "rd"), len(r.Read)), n+1
		for _, x := range r.Read {
			b = uintField(appendMapHeader(b, 3), "at", uint64(x.At))
			b = stringField(stringField(b, "by", x.By), "job", x.Job)
		}
	}
	b = intField(b, "s", int64(r.Started))
	if r.Stderr != nil {
		b, n = appendBlob(appendString(b, "se"), *r.Stderr), n+1
	}
	if r.Stdout != nil {
		b, n = appendBlob(appendString(b, "so"), *r.Stdout), n+1
	}
	if r.ExitCode != nil {
		b, n = intField(b, "x", int64(*r.ExitCode)), n+1
	}
	return closeMap(b, start, n)
}

func appendOutputs(b []byte, m map[string]Blob) []byte {
	b = appendMapHeader(b, len(m))
	var buf [8]string
	for _, path := range appendKeys(buf[:0], m) {
		b = appendBlob(appendString(b, path), m[path])
	}
	return b
}

func appendBlob(b []byte, v Blob) []byte {
	b = appendMapHeader(b, 2)
	b = stringField(b, "d", v.Digest)
	return intField(b, "n", v.Size)
}

func appendSpec(b []byte, s *Spec) []byte {
	b, start := openMap(b)
	n := 5
	b, n = optionalStrings(b, n, "after", s.After)
	b, n = optionalString(b, n, "after_policy", s.AfterPolicy)
	b, n = optionalStrings(b, n, "args", s.Args)
	if s.Checkpoint != nil {
		b, n = appendCheckpointing(appendString(b, "checkpoint"), s.Checkpoint), n+1
	}
	b, n = optionalString(b, n, "command", s.Command)
	b, n = optionalStrings(b, n, "constraints", s.Constraints)
	b, n = optionalInt(b, n, "deadline_in", int64(s.DeadlineIn))
	b, n = optionalStrings(b, n, "dirs", s.Dirs)
	b, n = optionalInt(b, n, "disk", s.Disk)
	b = stringField(b, "driver", s.Driver)
	b, n = optionalTexts(b, n, "env", s.Env)
	b, n = optionalString(b, n, "exclusive", s.Exclusive)
	b, n = optionalTexts(b, n, "inputs", s.Inputs)
	b, n = optionalTexts(b, n, "labels", s.Labels)
	b, n = optionalInt(b, n, "min_replicas", int64(s.MinReplicas))
	b, n = optionalString(b, n, "module", s.Module)
	b, n = optionalString(b, n, "name", s.Name)
	b, n = optionalTexts(b, n, "named_outputs", s.NamedOutputs)
	b, n = optionalTrue(b, n, "network", s.Network)
	b, n = optionalStrings(b, n, "outputs", s.Outputs)
	if s.OutputsOnFailure != nil {
		b, n = appendBool(appendString(b, "outputs_on_failure"), *s.OutputsOnFailure), n+1
	}
	b, n = optionalTrue(b, n, "plain_env", s.PlainEnv)
	b = stringField(b, "preemption", s.Preemption)
	b = appendPriority(appendString(b, "priority"), &s.Priority)
	if s.Redeploy != nil {
		b, n = appendBool(appendString(b, "redeploy"), *s.Redeploy), n+1
	}
	b = appendResources(appendString(b, "resources"), &s.Resources)
	b = appendRetries(appendString(b, "retries"), s.Retries)
	b, n = optionalTexts(b, n, "secrets", s.Secrets)
	b, n = optionalString(b, n, "stdin", s.Stdin)
	b, n = optionalString(b, n, "submitter", s.Submitter)
	b, n = optionalInt(b, n, "timeout", int64(s.Timeout))
	b, n = optionalInt(b, n, "urgency", int64(s.Urgency))
	b, n = optionalInt(b, n, "weight_part", int64(s.WeightPart))
	return closeMap(b, start, n)
}

// optionalTrue appends a field that is left out when it is false.
func optionalTrue(b []byte, n int, name string, v bool) ([]byte, int) {
	if !v {
		return b, n
	}
	return appendBool(appendString(b, name), true), n + 1
}

func appendCheckpointing(b []byte, c *Checkpointing) []byte {
	b, start := openMap(b)
	n := 0
	b, n = optionalInt(b, n, "every", int64(c.Every))
	b, n = optionalStrings(b, n, "paths", c.Paths)
	b, n = optionalString(b, n, "signal", c.Signal)
	return closeMap(b, start, n)
}

func appendPriority(b []byte, p *Priority) []byte {
	b, start := openMap(b)
	n := 1
	b, n = optionalInt(b, n, "deadline", int64(p.Deadline))
	b, n = optionalString(b, n, "emergency", p.Emergency)
	b = intField(b, "user", int64(p.User))
	b, n = optionalInt(b, n, "weight", int64(p.Weight))
	return closeMap(b, start, n)
}

func appendResources(b []byte, r *Resources) []byte {
	b, start := openMap(b)
	n := 2
	b = intField(b, "cpu", r.CPU)
	if len(r.Devices) > 0 {
		b, n = appendMapHeader(appendString(b, "devices"), len(r.Devices)), n+1
		var buf [8]string
		for _, device := range appendKeys(buf[:0], r.Devices) {
			b = intField(b, device, r.Devices[device])
		}
	}
	b, n = optionalInt(b, n, "io", r.IO)
	b = intField(b, "memory", r.Memory)
	return closeMap(b, start, n)
}

func appendRetries(b []byte, r Retries) []byte {
	b, start := openMap(b)
	n := 0
	b, n = optionalInt(b, n, "backoff", int64(r.Backoff))
	b, n = optionalInt(b, n, "max", int64(r.Max))
	return closeMap(b, start, n)
}

// The following functions append one field, that is, key and value.

func stringField[S ~string](b []byte, key string, v S) []byte {
	return appendString(appendString(b, key), string(v))
}

func intField(b []byte, key string, v int64) []byte { return appendInt(appendString(b, key), v) }

func uintField(b []byte, key string, v uint64) []byte { return appendUint(appendString(b, key), v) }

// The following functions append one field with omitempty: nothing if the value is empty. n counts the fields
// of the map that contains it.

func optionalString[S ~string](b []byte, n int, key string, v S) ([]byte, int) {
	if v == "" {
		return b, n
	}
	return stringField(b, key, v), n + 1
}

func optionalInt(b []byte, n int, key string, v int64) ([]byte, int) {
	if v == 0 {
		return b, n
	}
	return intField(b, key, v), n + 1
}

func optionalStrings[S ~string](b []byte, n int, key string, list []S) ([]byte, int) {
	if len(list) == 0 {
		return b, n
	}
	b = appendArrayHeader(appendString(b, key), len(list))
	for _, s := range list {
		b = appendString(b, string(s))
	}
	return b, n + 1
}

func optionalTexts[S ~string](b []byte, n int, key string, m map[string]S) ([]byte, int) {
	if len(m) == 0 {
		return b, n
	}
	b = appendMapHeader(appendString(b, key), len(m))
	var buf [8]string
	for _, k := range appendKeys(buf[:0], m) {
		b = stringField(b, k, m[k])
	}
	return b, n + 1
}

// appendKeys appends the sorted keys of m to buf, which must be empty.
func appendKeys[V any](buf []string, m map[string]V) []string {
	for k := range m {
		buf = append(buf, k)
	}
	slices.Sort(buf)
	return buf
}

// The following functions append the types of msgpack in their shortest form, as the codec does.

// openMap reserves one byte for the header of a map whose number of fields is not
// known before its end, and returns its position.
func openMap(b []byte) (out []byte, start int) { return append(b, 0), len(b) }

// closeMap writes the header of a map with n fields that was opened at start. A Spec with nearly all fields
// needs the longer header, for which the fields are moved.
func closeMap(b []byte, start, n int) []byte {
	if n < 16 {
		b[start] = 0x80 | byte(n)
		return b
	}
	b[start] = 0xde
	return slices.Insert(b, start+1, byte(n>>8), byte(n))
}

func appendMapHeader(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, 0x80|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xde), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(n))
}

func appendArrayHeader(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, 0x90|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

func appendString(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		b = append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

func appendUint(b []byte, v uint64) []byte {
	switch {
	case v <= math.MaxInt8:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

// appendInt uses the signed forms, also for positive numbers: 128 takes three
// bytes, not two as with appendUint.
func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= -32 && v <= math.MaxInt8:
		return append(b, byte(v))
	case v >= math.MinInt8 && v <= math.MaxInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16 && v <= math.MaxInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(v))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func appendNil(b []byte) []byte { return append(b, 0xc0) }
