package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/plan"
)

const arrayHelp = `
With --array or --each it runs many jobs, one for each index or each line. In the job's
arguments and in the values of flags {index} stands for the index, and {} for the line (of
--array, for the index, too); {{}} and {{index}} are these words themselves. The jobs are
called ID.INDEX and have the label array=ID, by which all verbs choose them. What they
write is printed in the order of their indices; the --output files of each are in a
directory with its ID. The exit code is 0 when all have succeeded, else 1. With
--after-each OTHER each waits for the job with its index of the array OTHER; with
--after OTHER each waits for all of that array, as a single job may, too.`

// maxArray bounds the jobs of one command.
const maxArray = plan.MaxJobs

// The labels of all jobs of an array.
const (
	arrayLabel   = "array"         // the array's ID
	indicesLabel = "array-indices" // its indices, as 0-999, where they are not too long for a label: so any of them says how many there are
)

// element is one job of an array: its index, and the text that {} stands for.
type element struct {
	index int
	text  string
}

// elements lists what --array or --each ask for; none where neither is given.
func (f *runFlags) elements(files *sources) ([]element, error) {
	switch {
	case f.array != "" && f.each != "":
		return nil, errors.New("--array and --each: say one of them")
	case f.array != "":
		return parseArray(f.array)
	case f.each == "":
		return nil, nil
	}
	content, err := files.open("--each", f.each)
	if err != nil {
		return nil, err
	}
	r, err := content()
	if err != nil {
		return nil, fmt.Errorf("--each: %w", err)
	}
	defer r.Close()
	var out []element
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, job.MaxSpec)
	for lines.Scan() {
		text := strings.TrimSuffix(lines.Text(), "\r")
		if len(out) == 0 {
			text = strings.TrimPrefix(text, string(byteOrderMark))
		}
		if out = append(out, element{len(out), text}); len(out) > maxArray {
			return nil, fmt.Errorf("--each: %s has more than the %d lines that are allowed", f.each, maxArray)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--each: line %d of %s: %w", len(out)+1, f.each, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--each: %s has no lines", f.each)
	}
	return out, nil
}

// parseArray reads indices as 0-999, or 1,3,7-9.
func parseArray(text string) ([]element, error) {
	indices, ok := job.ParseIndices(text)
	if !ok {
		return nil, fmt.Errorf("--array %q: write indices such as 0-999 or 1,3,7-9, the smaller one first and each once, at most %d", text, maxArray)
	}
	var out []element
	for _, i := range indices {
		out = append(out, element{i, strconv.Itoa(i)})
	}
	return out, nil
}

// fill returns the flags and the arguments of one job of the array, with its index and text in their places.
func (f runFlags) fill(e element, args []string) (*runFlags, []string) {
	in := strings.NewReplacer("{{}}", "{}", "{{index}}", "{index}", "{index}", strconv.Itoa(e.index), "{}", e.text).Replace
	list := func(texts []string) (out []string) {
		for _, t := range texts {
			out = append(out, in(t))
		}
		return out
	}
	pairs := func(v *pairsValue) {
		filled := map[string]string{}
		for name, value := range v.pairs {
			filled[in(name)] = in(value)
		}
		v.pairs = filled
	}
	for _, v := range []*pairsValue{&f.inputs, &f.env, &f.labels, &f.puts} {
		pairs(v)
	}
	for _, s := range []*string{&f.name, &f.stdin, &f.exclusive} {
		*s = in(*s)
	}
	f.outputs, f.dirs, f.after, f.constraints = list(f.outputs), list(f.dirs), list(f.after), list(f.constraints)
	for _, other := range f.afterEach {
		f.after = append(f.after, string(elementID(job.ID(other), e.index)))
	}
	return &f, list(args)
}

// elementID is the ID of one job of an array.
func elementID(array job.ID, index int) job.ID { return job.ID(fmt.Sprintf("%s.%d", array, index)) }

// array is the jobs of one `ucp run --array` or `--each`.
type array struct {
	id    job.ID
	jobs  []api.BatchJob
	flags []*runFlags // of each
	sent  digests
}

