package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/label"
)

// FieldError says which field of a spec is wrong and what to do about it.
type FieldError struct {
	Field string // as in JSON, "resources.cpu"
	Hint  string
	// Unbuilt marks a field that is meant to be, but whose part this version
	// lacks: refused rather than ignored.
	Unbuilt bool
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Hint }

func wrong(field, format string, args ...any) error {
	return &FieldError{Field: field, Hint: fmt.Sprintf(format, args...)}
}

// ValidDigest reports whether s is a SHA-256 in lower-case hexadecimal.
func ValidDigest(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

// ParseSpec reads a spec from JSON, fills in the defaults and validates it.
// Unknown fields are errors. Every error names the field; a *[FieldError] with
// Unbuilt set is a good spec that this version can't run.
func ParseSpec(b []byte) (Spec, error) {
	if len(b) > MaxSpec {
		return Spec{}, fmt.Errorf("the job spec has %d bytes, at most %d are allowed: large data belongs into blobs", len(b), MaxSpec)
	}
	s := Spec{Priority: Priority{User: DefaultUser}}
	if !parsePlain(b, &s) {
		s = Spec{Priority: Priority{User: DefaultUser}}
		if err := strictJSON(b, &s); err != nil {
			return Spec{}, fmt.Errorf("job spec: %w", err)
		}
	}
	s.fillIn()
	if err := s.check(); err != nil {
		return s, err
	}
	if encodedAtMost(len(b)) > MaxSpec {
		if err := checkSize(len(encode(&s))); err != nil {
			return s, err
		}
	}
	return s, s.checkBuilt()
}

// encodedAtMost bounds the encoding of a spec that was so long in JSON: there every
// value takes as much as here, but for bytes that are no UTF-8, of which JSON makes three,
// and short durations, and what is filled in.
func encodedAtMost(text int) int { return 3*text + 1<<10 }

func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// Complete fills in the defaults of a spec and validates it, and refuses what
// this version can't do. It is idempotent.
func (s *Spec) Complete() error {
	s.fillIn()
	if err := s.Validate(); err != nil {
		return err
	}
	return s.checkBuilt()
}

// fillIn gives the fields that were left out their defaults.
func (s *Spec) fillIn() {
	if s.Driver == "" {
		s.Driver = Wasm
		if s.Command != "" {
			s.Driver = Process
		}
	}
	if s.Resources.CPU == 0 {
		s.Resources.CPU = DefaultCPU
	}
	if s.Resources.Memory == 0 {
		s.Resources.Memory = DefaultMemory
	}
	if s.AfterPolicy == "success" {
		s.AfterPolicy = AfterSuccess // so that both spellings are one job
	}
	if s.Preemption == "" {
		s.Preemption = Suspend
	}
	if s.Redeploy != nil && *s.Redeploy {
		s.Redeploy = nil // the default, so that both spellings are one job
	}
}

// Validate says what is wrong with a complete spec, field by field; nil when
// nothing is. What a newer broker can do and this one can't is not wrong.
func (s *Spec) Validate() error { return s.validate(len(encode(s))) }

// validate is Validate for a caller who knows how long the spec's encoding is.
func (s *Spec) validate(encoded int) error {
	if err := s.check(); err != nil {
		return err
	}
	return checkSize(encoded)
}

// checkSize refuses the spec whose encoding is too long (rule L11).
func checkSize(encoded int) error {
	if encoded > MaxSpec {
		return fmt.Errorf("the job spec has %d bytes encoded, at most %d are allowed: large data belongs into blobs", encoded, MaxSpec)
	}
	return nil
}

// check looks at all fields.
func (s *Spec) check() error {
	for _, check := range []func() error{s.checkDriver, s.checkFiles, s.checkEnv, s.checkResources, s.checkPriority, s.checkAfter, s.checkRest} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) checkDriver() error {
	switch s.Driver {
	case Wasm:
		if !ValidDigest(string(s.Module)) {
			return wrong("module", "the wasm driver needs the SHA-256 of a module that was uploaded, 64 hexadecimal digits")
		}
		if s.Command != "" {
			return wrong("command", "only the process driver takes a command; the wasm driver runs `module`")
		}
	case Process:
		if s.Command == "" {
			return wrong("command", "the process driver needs a command")
		}
		if s.Module != "" {
			return wrong("module", "only the wasm driver takes a module; the process driver runs `command`")
		}
	default:
		return wrong("driver", "unknown driver %q; want wasm or process", s.Driver)
	}
	if strings.ContainsRune(s.Command, 0) {
		return wrong("command", "it holds a zero byte")
	}
	for i, a := range s.Args {
		if strings.ContainsRune(a, 0) {
			return wrong(fmt.Sprintf("args[%d]", i), "it holds a zero byte")
		}
	}
	return nil
}

// checkPath accepts a clean relative path that stays below the job's root.
func checkPath(field, p string) error {
	switch {
	case p == "" || len(p) > 1024 || strings.ContainsRune(p, 0):
		return wrong(field, "%q is not a path", p)
	case path.IsAbs(p) || strings.Contains(p, `\`):
		return wrong(field, "%q must be relative to the job's directory, with forward slashes", p)
	case path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") || p == ".":
		return wrong(field, "%q must be a clean path inside the job's directory, without \"..\"", p)
	}
	return nil
}

func (s *Spec) checkFiles() error {
	if s.Stdin != "" && !ValidDigest(string(s.Stdin)) {
		return wrong("stdin", "%q is not the SHA-256 of an uploaded blob", s.Stdin)
	}
	var room [8]string
	for _, p := range appendKeys(room[:0], s.Inputs) {
		field := fmt.Sprintf("inputs[%q]", p)
		if err := checkPath(field, p); err != nil {
			return err
		}
		if v := s.Inputs[p]; !ValidDigest(v) && !strings.HasPrefix(v, "data:") {
			return wrong(field, "%q is not the SHA-256 of an uploaded blob", v)
		}
	}
	for i, p := range s.Dirs {
		if err := checkPath(fmt.Sprintf("dirs[%d]", i), p); err != nil {
			return err
		}
	}
	for i, p := range s.Outputs {
		if err := checkPath(fmt.Sprintf("outputs[%d]", i), p); err != nil {
			return err
		}
		if slices.Contains(s.Outputs[:i], p) {
			return wrong(fmt.Sprintf("outputs[%d]", i), "%q is named twice", p)
		}
	}
	return nil
}

func (s *Spec) checkEnv() error {
	var room [8]string
	for _, k := range appendKeys(room[:0], s.Env) {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(s.Env[k], 0) {
			return wrong(fmt.Sprintf("env[%q]", k), "a name has no \"=\" and is not empty, and neither it nor its value holds a zero byte")
		}
		if strings.HasPrefix(k, "UCP_") {
			return wrong(fmt.Sprintf("env[%q]", k), "names that begin with UCP_ are the broker's own")
		}
	}
	return nil
}

func (s *Spec) checkResources() error {
	r := s.Resources
	switch {
	case r.CPU < 1 || r.CPU > 1_000_000:
		return wrong("resources.cpu", "%d millicores; from 1 to 1000000 (1000 is one core)", r.CPU)
	case r.Memory < 64<<10 || r.Memory > 1<<44:
		return wrong("resources.memory", "%d bytes; from 65536 to 16 TiB", r.Memory)
	case r.IO < 0 || r.IO > 100:
		return wrong("resources.io", "%d; from 0 to 100", r.IO)
	}
	var room [8]string
	for _, name := range appendKeys(room[:0], r.Devices) {
		if !label.ValidName(name) || r.Devices[name] < 1 {
			return wrong(fmt.Sprintf("resources.devices[%q]", name), "a device has a name and a count of at least 1")
		}
	}
	return nil
}

func (s *Spec) checkPriority() error {
	if u := s.Priority.User; u < 0 || u > MaxUserPriority {
		return wrong("priority.user", "%d; from 0 to %d, higher is more urgent", u, MaxUserPriority)
	}
	if w := s.Priority.Weight; w < 0 || w > maxWeight {
		return wrong("priority.weight", "%d; from 0 to %d", w, maxWeight)
	}
	if tag := s.Priority.Emergency; tag != "" && !label.ValidName(tag) {
		return wrong("priority.emergency", "%.80q: a level (none, low, medium, high, critical), or the ID or type of an emergency", tag)
	}
	if s.Priority.Deadline < 0 {
		return wrong("priority.deadline", "it is before 1970")
	}
	switch s.Preemption {
	case Suspend, Requeue, Never:
	default:
		return wrong("preemption", "%.40q; suspend, requeue or never", s.Preemption)
	}
	return nil
}

// checkAfter checks what a job is to others.
func (s *Spec) checkAfter() error {
	if s.Exclusive != "" && !label.ValidName(s.Exclusive) {
		return wrong("exclusive", "%.80q; a name such as drone-2", s.Exclusive)
	}
	if s.Preemption == Requeue && !s.MayRedeploy() {
		return wrong("preemption", "a job that must not run twice (redeploy: false) can't be requeued; suspend or never")
	}
	if len(s.After) > maxAfter {
		return wrong("after", "%d jobs; at most %d", len(s.After), maxAfter)
	}
	for i, id := range s.After {
		if !label.ValidName(string(id)) || slices.Contains(s.After[:i], id) {
			return wrong(fmt.Sprintf("after[%d]", i), "%.80q is not a job ID, or is there twice", id)
		}
	}
	if s.AfterPolicy != AfterSuccess && s.AfterPolicy != AfterEnd {
		return wrong("after_policy", "%.40q; success or end", s.AfterPolicy)
	}
	return nil
}

func (s *Spec) checkRest() error {
	var room [8]string
	for _, k := range appendKeys(room[:0], s.Labels) {
		if !label.ValidName(k) || len(s.Labels[k]) > 256 {
			return wrong(fmt.Sprintf("labels[%q]", k), "a label's name is letters, digits and . _ -, its value has at most 256 bytes")
		}
	}
	for i, c := range s.Constraints {
		if _, err := label.ParseSelector(c); err != nil {
			return wrong(fmt.Sprintf("constraints[%d]", i), "%v", err)
		}
	}
	switch {
	case s.Timeout < 0:
		return wrong("timeout", "it is negative; leave it out for none")
	case s.Retries.Max < 0 || s.Retries.Max > 100:
		return wrong("retries.max", "%d; from 0 to 100", s.Retries.Max)
	case s.MinReplicas < 0 || s.MinReplicas > 100:
		return wrong("min_replicas", "%d; from 0 to 100", s.MinReplicas)
	case s.Retries.Backoff < 0:
		return wrong("retries.backoff", "it is negative")
	}
	return nil
}

// checkBuilt refuses what later versions will do: a field is refused, never
// ignored.
func (s *Spec) checkBuilt() error {
	named := false
	for _, v := range s.Inputs {
		named = named || strings.HasPrefix(v, "data:")
	}
	for _, f := range []struct {
		field string
		used  bool
	}{
		{"inputs", named},
		{"named_outputs", len(s.NamedOutputs) > 0},
	} {
		if f.used {
			return &FieldError{Field: f.field, Hint: "this version of ucp can't do that yet; leave the field out", Unbuilt: true}
		}
	}
	return nil
}
