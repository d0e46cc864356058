package job

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/strictjson"
)

// FieldError says which field of a spec is wrong, and what would be right.
type FieldError struct {
	Field string // as in JSON, such as "resources.cpu"
	Hint  string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Hint }

func fieldError(field, format string, args ...any) error {
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

// ParseSpec parses a spec from JSON of at most MaxSpec bytes, as strictly as package strictjson does, fills in the
// defaults and validates it. An invalid field is a *[FieldError].
func ParseSpec(b []byte) (Spec, error) {
	if len(b) > MaxSpec {
		return Spec{}, fmt.Errorf("the job spec has %d bytes, at most %d are allowed: put large data into blobs", len(b), MaxSpec)
	}
	in := written{Priority: writtenPriority{User: DefaultUser}}
	if err := strictjson.Unmarshal(b, &in); err != nil {
		if strings.HasPrefix(err.Error(), "resources.") {
			err = fmt.Errorf("%w; cpu is in millicores (1000 is one core), memory and disk are in bytes", err)
		}
		return Spec{}, fmt.Errorf("job spec: %w", err)
	}
	s, err := in.spec()
	if err != nil {
		return s, err
	}
	s.fillIn()
	if err := s.check(); err != nil {
		return s, err
	}
	if err := s.checkWritten(); err != nil {
		return s, err
	}
	if encodedAtMost(len(b)) > MaxSpec {
		return s, checkSize(len(encode(&s)))
	}
	return s, nil
}

// written is a spec as people write it. It differs in the priority: levels may be numbers, and what brokers of earlier
// versions keep only beside it is written in it.
type written struct {
	Spec
	Resources writtenResources `json:"resources"`
	Priority  writtenPriority  `json:"priority"`
}

// writtenResources takes what an attempt may write, which people count among its resources.
type writtenResources struct {
	Resources
	Disk int64 `json:"disk"`
}

type writtenPriority struct {
	Emergency LevelText  `json:"emergency"`
	User      int32      `json:"user"`
	Deadline  clock.Time `json:"deadline"`
	Weight    Milli      `json:"weight"`
	Urgency   *Milli     `json:"urgency"`
}

// spec returns the spec that is meant.
func (in *written) spec() (Spec, error) {
	s, p := in.Spec, &in.Priority
	s.Resources = in.Resources.Resources
	if d := in.Resources.Disk; d != 0 {
		if s.Disk != 0 {
			return s, fieldError("disk", "it is given as resources.disk, too; leave one of the two out")
		}
		s.Disk = d
	}
	s.Priority = Priority{Emergency: string(p.Emergency), User: p.User, Deadline: p.Deadline}
	if p.Urgency != nil {
		if s.Urgency != 0 {
			return s, fieldError("priority.urgency", "it is given as urgency, too; leave one of the two out")
		}
		if s.Urgency = *p.Urgency; s.Urgency < 0 || s.Urgency > maxUrgency {
			return s, fieldError("priority.urgency", "%v; want 0 to 1", s.Urgency)
		}
	}
	if w := p.Weight; w < 0 || w > maxWeight*1000 {
		return s, fieldError("priority.weight", "%v; want 0 to %d", w, maxWeight)
	}
	part := s.WeightPart
	if s.SetWeight(p.Weight); part != 0 {
		if s.WeightPart != 0 {
			return s, fieldError("weight_part", "priority.weight has a part, too; leave one of the two out")
		}
		s.WeightPart = part
	}
	return s, nil
}

// encodedAtMost returns an upper bound for the length of a spec's encoding, given the length of its JSON. No
// value is longer in the encoding than in JSON, except for short durations, and the defaults that are filled in.
func encodedAtMost(text int) int { return text + 1<<10 }

// Complete does for a spec that was made in Go what ParseSpec does for JSON: it fills in the defaults and
// validates the spec. Its errors are the same. It is idempotent.
func (s *Spec) Complete() error {
	s.fillIn()
	return s.validate(len(encode(s)))
}

// fillIn sets the fields that were left out to their defaults.
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
	if s.Disk == DefaultDisk {
		s.Disk = 0 // so that all spellings are the same job
	}
	if s.Driver == Wasm {
		s.fromRoot()
	}
	if s.Checkpoint != nil {
		c := *s.Checkpoint
		c.Paths = slices.Clone(c.Paths)
		c.fillIn(s.Driver)
		s.Checkpoint = &c
	}
	s.nameArrays()
	s.waitForSources()
	if s.AfterPolicy == "success" {
		s.AfterPolicy = AfterSuccess // so that both spellings are the same job
	}
	s.Priority.Emergency = LevelOf(s.Priority.Emergency)
	if s.Preemption == "" {
		s.Preemption = Suspend
	}
	if s.Redeploy != nil && *s.Redeploy {
		s.Redeploy = nil // the default, so that both spellings are the same job
	}
	if s.OutputsOnFailure != nil && *s.OutputsOnFailure {
		s.OutputsOnFailure = nil // likewise
	}
}

