package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/strictjson"
)

// Source is the text of a plan.
type Source struct {
	Name string // of the file, which tells TOML from YAML where its end does; mistakes begin with it
	Text []byte
	ID   job.ID // of the plan; its jobs have IDs that begin with it (see ValidID)

	// Lines returns the lines of a file of this machine, as the plan names it, which an array is made of.
	Lines func(path string) ([]string, error)

	// Limits bound what it costs to read a plan that came from elsewhere; zero is for one of this machine's own.
	Limits Limits
}

// Limits bound a plan beyond what every plan is bounded by; where one is zero, that is not bounded.
type Limits struct {
	Jobs     int // each element of an array counted
	Bytes    int // of the specs of all jobs, as they stand in the plan once arrays are jobs
	Mistakes int // behind so many nothing more is looked at
}

// mostTried is how many parts of wrong specs are tried one by one, in a plan with limits.
const mostTried = 20_000

// looksLikeTOML finds the header of a table.
var looksLikeTOML = regexp.MustCompile(`(?m)^[ \t]*\[\[?[A-Za-z_][A-Za-z0-9_.-]*\]\]?[ \t\r]*(#.*)?$`)

// Read reads a plan, and checks all that can be checked without its files. What is wrong is a *[Mistakes].
func Read(src Source) (*Plan, error) {
	r := reader{plan: &Plan{ID: src.ID}, limits: src.Limits, mistakes: &Mistakes{File: src.Name}, linesOf: src.Lines, ids: NewIDs(func(name string) job.ID { return JobID(src.ID, name, 1) }), wholes: map[string][]job.ID{}}
	r.read(&src)
	if len(r.mistakes.List) == 0 || len(r.plan.Jobs) > 0 {
		r.link()
	}
	return r.plan, r.mistakes.Err()
}

// reader reads one plan.
type reader struct {
	plan     *Plan
	mistakes *Mistakes
	lines    strictjson.Lines
	linesOf  func(path string) ([]string, error)
	ids      *IDs                // of the first runs
	wholes   map[string][]job.ID // see whole

	limits Limits
	bytes  int // of the specs so far
	tried  int // parts of wrong specs
}

// enough reports whether nothing more of the plan is looked at, since there are mistakes enough, or it is too much.
func (r *reader) enough() bool {
	l := &r.limits
	return l.Mistakes > 0 && len(r.mistakes.List) >= l.Mistakes || l.Bytes > 0 && r.bytes > l.Bytes
}

// counts notes how large a spec is, and reports whether the plan is still small enough.
func (r *reader) counts(spec map[string]any, line int) bool {
	if r.limits.Bytes == 0 || r.enough() {
		return !r.enough()
	}
	b, err := json.Marshal(spec)
	if r.bytes += len(b); err == nil && r.enough() {
		r.mistakes.Add(line, "", "up to here its jobs have %d bytes together, at most %d are allowed", r.bytes, r.limits.Bytes)
	}
	return !r.enough()
}

var lineOfError = regexp.MustCompile(`^line ([0-9]+): `)

func (r *reader) read(src *Source) {
	if len(src.Text) > MaxText {
		r.mistakes.Add(0, "", "it has %d bytes, at most %d are allowed", len(src.Text), MaxText)
		return
	}
	text := bytes.TrimPrefix(src.Text, []byte("\ufeff"))
	toml := path.Ext(src.Name) == ".toml"
	if !toml && !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(src.Name)) {
		toml = looksLikeTOML.Match(text)
	}
	var doc []byte
	var err error
	if toml {
		doc, r.lines, err = strictjson.LinesOfTOML(text)
	} else {
		doc, r.lines, err = strictjson.LinesOfYAML(text, textFields...)
	}
	if err == nil {
		err = strictjson.Unmarshal(doc, new(map[string]json.RawMessage))
	}
	if err != nil {
		line, says := 0, err.Error()
		if m := lineOfError.FindStringSubmatch(says); m != nil {
			line, _ = strconv.Atoi(m[1])
			says = says[len(m[0]):]
		}
		r.mistakes.Add(line, "", "%s", says)
		return
	}
	var top map[string]any
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&top); err != nil {
		r.mistakes.Add(0, "", "%v", err)
		return
	}
	if toml {
		r.rec(top)
	} else {
		r.own(top)
	}
}

// textFields are the fields that hold text, so that `args: [1, yes]` needs no quotes.
var textFields = []string{"name", "command", "args", "env", "labels", "constraints", "exclusive", "after", "after_each", "dirs", "outputs",
	"module", "stdin", "inputs", "array", "each"}

// draft is a job as the file has it, before it is a spec.
type draft struct {
	name  string
	line  int
	spec  map[string]any // as job.ParseSpec takes it, but for names of jobs
	files []File
	where func(path ...string) int
}

// file lets a field of the spec name a file of this machine, unless the text is the digest of a blob, or names data, or says what
// another job leaves, which no module is.
func (d *draft) file(field, input, text string, line int) any {
	if job.ValidDigest(text) || strings.HasPrefix(text, "data:") || field != Module && job.IsSource(text) {
		return text
	}
	d.files = append(d.files, File{Field: field, Input: input, Path: text, Line: line})
	return string(Unread)
}

