package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// A job may read what another one has left (rule C6): where a spec names the blob of an input, or of stdin, it may say
// "job:ID/out/PATH", "job:ID/stdout" or "job:ID/stderr" instead. Which blob that is, is known when that job has ended: its
// end is noted in the record of the one that reads, with the blobs that are read of it (see Ending). So the spec never
// changes, and the job that was read may be forgotten.
//
// It may read named data just so (rule D6): "data:NAME". What that stands for is noted when the job is to be placed, as the ending
// of a predecessor of that name is, which no job can have. A prefix, "data:PREFIX/", stands for a directory of all that is there below it
// then: what is noted is one ending, which lists the names.
//
// Named data may be the module, too (rule D8): what it stands for is noted when the job is submitted, in the same way.

const (
	sourcePrefix = "job:"
	dataPrefix   = "data:"
	outputPrefix = "out/"
	maxSources   = 256 // inputs of one job that come from others; as many as a job has outputs

	// MaxPrefixes is how many prefixes of data one job may read.
	MaxPrefixes = 2
	// MaxBelow is how many names of data a prefix may stand for.
	MaxBelow = maxSources
)

// Source is what a job reads of another one, or of named data.
type Source struct {
	Job  ID     // of named data "data:" and its name
	Part string // "stdout", "stderr", or "out/" and the path of an output, as a result lists it; of named data [DataFile] or [DataDirectory], and "" of a prefix
}

// The parts of named data.
const (
	DataFile      = "data"
	DataDirectory = "data/"
)

func (s Source) String() string {
	if _, ok := s.Job.Data(); ok {
		return string(s.Job)
	}
	return sourcePrefix + string(s.Job) + "/" + s.Part
}

// DataID is how named data stands among the predecessors of a job that reads it.
func DataID(name string) ID { return ID(dataPrefix + name) }

// Data returns the name of the data, or a prefix with its slash, where an ID stands for that.
func (id ID) Data() (name string, ok bool) {
	name, ok = strings.CutPrefix(string(id), dataPrefix)
	return name, ok && label.ValidPath(strings.TrimSuffix(name, "/"))
}

// isRead reports whether an ID is that of a job, or stands for named data.
func (id ID) isRead() bool {
	_, ok := id.Data()
	return ok || label.ValidName(string(id))
}

// IsSource reports whether the text of an input says what another job leaves, or names data, and names no blob.
func IsSource(text string) bool {
	return strings.HasPrefix(text, sourcePrefix) || strings.HasPrefix(text, dataPrefix)
}

// isBlob reports whether the text of an input names a blob, and not where one will come from.
func isBlob(text string) bool { return !strings.Contains(text, ":") }

// sourceAt reads the text of the input at a path as a source; ok is false where it is none, or not well formed.
func sourceAt(path, text string) (s Source, ok bool) {
	if name, isData := strings.CutPrefix(text, dataPrefix); isData {
		s = Source{Job: DataID(name), Part: DataFile}
		if IsDirectory(path) {
			s.Part = DataDirectory
			if isPrefix(text) {
				s.Part = ""
				return s, true
			}
		}
		return s, label.ValidPath(name)
	}
	return sourceOf(text)
}