// fromRoot makes absolute paths of a wasm job relative to its directory, which is its "/", so that both spellings are
// the same job. One that is there already stays as it is, and is refused.
func (s *Spec) fromRoot() {
	for _, list := range [][]string{s.Dirs, s.Outputs} {
		for i, p := range list {
			list[i] = strings.TrimLeft(p, "/")
		}
	}
	var buf [8]string
	for _, p := range appendKeys(buf[:0], s.Inputs) {
		rel := strings.TrimLeft(p, "/")
		if _, taken := s.Inputs[rel]; !taken {
			s.Inputs[rel] = s.Inputs[p]
			delete(s.Inputs, p)
		}
	}
	for _, p := range appendKeys(buf[:0], s.NamedOutputs) {
		rel := strings.TrimLeft(p, "/")
		if _, taken := s.NamedOutputs[rel]; !taken {
			s.NamedOutputs[rel] = s.NamedOutputs[p]
			delete(s.NamedOutputs, p)
		}
	}
}

// validate checks a complete spec whose encoding has the given number of bytes.
func (s *Spec) validate(encoded int) error {
	if err := s.check(); err != nil {
		return err
	}
	return checkSize(encoded)
}

// checkWritten checks what is asked of specs that people write, and not of those in records: earlier versions took it.
func (s *Spec) checkWritten() error {
	for k, v := range s.Labels {
		if !label.ValidLabel(k, v) {
			return fieldError(fmt.Sprintf("labels[%q]", k), "%s", label.LabelForm)
		}
	}
	return nil
}

// checkSize refuses a spec whose encoding is too long (rule L11).
func checkSize(encoded int) error {
	if encoded > MaxSpec {
		return fmt.Errorf("the job spec has %d bytes when encoded, at most %d are allowed: put large data into blobs", encoded, MaxSpec)
	}
	return nil
}

// check checks all fields, but not their total size.
func (s *Spec) check() error {
	for _, check := range []func() error{s.checkDriver, s.checkFiles, s.checkEnv, s.checkResources, s.checkPriority, s.checkAfter, s.checkCheckpoint, s.checkRest} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) checkDriver() error {
	switch s.Driver {
	case Wasm:
		if err := s.checkModule(); err != nil {
			return err
		}
		if s.Command != "" {
			return fieldError("command", "only the process driver takes a command; the wasm driver runs `module`")
		}
	case Process:
		if s.Command == "" {
			return fieldError("command", "the process driver needs a command")
		}
		if s.Module != "" {
			return fieldError("module", "only the wasm driver takes a module; the process driver runs `command`")
		}
	default:
		return fieldError("driver", "unknown driver %.40q; %s", s.Driver, label.OneOf(string(s.Driver), []string{string(Wasm), string(Process)}))
	}
	if len(s.Name) > maxName || strings.ContainsFunc(s.Name, label.Misleads) {
		return fieldError("name", "%.80q; want at most %d bytes without control characters", s.Name, maxName)
	}
	if strings.ContainsRune(s.Command, 0) {
		return fieldError("command", "it must not contain a zero byte")
	}
	for i, a := range s.Args {
		if strings.ContainsRune(a, 0) {
			return fieldError(fmt.Sprintf("args[%d]", i), "it must not contain a zero byte")
		}
	}
	return nil
}