// take makes a job of a draft, and adds it to the plan. What is wrong with the spec is noted, all of it.
func (r *reader) take(d *draft) {
	if !r.counts(d.spec, d.line) {
		return
	}
	wrong := func(line int, format string, args ...any) { r.mistakes.Add(line, d.name, format, args...) }
	for _, reserved := range []string{LabelPlan, LabelJob, LabelSize, LabelRun, arrayOf} {
		if labels, ok := d.spec["labels"].(map[string]any); ok && labels[reserved] != nil {
			wrong(d.where("labels", reserved), "labels[%q]: the plan writes this label itself", reserved)
		}
	}
	if id := JobID(r.plan.ID, d.name, 1); !label.ValidName(string(id)) {
		wrong(d.line, "its ID would be %q: an ID has at most 64 characters, letters, digits and . _ -", id)
	}
	j := &Job{Name: d.name, Group: Group(d.name), Line: d.line, Files: d.files, where: d.where}
	spec, err := parse(d.spec)
	if err != nil {
		j.refused = true
		spec, _ = parse(d.explain(err, wrong, r.tires)) // what is right of it is checked against the other jobs
	}
	j.Spec = spec
	if j.Spec.Driver == job.Wasm { // the spec has its paths relative now (see job.ParseSpec)
		for i := range j.Files {
			if rel := strings.TrimLeft(j.Files[i].Input, "/"); j.Spec.Inputs[rel] != "" {
				j.Files[i].Input = rel
			}
		}
	}
	if !r.plan.add(j) {
		wrong(d.line, "there are two jobs of this name")
	}
}

func parse(spec map[string]any) (job.Spec, error) {
	b, err := json.Marshal(spec)
	if err != nil {
		return job.Spec{}, err
	}
	return job.ParseSpec(b)
}

// tires counts a part that is about to be tried, and reports whether that is one too many.
func (r *reader) tires() bool {
	r.tried++
	return r.limits.Mistakes > 0 && (r.tried > mostTried || r.enough())
}

// explain says all that is wrong with a spec that was refused: each of its parts is tried alone, and where each is right by itself, they
// don't fit together. It returns those that are right.
func (d *draft) explain(whole error, wrong func(line int, format string, args ...any), tires func() bool) (right map[string]any) {
	base := map[string]any{"module": string(Unread)}
	if d.spec["command"] != nil || d.spec["driver"] == string(job.Process) {
		base = map[string]any{"command": "x"}
	}
	right = maps.Clone(base)
	told := false
	try := func(field string, value any, path ...string) bool {
		if tires() {
			return false
		}
		one := maps.Clone(base)
		one[field] = value
		_, err := parse(one)
		if err != nil {
			told = true
			wrong(d.where(path...), "%s", says(err, field))
		}
		return err == nil
	}
	for _, field := range slices.Sorted(maps.Keys(d.spec)) {
		switch v := d.spec[field].(type) {
		case map[string]any:
			good := map[string]any{}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if try(field, map[string]any{key: v[key]}, field, key) {
					good[key] = v[key]
				}
			}
			if len(good) > 0 {
				right[field] = good
			}
		case []any:
			good := []any{}
			for i, x := range v {
				if try(field, []any{x}, field, strconv.Itoa(i)) {
					good = append(good, x)
				}
			}
			if len(good) > 0 {
				right[field] = good
			}
		default:
			if field != "driver" && field != "module" && field != "command" && try(field, v, field) {
				right[field] = v
			}
		}
	}
	if !told {
		wrong(d.where(fieldOf(whole)...), "%s", says(whole, ""))
	}
	return right
}

// says returns the words of an error of job.ParseSpec; of a field that was tried with one element of its list it leaves out
// which one that was.
func says(err error, field string) string {
	text := strings.TrimPrefix(err.Error(), "job spec: ")
	for _, first := range []string{field + "[0]: ", field + ".0: "} {
		if rest, ok := strings.CutPrefix(text, first); ok && field != "" {
			return field + ": " + rest
		}
	}
	return text
}

var partsOfField = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[A-Za-z0-9_-]+`)

// fieldOf returns where a field of a spec is that an error names.
func fieldOf(err error) (out []string) {
	var f *job.FieldError
	if !errors.As(err, &f) {
		return nil
	}
	for _, part := range partsOfField.FindAllString(f.Field, -1) {
		if text, err := strconv.Unquote(part); err == nil {
			part = text
		}
		out = append(out, part)
	}
	return out
}

// decode reads the fields of an object one by one, and notes what is wrong with each.
func (r *reader) decode(name string, from map[string]any, into any, where func(path ...string) int) {
	for _, field := range slices.Sorted(maps.Keys(from)) {
		b, err := json.Marshal(map[string]any{field: from[field]})
		if err == nil {
			err = strictjson.Unmarshal(b, into)
		}
		if err != nil {
			r.mistakes.Add(where(field), name, "%v", err)
		}
	}
}

// object returns a value as an object, and notes where it is none.
func (r *reader) object(name string, v any, what string, line int) (map[string]any, bool) {
	o, ok := v.(map[string]any)
	if !ok {
		r.mistakes.Add(line, name, "%s must be an object with fields", what)
	}
	return o, ok
}

// full refuses more jobs than a plan may have.
func (r *reader) full(line, more int) bool {
	most := MaxJobs
	if n := r.limits.Jobs; n > 0 {
		most = min(most, n)
	}
	if len(r.plan.Jobs)+more <= most {
		return false
	}
	r.mistakes.Add(line, "", "the plan has more than the %d jobs that are allowed", most)
	return true
}