// runMany is the life of a `ucp run` of many jobs.
func (c *cli) runMany(ctx context.Context, client *api.Client, f *runFlags, file string, args []string, elements []element, files *sources) error {
	a, err := f.arrayOf(elements, file, args)
	if err != nil {
		return err
	}
	line := c.newProgress()
	defer line.clear()
	if err := c.submitArray(ctx, client, a, files, file, line); err != nil {
		if errors.Is(err, errInterrupted) {
			return fmt.Errorf("interrupted; jobs of array %s that were taken before go on: end them with `ucp job cancel --label array=%[1]s`", a.id)
		}
		return err
	}
	line.erase()
	if f.detach {
		return c.show(map[string]any{"array": a.id, "submitted": len(a.jobs)}, func(w io.Writer) { row(w, a.id) })
	}
	count := func(ctx context.Context) (map[job.State]int, error) {
		return client.CountJobs(ctx, api.ListOptions{Labels: []string{arrayLabel + "=" + string(a.id)}})
	}
	var ids []string
	for i := range a.jobs {
		ids = append(ids, string(a.jobs[i].ID))
	}
	bad := failures{of: len(ids)}
	at, ended, deliver := 0, []api.Job{}, c.deliver
	if c.format == formatJSON {
		deliver = c.deliverFiles
	}
	err = c.awaitMany(ctx, client, ids, f.patience, count, func(j api.Job) error {
		own := a.flags[at]
		at++
		own.to = filepath.Join(f.to, string(j.ID))
		ended = append(ended, j)
		err := deliver(ctx, client, own, &j)
		var code *exitCode
		if errors.As(err, &code) {
			bad.add("%s %s", j.ID, howEnded(&j))
			return nil
		}
		return err
	})
	if c.format == formatJSON { // also of a wait that was interrupted: those that had ended
		if err := c.show(map[string]any{"array": a.id, "jobs": ended}, nil); err != nil {
			return err
		}
	}
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("interrupted; the jobs of array %s go on: follow them with `ucp job wait --label array=%[1]s`, or end them with `ucp job cancel --label array=%[1]s`", a.id)
	}
	if err != nil {
		return err
	}
	return bad.err("jobs have not succeeded:")
}

// arrayOf makes the jobs, as far as they need no upload. All is checked here that flags and arguments can get wrong.
func (f *runFlags) arrayOf(elements []element, file string, args []string) (*array, error) {
	id, err := chooseID(f.id)
	if err != nil {
		return nil, err
	}
	last := elementID(id, elements[len(elements)-1].index)
	switch {
	case !label.ValidName(string(last)):
		return nil, fmt.Errorf("--id %q: the jobs of the array would be called such as %q, and an ID has at most 64 characters", id, last)
	case f.dryRun:
		return nil, errors.New("--dry-run is of one job: leave --array and --each away")
	case f.patience.place > 0:
		return nil, errors.New("--place-timeout is of one job: of many, most wait for their turn")
	case f.labels.pairs[arrayLabel] != "":
		return nil, fmt.Errorf("--label %s=...: with --array and --each this label is the array's ID; choose that with --id", arrayLabel)
	case f.labels.pairs[indicesLabel] != "":
		return nil, fmt.Errorf("--label %s=...: with --array and --each this label says the indices", indicesLabel)
	}
	var all []int
	for _, e := range elements {
		all = append(all, e.index)
	}
	indices := job.FormatIndices(all)
	a := &array{id: id}
	for _, e := range elements {
		own, args := f.fill(e, args)
		own.labels.pairs[arrayLabel] = string(id)
		if len(indices) <= label.MaxValue {
			own.labels.pairs[indicesLabel] = indices
		}
		spec, err := own.spec(args)
		if err == nil && spec.Name == "" && spec.Driver == job.Wasm {
			spec.Name = nameOf(file)
		}
		if err == nil {
			err = checkText(spec, own, file)
		}
		if err != nil {
			return nil, fmt.Errorf("index %d: %w", e.index, err)
		}
		a.flags = append(a.flags, own)
		a.jobs = append(a.jobs, api.BatchJob{ID: elementID(id, e.index), Spec: spec})
	}
	if f.each != "" && !f.tellsApart(args) {
		return nil, errors.New("--each: nothing says where the line belongs: write {} there, as in `-- {}`")
	}
	return a, nil
}