// checkModule accepts the digest of a blob, or the name of data, which is a file (rule D8).
func (s *Spec) checkModule() error {
	if _, isData := s.ModuleName(); isData || ValidDigest(string(s.Module)) {
		return nil
	}
	if strings.HasPrefix(string(s.Module), dataPrefix) {
		return fieldError("module", "%.80q; want data: and the name of a file, such as data:tools/quake", s.Module)
	}
	return fieldError("module", "the wasm driver needs the SHA-256 of an uploaded module, 64 hexadecimal digits, or the name of data, data:NAME")
}

// checkPath accepts a clean relative path that stays inside the job's directory.
func checkPath(field, p string) error {
	switch {
	case p == "" || len(p) > 1024 || strings.ContainsRune(p, 0):
		return fieldError(field, "%q is not a path of 1 to 1024 bytes", p)
	case path.IsAbs(p) || strings.Contains(p, `\`):
		return fieldError(field, "%q must be relative to the job's directory, with forward slashes", p)
	case path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") || p == ".":
		return fieldError(field, "%q must be a clean path inside the job's directory, without \"..\"", p)
	}
	return nil
}

func (s *Spec) checkFiles() error {
	if s.Stdin != "" {
		if err := checkSource("stdin", string(s.Stdin), false); err != nil {
			return err
		}
	}
	var buf [8]string
	inputs := appendKeys(buf[:0], s.Inputs)
	for _, p := range inputs {
		if err := checkFilePath(inputField(p), p); err != nil {
			return err
		}
		if err := checkSource(inputField(p), s.Inputs[p], IsDirectory(p)); err != nil {
			return err
		}
	}
	if err := checkApart(inputs, inputField); err != nil {
		return err
	}
	for i, p := range s.Dirs {
		if err := checkPath(fmt.Sprintf("dirs[%d]", i), p); err != nil {
			return err
		}
	}
	for i, p := range s.Outputs {
		if err := checkFilePath(fmt.Sprintf("outputs[%d]", i), p); err != nil {
			return err
		}
		if slices.Contains(s.Outputs[:i], p) {
			return fieldError(fmt.Sprintf("outputs[%d]", i), "%q is listed twice", p)
		}
	}
	if err := checkApart(s.Outputs, func(p string) string { return fmt.Sprintf("outputs[%d]", slices.Index(s.Outputs, p)) }); err != nil {
		return err
	}
	return s.checkNamedOutputs()
}

func (s *Spec) checkEnv() error {
	var buf [8]string
	for _, k := range appendKeys(buf[:0], s.Env) {
		if err := checkVariable(fmt.Sprintf("env[%q]", k), k, s.Env[k]); err != nil {
			return err
		}
	}
	return s.checkSecrets()
}

func checkVariable(field, name, value string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
		return fieldError(field, "a name must not be empty or contain \"=\", and neither a name nor a value may contain a zero byte")
	}
	if strings.HasPrefix(name, "UCP_") {
		return fieldError(field, "names that begin with UCP_ are reserved for the broker")
	}
	return nil
}

func (s *Spec) checkResources() error {
	r := s.Resources
	switch {
	case r.CPU < 1 || r.CPU > 1_000_000:
		return fieldError("resources.cpu", "%d millicores; want 1 to 1000000 (1000 is one core)", r.CPU)
	case r.Memory < 64<<10 || r.Memory > 1<<44:
		return fieldError("resources.memory", "%d bytes; want 65536 bytes to 16 TiB", r.Memory)
	case s.Disk != 0 && (s.Disk < 4<<10 || s.Disk > 1<<44):
		return fieldError("disk", "%d bytes; want 4096 bytes to 16 TiB", s.Disk)
	case r.IO < 0 || r.IO > 100:
		return fieldError("resources.io", "%d; want 0 to 100", r.IO)
	}
	var buf [8]string
	for _, name := range appendKeys(buf[:0], r.Devices) {
		if !label.ValidName(name) || r.Devices[name] < 1 {
			return fieldError(fmt.Sprintf("resources.devices[%q]", name), "a device needs a name of letters, digits and . _ -, and a count of at least 1")
		}
	}
	return nil
}

func (s *Spec) checkPriority() error {
	if u := s.Priority.User; u < 0 || u > MaxUserPriority {
		return fieldError("priority.user", "%d; want 0 to %d, higher is more urgent", u, MaxUserPriority)
	}
	if w := s.Priority.Weight; w < 0 || w > maxWeight {
		return fieldError("priority.weight", "%d; want 0 to %d", w, maxWeight)
	}
	if w := s.WeightPart; w < 0 || w >= 1000 || s.Weight() > maxWeight*1000 {
		return fieldError("weight_part", "%v; want 0 to 0.999, and with priority.weight at most %d", w, maxWeight)
	}
	if u := s.Urgency; u < 0 || u > maxUrgency {
		return fieldError("urgency", "%v; want 0 to 1", u)
	}
	if tag := s.Priority.Emergency; tag != "" && !label.ValidName(tag) {
		return fieldError("priority.emergency", "%.80q; want a level (none, low, medium, high, critical, or 0 to 4), or the ID or type of an emergency", tag)
	}
	if s.Priority.Deadline < 0 {
		return fieldError("priority.deadline", "it is before 1970")
	}
	if d := s.DeadlineIn; d < 0 || d > maxDeadlineIn {
		return fieldError("deadline_in", "%v; want at most %v", time.Duration(d), time.Duration(maxDeadlineIn))
	}
	if s.DeadlineIn > 0 && s.Priority.Deadline != 0 {
		return fieldError("deadline_in", "give either it or priority.deadline")
	}
	switch s.Preemption {
	case Suspend, Requeue, Never:
	default:
		return fieldError("preemption", "unknown mode %.40q; %s", s.Preemption, label.OneOf(string(s.Preemption), []string{string(Suspend), string(Requeue), string(Never)}))
	}
	return nil
}

// checkAfter checks the fields that relate a job to other jobs, and to who has submitted it.
func (s *Spec) checkAfter() error {
	if s.Exclusive != "" && !label.ValidName(s.Exclusive) {
		return fieldError("exclusive", "%.80q; want a name such as drone-2", s.Exclusive)
	}
	if s.Submitter != "" && !label.ValidName(s.Submitter) {
		return fieldError("submitter", "%.80q; nobody has such a name, and the broker writes it", s.Submitter)
	}
	if s.Preemption == Requeue && !s.MayRedeploy() {
		return fieldError("preemption", "a job that must not run twice (redeploy: false) cannot be requeued; want suspend or never")
	}
	if len(s.After) > maxAfter {
		return fieldError("after", "%d jobs; at most %d are allowed", len(s.After), maxAfter)
	}
	elements := 0
	for i, id := range s.After {
		field := fmt.Sprintf("after[%d]", i)
		if id.IsArray() {
			n, err := checkArray(field, id)
			if err != nil {
				return err
			}
			if elements += n; elements > MaxArray {
				return fieldError(field, "with it the arrays have %d jobs; at most %d are allowed", elements, MaxArray)
			}
		} else if !label.ValidName(string(id)) {
			return fieldError(field, "%.80q is neither a job ID nor an array, such as tiles[0-999]", id)
		}
		if slices.Contains(s.After[:i], id) {
			return fieldError(field, "%.80q is listed twice", id)
		}
	}
	if err := s.checkSources(); err != nil {
		return err
	}
	if s.AfterPolicy != AfterSuccess && s.AfterPolicy != AfterEnd {
		return fieldError("after_policy", "unknown policy %.40q; want success or end", s.AfterPolicy)
	}
	return nil
}

func (s *Spec) checkRest() error {
	var buf [8]string
	for _, k := range appendKeys(buf[:0], s.Labels) {
		if !label.ValidName(k) || len(s.Labels[k]) > label.MaxValue {
			return fieldError(fmt.Sprintf("labels[%q]", k), "%s", label.LabelForm)
		}
	}
	for i, c := range s.Constraints {
		if _, err := label.ParseSelector(c); err != nil {
			return fieldError(fmt.Sprintf("constraints[%d]", i), "%v", err)
		}
	}
	switch {
	case s.Timeout < 0:
		return fieldError("timeout", "it is negative; leave it out if there is none")
	case s.Retries.Max < 0 || s.Retries.Max > 100:
		return fieldError("retries.max", "%d; want 0 to 100", s.Retries.Max)
	case s.MinReplicas < 0 || s.MinReplicas > 100:
		return fieldError("min_replicas", "%d; want 0 to 100", s.MinReplicas)
	case s.Retries.Backoff < 0:
		return fieldError("retries.backoff", "it must not be negative")
	}
	return nil
}
