package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/job"
)

// An execution plan of REC (github.com/umr-ds/resilient-edge-computing, rec/job.py) names data: files of the plan, and what
// jobs leave (named_results); jobs take data by these names. A job of it has no name; here they are job-1, job-2, in the order of the file.
//
// What it means there, and is kept here: argv has the program's own name in front; dirs, data and results are below the
// job's root; stdout_file and stderr_file are files in it, and so among the results that are above them; a job runs when its data is there, whatever exit code
// left it; nothing is in its environment but env; capabilities are what the machine must have at least, and no limits.
type recPlan struct {
	NamedData map[string]string `json:"named_data"`
	Jobs      []any             `json:"jobs"`
}

type recJob struct {
	Metadata map[string]any    `json:"metadata"`
	Data     map[string]string `json:"data"`
}

type recMetadata struct {
	JobID           any               `json:"job_id"`    // REC replaces both of them
	Submitter       any               `json:"submitter"` //
	WasmModule      string            `json:"wasm_module"`
	ResultsReceiver string            `json:"results_receiver"`
	Argv            []string          `json:"argv"`
	Env             map[string]any    `json:"env"`
	StdinFile       string            `json:"stdin_file"`
	Dirs            []string          `json:"dirs"`
	Data            map[string]string `json:"data"`
	StdoutFile      string            `json:"stdout_file"`
	StderrFile      string            `json:"stderr_file"`
	Results         []string          `json:"results"`
	NamedResults    map[string]string `json:"named_results"`
	Capabilities    map[string]any    `json:"capabilities"`
}

type recCapabilities struct {
	CPUCores        int64 `json:"cpu_cores"`
	FreeCPUCapacity int64 `json:"free_cpu_capacity"`
	FreeMemory      int64 `json:"free_memory"`
	FreeDiskSpace   int64 `json:"free_disk_space"`
}

// recDraft is one job of REC's as it was read.
type recDraft struct {
	name  string
	line  int
	where func(path ...string) int
	meta  recMetadata
	need  recCapabilities
	data  map[string]string // its own names of files
	dirs  map[string]bool   // paths that are directories for sure
}

// recWhere says where a field of a spec is in REC's plans.
var recWhere = map[string][]string{
	"module": {"metadata", "wasm_module"}, "stdin": {"metadata", "stdin_file"}, "inputs": {"metadata", "data"}, "args": {"metadata", "argv"}, "name": {"metadata", "argv"},
	"env": {"metadata", "env"}, "dirs": {"metadata", "dirs"}, "outputs": {"metadata", "results"}, "resources": {"metadata", "capabilities"}, "disk": {"metadata", "capabilities"},
}

func (r *reader) rec(top map[string]any) {
	var p recPlan
	r.decode("", top, &p, func(field ...string) int { return r.lines.At(field...) })
	if len(p.Jobs) == 0 {
		r.mistakes.Add(r.lines.At("jobs"), "", "it has no jobs: named data alone is nothing to run")
	}
	if r.full(r.lines.At("jobs"), len(p.Jobs)) {
		return
	}
	var drafts []*recDraft
	for i := range p.Jobs {
		d := &recDraft{name: "job-" + strconv.Itoa(i+1), line: r.lines.At("jobs", strconv.Itoa(i)), dirs: map[string]bool{}}
		d.where = func(path ...string) int {
			if len(path) > 0 {
				if to, ok := recWhere[path[0]]; ok {
					path = slices.Concat(to, path[1:])
				}
			}
			return r.lines.At(slices.Concat([]string{"jobs", strconv.Itoa(i)}, path)...)
		}
		fields, ok := r.object(d.name, p.Jobs[i], "a job", d.line)
		if !ok {
			continue
		}
		var j recJob
		r.decode(d.name, fields, &j, d.where)
		d.data = j.Data
		r.decode(d.name, j.Metadata, &d.meta, func(path ...string) int { return d.where(slices.Concat([]string{"metadata"}, path)...) })
		r.decode(d.name, d.meta.Capabilities, &d.need, func(path ...string) int { return d.where(slices.Concat([]string{"resources"}, path)...) })
		r.recPaths(d)
		drafts = append(drafts, d)
	}
	names := r.recNames(&p, drafts)
	for _, d := range drafts {
		r.recTake(d, names)
	}
}

// inRoot returns a path below the job's root as a spec has it.
func inRoot(p string) (string, bool) {
	rel := path.Clean(strings.TrimLeft(p, "/"))
	return rel, rel != "." && rel != ".." && !strings.HasPrefix(rel, "../")
}