// sourceOf reads the text of an input as a part of another job; ok is false where it is none, or not well formed.
func sourceOf(text string) (s Source, ok bool) {
	rest, ok := strings.CutPrefix(text, sourcePrefix)
	if !ok {
		return s, false
	}
	id, part, _ := strings.Cut(rest, "/")
	s = Source{Job: ID(id), Part: part}
	path, isOutput := strings.CutPrefix(part, outputPrefix)
	path = strings.ReplaceAll(path, `\`, "_") // how outputs are named whose names are no UTF-8
	return s, label.ValidName(id) && (IsStream(part) || isOutput && checkFilePath("", path) == nil)
}

// checkSource refuses what is neither the digest of a blob nor a source that fits: a directory is read of a directory.
func checkSource(field, text string, directory bool) error {
	if ValidDigest(text) {
		return nil
	}
	if name, isData := strings.CutPrefix(text, dataPrefix); isData {
		if isPrefix(text) && !directory {
			return fieldError(field, "%.80q is a directory of all data below it, and this is a file: write a slash at the end of both, or of neither", text)
		}
		if !label.ValidPath(name) && !isPrefix(text) {
			return fieldError(field, "%.80q; want data: and a name, such as data:sensors/quake/today", text)
		}
		return nil
	}
	if !strings.HasPrefix(text, sourcePrefix) {
		return fieldError(field, "%.80q is neither the SHA-256 of an uploaded blob nor what another job leaves, job:ID/out/PATH, nor named data, data:NAME", text)
	}
	s, ok := sourceOf(text)
	switch {
	case !ok:
		return fieldError(field, "%.80q; want job:ID/out/PATH, job:ID/stdout or job:ID/stderr", text)
	case IsDirectory(s.Part) != directory && directory:
		return fieldError(field, "it is a directory, and %.80q is a file; write a slash at the end of both, or of neither", text)
	case IsDirectory(s.Part) != directory:
		return fieldError(field, "it is a file, and %.80q is a directory; write a slash at the end of both, or of neither", text)
	}
	return nil
}

// Sources lists what the job reads of others, each once, sorted.
func (s *Spec) Sources() (out []Source) {
	for _, text := range []Digest{s.Module, s.Stdin} {
		if from, ok := sourceAt("", string(text)); ok {
			out = append(out, from)
		}
	}
	for path, text := range s.Inputs {
		if from, ok := sourceAt(path, text); ok {
			out = append(out, from)
		}
	}
	slices.SortFunc(out, func(a, b Source) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Part, b.Part)) })
	return slices.Compact(out)
}

// isPrefix reports whether a text names all data below a prefix, which ends with a slash.
func isPrefix(text string) bool {
	name, isData := strings.CutPrefix(text, dataPrefix)
	name, slash := strings.CutSuffix(name, "/")
	return isData && slash && label.ValidPath(name)
}

// maxNamedOutputs bounds the outputs of one job that become named data.
const maxNamedOutputs = 64

// checkNamedOutputs checks which outputs become which named data (rule D7): each is one of the outputs, and no two have one name.
func (s *Spec) checkNamedOutputs() error {
	if len(s.NamedOutputs) > maxNamedOutputs {
		return fieldError("named_outputs", "%d of them; at most %d are allowed: let some be a directory", len(s.NamedOutputs), maxNamedOutputs)
	}
	var buf [8]string
	by := map[string]string{}
	for _, p := range appendKeys(buf[:0], s.NamedOutputs) {
		name := s.NamedOutputs[p]
		field := fmt.Sprintf("named_outputs[%q]", p)
		switch {
		case !slices.Contains(s.Outputs, p):
			return fieldError(field, "it is none of the outputs; list it there, too")
		case !label.ValidPath(name):
			return fieldError(field, "%.80q is no name of data; want one such as sensors/quake/today", name)
		case by[name] != "":
			return fieldError(field, "%q has the name %s already", by[name], name)
		}
		by[name] = p
	}
	return nil
}

// ModuleName returns the name of the data that is the job's module, where the spec names it so (rule D8).
func (s *Spec) ModuleName() (name string, ok bool) {
	name, ok = ID(s.Module).Data()
	return name, ok && !isPrefix(string(s.Module))
}

// Module returns the digest of the job's module: what its spec names, or, where that names data, what the record notes that it
// stands for. It is "" where there is none, or that is not noted yet.
func (r *Record) Module() Digest { return r.resolve("", string(r.Spec.Module)) }

// ModuleVersion returns how the record notes which version of named data is the module; ok is false where the spec names no data,
// or nothing is noted yet.
func (r *Record) ModuleVersion() (e Ending, ok bool) {
	if _, named := r.Spec.ModuleName(); !named {
		return e, false
	}
	return r.endingOf(ID(r.Spec.Module))
}

// Data lists the names of the data that the job reads, its module among them, each once, sorted.
func (s *Spec) Data() (names []string) {
	for _, from := range s.Sources() {
		if name, ok := from.Job.Data(); ok && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
	}
	return names
}

// WaitsForData lists the names of the data that the job reads, and of which its record does not note yet what they stand for
// (rule D6).
func (r *Record) WaitsForData() (names []string) {
	return slices.DeleteFunc(r.Spec.Data(), func(name string) bool {
		_, noted := r.endingOf(DataID(name))
		return noted
	})
}

// waitForSources lets the job run after those that it reads of.
func (s *Spec) waitForSources() {
	for _, from := range s.Sources() {
		if _, isData := from.Job.Data(); !isData && !slices.Contains(s.After, from.Job) {
			s.After = append(s.After, from.Job)
		}
	}
}

// checkSources bounds what is read of others, and demands that the job runs after them.
func (s *Spec) checkSources() error {
	sources := s.Sources()
	if len(sources) > maxSources {
		return fieldError("inputs", "%d of them come from other jobs; at most %d may: let those leave a directory", len(sources), maxSources)
	}
	for _, from := range sources {
		if _, isData := from.Job.Data(); !isData && !slices.Contains(s.After, from.Job) {
			return fieldError("after", "the inputs read of job %s, which is not among them", from.Job)
		}
	}
	prefixes := 0
	for _, name := range s.Data() {
		if strings.HasSuffix(name, "/") {
			prefixes++
		}
	}
	if prefixes > MaxPrefixes {
		return fieldError("inputs", "%d of them are all data below a prefix; at most %d may: let jobs between gather some", prefixes, MaxPrefixes)
	}
	if n := len(s.Data()); n > 0 && n+len(s.After) > maxAfter {
		return fieldError("inputs", "%d names of data and %d jobs to run after; at most %d together", n, len(s.After), maxAfter)
	}
	return nil
}

// part returns what of a result a source names.
func (r *Result) part(name string) (Digest, bool) {
	var b *Blob
	switch name {
	case "stdout":
		b = r.Stdout
	case "stderr":
		b = r.Stderr
	default:
		if x, ok := r.Outputs[strings.TrimPrefix(name, outputPrefix)]; ok {
			b = &x
		}
	}
	if b == nil {
		return "", false
	}
	return b.Digest, true
}

// parts lists what of a result may be read, for people.
func (r *Result) parts() (out []string) {
	if r.Stdout != nil {
		out = append(out, "stdout")
	}
	if r.Stderr != nil {
		out = append(out, "stderr")
	}
	for _, path := range sortedKeys(r.Outputs) {
		out = append(out, outputPrefix+path)
	}
	return out
}

// left is the result of a finished job: that of its end, or, where it ended without one, what its last attempt had written.
func (r *Record) left() *Result {
	for _, rep := range []*Report{r.Accepted(), r.Left()} {
		if rep != nil && rep.Result != nil {
			return rep.Result
		}
	}
	return nil
}

// Empty is the digest of no bytes: what a job is given that reads the stdout or stderr of one that wrote nothing there. Every
// broker holds this blob, always.
const Empty Digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// read returns what a job reads of this one, which has ended, by part: without what this one has not left.
func (r *Record) read(by *Spec) map[string]Digest {
	var out map[string]Digest
	res := r.left()
	for _, from := range by.Sources() {
		if from.Job != r.ID || res == nil {
			continue
		}
		d, ok := res.part(from.Part)
		if !ok && IsStream(from.Part) {
			d, ok = Empty, true
		}
		if ok {
			if out == nil {
				out = map[string]Digest{}
			}
			out[from.Part] = d
		}
	}
	return out
}

// IsStream reports whether a source's part is stdout or stderr.
func IsStream(part string) bool { return part == "stdout" || part == "stderr" }

// Lacking returns the first source that a predecessor has not left which has ended (rule C6); ok is false if there is none.
func (r *Record) Lacking() (s Source, ok bool) {
	for _, from := range r.Spec.Sources() {
		e, ended := r.endingOf(from.Job)
		if _, has := e.Read[from.Part]; ended && !has && from.Part != "" {
			return from, true
		}
	}
	return s, false
}

// WhyLacking says that a job which has ended left nothing at a source, and what it has left; x is nil where it is not known any more.
func (s Source) WhyLacking(x *Record) string {
	name, isData := s.Job.Data()
	switch {
	case isData && s.Part == DataDirectory:
		return fmt.Sprintf("it reads data %s as a directory, and that is a file: leave out the slash at the end of the input's path", name)
	case isData:
		return fmt.Sprintf("it reads data %s as a file, and that is a directory: write a slash at the end of the input's path", name)
	case x == nil || x.IsStub():
		return fmt.Sprintf("it reads %s of job %s, of which no output is kept any more", s.Part, s.Job)
	case x.left() == nil || len(x.left().parts()) == 0:
		return fmt.Sprintf("it reads %s of job %s, which has left nothing", s.Part, s.Job)
	}
	const most = 8
	parts, more := x.left().parts(), ""
	if len(parts) > most {
		parts, more = parts[:most], fmt.Sprintf(" and %d more", len(parts)-most)
	}
	hint := ""
	for _, part := range x.left().parts() {
		if IsDirectory(part) && strings.HasPrefix(s.Part, part) {
			hint = fmt.Sprintf("; of a directory all can be read: --input DIR/=%s", Source{s.Job, part})
		}
	}
	return fmt.Sprintf("it reads %s of job %s, which has left %s%s%s", s.Part, s.Job, strings.Join(parts, ", "), more, hint)
}

func (r *Record) endingOf(id ID) (Ending, bool) {
	i, ok := slices.BinarySearchFunc(r.Ended, id, func(e Ending, id ID) int { return cmp.Compare(e.Job, id) })
	if !ok {
		return Ending{}, false
	}
	return r.Ended[i], true
}

// resolve returns the blob that the text of the input at a path stands for, "" where that is not known yet.
func (r *Record) resolve(path, text string) Digest {
	from, ok := sourceAt(path, text)
	if !ok {
		return Digest(text)
	}
	e, _ := r.endingOf(from.Job)
	return e.Read[from.Part]
}

// Resolved returns the spec as an executor carries it out: with the blobs in the place of what is read of other jobs, as
// their ends are noted now. The record must wait for no end (see Waits), and lack nothing (see Lacking).
func (r *Record) Resolved() Spec {
	s := r.Spec
	if len(s.Sources()) == 0 {
		return s
	}
	s.Module, s.Stdin = r.Module(), r.resolve("", string(s.Stdin))
	s.Inputs = make(map[string]string, len(r.Spec.Inputs))
	for path, text := range r.Spec.Inputs {
		if !isPrefix(text) {
			s.Inputs[path] = string(r.resolve(path, text))
			continue
		}
		e, _ := r.endingOf(ID(text))
		for below, d := range e.Read {
			s.Inputs[path+below] = string(d)
		}
	}
	return s
}

// Needs lists the blobs that an executor must hold before it can start the job: those that its spec names, and what it
// reads of other jobs, as far as that is known; and the checkpoint from which it goes on, until it has ended. [Empty], which every broker has, is not among the latter.
func (r *Record) Needs() []Digest {
	out := r.Spec.Blobs()
	for _, from := range r.Spec.Sources() {
		e, _ := r.endingOf(from.Job)
		for _, part := range sortedKeys(e.Read) {
			if d := blobAt(part, e.Read[part]); (part == from.Part || from.Part == "") && d != Empty && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	if c := r.Checkpoint; c != nil && !r.Finished() {
		if d := TreeOf(c.Tree); !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// Reading says of which end of another job an attempt has read (rule C6): that job, and when and by whom that end was
// written. So of a job that ran twice it can be seen on what.
type Reading struct {
	Job ID           `codec:"job" json:"job"`
	At  clock.Hybrid `codec:"at" json:"-"`
	By  clock.Actor  `codec:"by" json:"-"`
}

// Readings lists the ends of other jobs of which an attempt that begins now reads, sorted by job.
func (r *Record) Readings() (out []Reading) {
	for _, e := range r.Ended {
		if len(e.Read) > 0 {
			out = append(out, Reading{Job: e.Job, At: e.At, By: e.By})
		}
	}
	return out
}

func (r *Result) readsValid() bool {
	return len(r.Read) <= maxAfter && canon.Ascending(r.Read, func(a, b Reading) int { return cmp.Compare(a.Job, b.Job) }) &&
		!slices.ContainsFunc(r.Read, func(x Reading) bool { return !x.Job.isRead() || x.By == "" })
}

// compareReads orders what two copies of one ending say is read of it: the fuller one goes first, since who knows the
// ended job by its stub alone knows of no output.
func compareReads(a, b map[string]Digest) int {
	if c := cmp.Compare(len(b), len(a)); c != 0 || len(a) == 0 {
		return c
	}
	return cmp.Compare(readText(a), readText(b))
}

func readText(m map[string]Digest) string {
	var b strings.Builder
	for _, part := range sortedKeys(m) {
		fmt.Fprintf(&b, "%s %s\n", part, m[part])
	}
	return b.String()
}

// readsValid reports whether an ending's reads are those of a source each: which the spec has is not asked, since a newer
// broker may know more of them.
func (e *Ending) readsValid() bool {
	if len(e.Read) > maxSources {
		return false
	}
	name, isData := e.Job.Data()
	if isData && strings.HasSuffix(name, "/") {
		for below, d := range e.Read {
			if !label.ValidPath(strings.TrimSuffix(below, "/")) || !ValidDigest(string(d)) {
				return false
			}
		}
		return len(e.Read) > 0
	}
	if isData {
		return len(e.Read) == 1 && (ValidDigest(string(e.Read[DataFile])) || ValidDigest(string(e.Read[DataDirectory])))
	}
	for part, d := range e.Read {
		if _, ok := sourceOf((Source{e.Job, part}).String()); !ok || !ValidDigest(string(d)) {
			return false
		}
	}
	return true
}
