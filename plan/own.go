package plan

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// A plan of ours is YAML, or JSON:
//
//	defaults: {timeout: 5m}
//	jobs:
//	  detect:
//	    module: quake.wasm
//	    inputs: {quake.csv: today.csv}
//	    outputs: [report.json]
//	  mail:
//	    module: mail.wasm
//	    stdin: job:detect/out/report.json
//
// A job is a spec as `ucp job submit` takes it, with files of this machine, relative to the plan, where a spec has digests, and
// names of jobs of the plan where it has IDs. Of its own it has these fields.
type ownJob struct {
	Module    string            `json:"module"`
	Stdin     string            `json:"stdin"`
	Inputs    map[string]string `json:"inputs"`
	After     []string          `json:"after"`
	AfterEach []string          `json:"after_each"` // arrays: of each the job with the same index
	Array     string            `json:"array"`      // 0-999: a job for each index
	Each      any               `json:"each"`       // a job for each line of a file, or each text of a list
}

var ownFields = []string{"module", "stdin", "inputs", "after", "after_each", "array", "each"}

func (r *reader) own(top map[string]any) {
	for _, field := range slices.Sorted(maps.Keys(top)) {
		if field != "jobs" && field != "defaults" {
			r.mistakes.Add(r.lines.At(field), "", "unknown field %q; a plan has the fields jobs and defaults", field)
		}
	}
	var defaults map[string]any
	if top["defaults"] != nil {
		defaults, _ = r.object("", top["defaults"], "defaults", r.lines.At("defaults"))
	}
	for _, field := range []string{"array", "each", "after_each"} {
		if defaults[field] != nil {
			r.mistakes.Add(r.lines.At("defaults", field), "", "defaults: %s is of one job", field)
			delete(defaults, field)
		}
	}
	if top["jobs"] == nil {
		r.mistakes.Add(1, "", "it has no jobs: write them below `jobs:`, each by its name")
		return
	}
	jobs, ok := r.object("", top["jobs"], "jobs", r.lines.At("jobs"))
	if !ok {
		return
	}
	if len(jobs) == 0 {
		r.mistakes.Add(r.lines.At("jobs"), "", "it has no jobs")
	}
	names := slices.Sorted(maps.Keys(jobs))
	slices.SortStableFunc(names, func(a, b string) int { return r.lines.At("jobs", a) - r.lines.At("jobs", b) })
	for _, name := range names {
		if r.enough() {
			return
		}
		line := r.lines.At("jobs", name)
		if !ValidID(name) {
			r.mistakes.Add(line, "", "%.80q is no name of a job: letters, digits, _ and -, at most 64, the first a letter or digit", name)
			continue
		}
		if o, ok := r.object(name, jobs[name], "a job", line); ok {
			r.ownJob(name, line, o, defaults)
		}
	}
}

// ownJob reads one job, or the jobs of an array.
func (r *reader) ownJob(name string, line int, fields, defaults map[string]any) {
	where := func(path ...string) int {
		if len(path) > 0 && fields[path[0]] == nil && defaults[path[0]] != nil {
			return r.lines.At(append([]string{"defaults"}, path...)...)
		}
		return r.lines.At(append([]string{"jobs", name}, path...)...)
	}
	all := maps.Clone(defaults)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, fields)
	elements, ok := r.elements(name, all, where)
	if !ok || r.full(line, max(len(elements), 1)) {
		return
	}
	delete(all, "array")
	delete(all, "each")
	if elements == nil {
		r.ownElement(name, -1, line, all, where)
	}
	if elements != nil && !r.fits(name, all, elements, where) {
		return
	}
	for _, e := range elements {
		if r.enough() {
			return
		}
		filled, _ := fill(all, strings.NewReplacer("{{}}", "{}", "{{index}}", "{index}", "{index}", strconv.Itoa(e.index), "{}", e.text)).(map[string]any)
		r.ownElement(name+"."+strconv.Itoa(e.index), e.index, line, filled, where)
	}
}

// mostFilled is how large a job of an array may become when the texts of its element stand in their places: several times what a spec may be.
const mostFilled = 4 * job.MaxSpec