// recPaths brings the paths of a job into the form that specs have, and notes which of them are directories.
func (r *reader) recPaths(d *recDraft) {
	m := &d.meta
	rel := func(p string, fields ...string) (string, bool) {
		out, ok := inRoot(p)
		if !ok {
			r.mistakes.Add(d.where(slices.Concat([]string{"metadata"}, fields)...), d.name, "%s: %.80q is not below the job's root", fields[0], p)
			return "", false
		}
		for dir := path.Dir(out); dir != "."; dir = path.Dir(dir) {
			d.dirs[dir] = true
		}
		return out, true
	}
	list := func(paths []string, field string) (out []string) {
		for i, p := range paths {
			if p, ok := rel(p, field, strconv.Itoa(i)); ok {
				out = append(out, p)
			}
		}
		return out
	}
	pairs := func(names map[string]string, field string) map[string]string {
		out := map[string]string{}
		for _, at := range slices.Sorted(maps.Keys(names)) {
			if p, ok := rel(at, field, at); ok {
				out[p] = names[at]
			}
		}
		return out
	}
	m.Dirs, m.Results = list(m.Dirs, "dirs"), list(m.Results, "results")
	for _, dir := range m.Dirs {
		d.dirs[dir] = true
	}
	m.Data, m.NamedResults = pairs(m.Data, "data"), pairs(m.NamedResults, "named_results")
	if m.StdoutFile != "" {
		m.StdoutFile, _ = rel(m.StdoutFile, "stdout_file")
	}
	if m.StderrFile != "" {
		if m.StderrFile, _ = rel(m.StderrFile, "stderr_file"); m.StderrFile != "" && m.StderrFile == m.StdoutFile {
			r.mistakes.Add(d.where("metadata", "stderr_file"), d.name, "stdout_file and stderr_file are one file")
		}
	}
}

// recName is what a name of data stands for: files of the plan, by the job that brings them ("" for all), or results.
type recName struct {
	files   map[string]string
	results []recResult
}

type recResult struct {
	job  *recDraft
	path string
	line int
}

// recNames lists all names of a plan, and notes those that more than one job gives to its results.
func (r *reader) recNames(p *recPlan, drafts []*recDraft) map[string]*recName {
	names := map[string]*recName{}
	of := func(name string) *recName {
		if names[name] == nil {
			names[name] = &recName{files: map[string]string{}}
		}
		return names[name]
	}
	for name, file := range p.NamedData {
		of(name).files[""] = file
	}
	for _, d := range drafts {
		for name, file := range d.data {
			of(name).files[d.name] = file
		}
		for _, at := range slices.Sorted(maps.Keys(d.meta.NamedResults)) {
			name := d.meta.NamedResults[at]
			line := d.where("metadata", "named_results", at)
			if line == d.where("metadata", "named_results") { // the plan has the path with a slash in front
				line = d.where("metadata", "named_results", "/"+at)
			}
			n := of(name)
			switch {
			case name == "":
				r.mistakes.Add(line, d.name, "named_results[%q]: it has no name", at)
			case len(n.files) > 0:
				r.mistakes.Add(line, d.name, "named_results[%q]: %q is the name of a file of the plan, too", at, name)
			case len(n.results) > 0:
				r.mistakes.Add(line, d.name, "named_results[%q]: %q is the name of a result of job %s, too", at, name, n.results[0].job.name)
			}
			n.results = append(n.results, recResult{d, at, line})
		}
	}
	return names
}

// lookUp says what a name stands for in a job: its own file before all others, then one of the plan, of another job, or a result.
func (r *reader) lookUp(d *recDraft, names map[string]*recName, name, field string, line int) (file string, from *recResult) {
	n := names[name]
	if n == nil {
		r.mistakes.Add(line, d.name, "%s: nothing is called %.80q: neither named_data, nor the data or a named result of a job%s", field, name, near(name, slices.Sorted(maps.Keys(names))))
		return "", nil
	}
	for _, who := range []string{d.name, ""} {
		if file, ok := n.files[who]; ok {
			return file, nil
		}
	}
	different := slices.Compact(slices.Sorted(maps.Values(n.files)))
	switch {
	case len(different) > 1:
		r.mistakes.Add(line, d.name, "%s: %q is a different file in each of several jobs (%s): name it in the data of this job, too", field, name, strings.Join(different, ", "))
		return "", nil
	case len(different) == 1:
		return different[0], nil
	}
	return "", &n.results[0]
}