// tellsApart reports whether {} stands anywhere.
func (f *runFlags) tellsApart(args []string) bool {
	texts := slices.Concat(args, f.outputs, f.dirs, f.after, f.constraints, []string{f.name, f.stdin, f.exclusive})
	for _, v := range []pairsValue{f.inputs, f.env, f.labels, f.puts} {
		texts = slices.AppendSeq(slices.AppendSeq(texts, maps.Keys(v.pairs)), maps.Values(v.pairs))
	}
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ReplaceAll(t, "{{}}", ""), "{}") })
}

// Bounds of the batches in which an array is submitted.
const (
	arrayBatch      = 500
	arrayBatchBytes = api.MaxBatchBytes / 2
	batchesAtOnce   = 4
)

// submitArray sends the files of all jobs, and then the jobs. Its error says which ones were not taken.
func (c *cli) submitArray(ctx context.Context, client *api.Client, a *array, files *sources, file string, line *progress) error {
	prepare := func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, c.sendAll(ctx, client, files, a.flags[i], file, &a.jobs[i].Spec, &a.sent)
	}
	if _, err := prepare(ctx, 0); err != nil { // what all have in common is sent once
		return fmt.Errorf("%s: %w; no job was submitted", a.jobs[0].ID, err)
	}
	err := pipelined(ctx, len(a.jobs), atOnce, prepare, func(i int, _ struct{}, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w; no job was submitted", a.jobs[i].ID, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	batches, err := inBatches(a.jobs, arrayBatch)
	if err != nil {
		return err
	}
	first := a.flags[0]
	submit := func(ctx context.Context, i int) ([]api.BatchLine, error) {
		lines, _, err := client.SubmitBatch(ctx, batches[i], api.SubmitOptions{Timeout: first.ackWithin, Token: first.token})
		return lines, err
	}
	bad, few, taken, warned := failures{of: len(a.jobs)}, map[string]int{}, 0, map[string]bool{}
	err = pipelined(ctx, len(batches), batchesAtOnce, submit, func(i int, lines []api.BatchLine, err error) error {
		if err != nil {
			return fmt.Errorf("submitting the jobs: %w; %d of %d were taken before, and perhaps more: say the same again with `--id %s` to submit the others", err, taken, len(a.jobs), a.id)
		}
		for _, l := range lines {
			switch {
			case l.Error != nil:
				bad.add("%s: %v", l.ID, l.Error)
				continue
			case l.Degraded:
				few[fewCopies(l.Replicas, l.Wanted)]++
			}
			for _, text := range l.Warnings { // of most jobs it is the same
				if !warned[text] {
					warned[text] = true
					c.warn(l.ID, []string{text})
				}
			}
			taken++
		}
		line.show(fmt.Sprintf("submitted %d of %d jobs", taken, len(a.jobs)))
		return nil
	})
	line.erase()
	for _, text := range slices.Sorted(maps.Keys(few)) {
		fmt.Fprintf(c.err, "ucp: %d of %d jobs are saved on %s\n", few[text], taken, text)
	}
	if err == nil {
		others := ", the others go on"
		if taken == 0 {
			others = ""
		}
		err = bad.err(fmt.Sprintf("jobs of array %s were not taken%s:", a.id, others))
	}
	return err
}

// inBatches cuts jobs into what one request may hold, at most so many.
func inBatches(jobs []api.BatchJob, most int) (out [][]api.BatchJob, err error) {
	from, size := 0, 0
	for i := range jobs {
		line, err := json.Marshal(&jobs[i])
		if err != nil {
			return nil, fmt.Errorf("encoding the spec of job %s: %w", jobs[i].ID, err)
		}
		if i-from == most || size+len(line) > arrayBatchBytes {
			out = append(out, jobs[from:i])
			from, size = i, 0
		}
		size += len(line) + 1
	}
	return append(out, jobs[from:]), nil
}

// digests remembers which files the broker has been sent, so that each is sent once.
type digests struct {
	mu sync.Mutex
	to map[string]job.Digest // by path
}

// once returns the digest of a file, which it has sent by send unless that was done before.
func (d *digests) once(path string, send func() (job.Digest, error)) (job.Digest, error) {
	d.mu.Lock()
	known, ok := d.to[path]
	d.mu.Unlock()
	if ok {
		return known, nil
	}
	sum, err := send()
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.to == nil {
			d.to = map[string]job.Digest{}
		}
		d.to[path] = sum
	}
	return sum, err
}