// fits refuses an array of which a job would become too large, before any is made.
func (r *reader) fits(name string, fields map[string]any, elements []element, where func(path ...string) int) bool {
	b, err := json.Marshal(fields)
	if err != nil {
		return true // the specs say so
	}
	longest := 0
	for _, e := range elements {
		longest = max(longest, len(e.text))
	}
	if size := len(b) + strings.Count(string(b), "{}")*longest; size > mostFilled {
		r.mistakes.Add(where(), name, "a job of this array would have some %d bytes, at most %d are allowed: put large data into files", size, mostFilled)
		return false
	}
	return true
}

func (r *reader) ownElement(name string, index, line int, fields map[string]any, where func(path ...string) int) {
	own, spec := map[string]any{}, map[string]any{"name": Group(name)}
	for field, v := range fields {
		if slices.Contains(ownFields, field) {
			own[field] = v
		} else {
			spec[field] = v
		}
	}
	var o ownJob
	r.decode(name, own, &o, where)
	d := &draft{name: name, line: line, spec: spec, where: where}
	if spec["command"] == nil && spec["driver"] != string(job.Process) && o.Module == "" {
		r.mistakes.Add(line, name, "it has neither a module, the file of a WebAssembly program, nor a command")
		o.Module = string(Unread)
	}
	if o.Module != "" {
		spec["module"] = d.file(Module, "", o.Module, where("module"))
	}
	if o.Stdin != "" {
		spec["stdin"] = d.file(Stdin, "", o.Stdin, where("stdin"))
	}
	inputs := map[string]any{}
	for _, at := range slices.Sorted(maps.Keys(o.Inputs)) {
		if o.Inputs[at] == "" {
			r.mistakes.Add(where("inputs", at), name, "inputs[%q]: it names no file", at)
			continue
		}
		inputs[at] = d.file(Input, at, o.Inputs[at], where("inputs", at))
	}
	if len(inputs) > 0 {
		spec["inputs"] = inputs
	}
	for _, other := range o.AfterEach {
		if index < 0 {
			r.mistakes.Add(where("after_each"), name, "after_each is of an array: of one job, say after")
			break
		}
		o.After = append(o.After, other+"."+strconv.Itoa(index))
	}
	if len(o.After) > 0 {
		after := []any{}
		for _, other := range o.After {
			after = append(after, other)
		}
		spec["after"] = after
	}
	r.take(d)
}

// element is one job of an array: its index, and the text that {} stands for.
type element struct {
	index int
	text  string
}

// elements lists the jobs of an array; nil where the job is none.
func (r *reader) elements(name string, fields map[string]any, where func(path ...string) int) (out []element, ok bool) {
	array, each := fields["array"], fields["each"]
	switch {
	case array != nil && each != nil:
		r.mistakes.Add(where("each"), name, "array and each: say one of them")
		return nil, false
	case array != nil:
		text, _ := array.(string)
		indices, ok := job.ParseIndices(text)
		if !ok {
			r.mistakes.Add(where("array"), name, "array: %.80q; write indices such as 0-999 or 1,3,7-9, the smaller one first and each once, at most %d", text, MaxJobs)
		}
		for _, i := range indices {
			out = append(out, element{i, strconv.Itoa(i)})
		}
		return out, ok
	case each == nil:
		return nil, true
	}
	var texts []string
	switch v := each.(type) {
	case string:
		lines, err := r.linesOf(v)
		if err != nil {
			r.mistakes.Add(where("each"), name, "each: %v", err)
			return nil, false
		}
		texts = lines
	case []any:
		for _, x := range v {
			text, isText := x.(string)
			if !isText {
				r.mistakes.Add(where("each"), name, "each: it must be a file, or a list of texts")
				return nil, false
			}
			texts = append(texts, text)
		}
	default:
		r.mistakes.Add(where("each"), name, "each: it must be a file, or a list of texts")
		return nil, false
	}
	if len(texts) == 0 {
		r.mistakes.Add(where("each"), name, "each: it has no lines")
	}
	for i, text := range texts {
		out = append(out, element{i, text})
	}
	return out, len(texts) > 0
}

// fill returns a value with the texts of an element in their places, also in the names of fields.
func fill(v any, in *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return in.Replace(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = fill(x, in)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			out[in.Replace(name)] = fill(x, in)
		}
		return out
	}
	return v
}

// near says which of the names may have been meant.
func near(word string, names []string) string {
	if slip := label.Slip(word, names); slip != "" {
		return "; did you mean " + slip + "?"
	}
	return ""
}