// recTake makes a job of ours of one of REC's.
func (r *reader) recTake(d *recDraft, names map[string]*recName) {
	m := &d.meta
	spec := map[string]any{"plain_env": true, "name": d.name}
	out := &draft{name: d.name, line: d.line, spec: spec, where: d.where}
	get := func(field, input, name, what string, line int) any {
		file, from := r.lookUp(d, names, name, what, line)
		switch {
		case from == nil && file == "":
			return string(Unread)
		case from == nil:
			out.files = append(out.files, File{Field: field, Input: input, Path: file, Line: line})
			return string(Unread)
		case field == Module:
			r.mistakes.Add(line, d.name, "%s: %q is a result of job %s; a module must be a file of the plan", what, name, from.job.name)
			return string(Unread)
		}
		part, ok := from.job.part(from.path)
		if !ok {
			r.mistakes.Add(line, d.name, "%s: %q is a directory of job %s, and one that is read as a zip is not supported yet: let that job name the files of it that are needed", what, name, from.job.name)
			return string(Unread)
		}
		spec["after_policy"] = job.AfterEnd
		return "job:" + from.job.name + "/" + part
	}
	if m.WasmModule == "" {
		r.mistakes.Add(d.line, d.name, "wasm_module is missing: the name of the module")
		spec["module"] = string(Unread)
	} else {
		spec["module"] = get(Module, "", m.WasmModule, "wasm_module", d.where("module"))
	}
	if m.StdinFile != "" {
		spec["stdin"] = get(Stdin, "", m.StdinFile, "stdin_file", d.where("stdin"))
	}
	inputs := map[string]any{}
	for _, at := range slices.Sorted(maps.Keys(m.Data)) {
		line := d.where("inputs", at)
		if line == d.where("inputs") {
			line = d.where("inputs", "/"+at)
		}
		inputs[at] = get(Input, at, m.Data[at], fmt.Sprintf("data[%q]", at), line)
	}
	spec["inputs"] = inputs
	if len(m.Argv) > 0 {
		spec["name"], spec["args"] = m.Argv[0], m.Argv[1:]
		if m.Argv[0] == "" {
			spec["name"] = d.name
		}
	}
	spec["env"], spec["dirs"], spec["outputs"] = recEnv(m.Env), m.Dirs, d.outputs()
	r.recResources(d, spec)
	spec["labels"] = r.recLabels(d)
	for field, v := range spec { // as JSON has it, for who looks at its parts
		b, err := json.Marshal(v)
		if err == nil {
			var plain any
			if json.Unmarshal(b, &plain) == nil && field != "resources" && field != "disk" {
				spec[field] = plain
			}
		}
		if spec[field] == nil {
			delete(spec, field)
		}
	}
	r.take(out)
}

// recResources asks for what the machine must have at least. Where REC asks for less than a job is given anyway it is given that.
func (r *reader) recResources(d *recDraft, spec map[string]any) {
	n := &d.need
	for _, x := range []struct {
		name  string
		value int64
	}{{"cpu_cores", n.CPUCores}, {"free_cpu_capacity", n.FreeCPUCapacity}, {"free_memory", n.FreeMemory}, {"free_disk_space", n.FreeDiskSpace}} {
		if x.value < 0 {
			r.mistakes.Add(d.where("resources", x.name), d.name, "capabilities.%s: it is negative", x.name)
		}
	}
	cpu := n.FreeCPUCapacity * 10 // percent of a core, as millicores
	if n.CPUCores > 1 {
		cpu = max(cpu, n.CPUCores*1000)
	}
	resources := map[string]any{}
	if cpu > job.DefaultCPU {
		resources["cpu"] = cpu
	}
	if n.FreeMemory > job.DefaultMemory {
		resources["memory"] = n.FreeMemory
	}
	spec["resources"] = resources
	if n.FreeDiskSpace > job.DefaultDisk {
		spec["disk"] = n.FreeDiskSpace
	}
}

// recEnv writes what is no text as Python does, in which REC is written.
func recEnv(env map[string]any) map[string]string {
	out := map[string]string{}
	for name, v := range env {
		switch v {
		case true:
			out[name] = "True"
		case false:
			out[name] = "False"
		default:
			out[name] = fmt.Sprint(v)
		}
	}
	return out
}

// wanted lists the paths that results and named_results name.
func (d *recDraft) wanted() []string {
	all := slices.Concat(d.meta.Results, slices.Collect(maps.Keys(d.meta.NamedResults)))
	slices.Sort(all)
	return slices.Compact(all)
}

// outputs are the outputs of the spec. A directory is kept whole, unless a file in it is named, too: then each file below it is an output.
// What stdout_file and stderr_file name is kept as stdout and stderr anyway.
func (d *recDraft) outputs() (out []string) {
	all := d.wanted()
	for _, p := range all {
		within := slices.ContainsFunc(all, func(q string) bool { return strings.HasPrefix(q, p+"/") && !d.isStream(q) })
		covered := slices.ContainsFunc(all, func(q string) bool { return strings.HasPrefix(p, q+"/") })
		switch {
		case d.isStream(p), covered:
		case d.dirs[p] && !within:
			out = append(out, p+"/")
		default:
			out = append(out, p)
		}
	}
	return out
}

func (d *recDraft) isStream(p string) bool {
	return p != "" && (p == d.meta.StdoutFile || p == d.meta.StderrFile)
}

// part is what another job reads of this one where it reads a path; ok is false for a directory.
func (d *recDraft) part(p string) (part string, ok bool) {
	switch p {
	case d.meta.StdoutFile:
		return "stdout", true
	case d.meta.StderrFile:
		return "stderr", true
	}
	isDir := d.dirs[p] || slices.ContainsFunc(d.wanted(), func(q string) bool { return strings.HasPrefix(q, p+"/") })
	return "out/" + p, !isDir
}
