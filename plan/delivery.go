package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/label"
)

// The labels that say how REC hands over what a job leaves, so that whoever fetches it, from any broker, needs no plan.
const (
	labelReceiver = "rec-receiver"
	labelStdout   = "rec-stdout"
	labelStderr   = "rec-stderr"
	labelResult   = "rec-result." // and a number: a path
	labelName     = "rec-name."   // and a number: a name of data
	labelPath     = "rec-path."   // and the same number: the path of that result
)

// Delivery says how what a job of REC's leaves is handed over: its results as one archive, and its named results each as a file, a directory
// as an archive. The zero value is that of all other jobs.
type Delivery struct {
	Receiver       string            // an endpoint; "" where nobody is to get the results
	Stdout, Stderr string            // where they are in the job's directory, or ""
	Results        []string          // paths of the archive
	Named          map[string]string // name -> path
}

// Is reports whether the job is of a plan of REC's.
func (d *Delivery) Is() bool {
	return d.Receiver+d.Stdout+d.Stderr != "" || len(d.Results)+len(d.Named) > 0
}

// recLabels writes a delivery into the labels of a spec.
func (r *reader) recLabels(d *recDraft) map[string]string {
	m := &d.meta
	out := map[string]string{}
	set := func(name, value, field string) {
		if value == "" {
			return
		}
		if !label.ValidLabel(name, value) {
			r.mistakes.Add(d.where("metadata", field), d.name, "%s: %.80q is too long, or has control characters: at most %d bytes are kept", field, value, label.MaxValue)
			return
		}
		out[name] = value
	}
	if m.ResultsReceiver != "dtn:none" {
		set(labelReceiver, m.ResultsReceiver, "results_receiver")
	}
	set(labelStdout, m.StdoutFile, "stdout_file")
	set(labelStderr, m.StderrFile, "stderr_file")
	for i, p := range m.Results {
		set(labelResult+strconv.Itoa(i+1), p, "results")
	}
	for i, at := range slices.Sorted(maps.Keys(m.NamedResults)) {
		set(labelName+strconv.Itoa(i+1), m.NamedResults[at], "named_results")
		set(labelPath+strconv.Itoa(i+1), at, "named_results")
	}
	return out
}

// DeliveryOf reads a delivery from the labels of a spec.
func DeliveryOf(labels map[string]string) Delivery {
	d := Delivery{Receiver: labels[labelReceiver], Stdout: labels[labelStdout], Stderr: labels[labelStderr], Named: map[string]string{}}
	for i := 1; labels[fmt.Sprint(labelResult, i)] != ""; i++ {
		d.Results = append(d.Results, labels[fmt.Sprint(labelResult, i)])
	}
	for name, value := range labels {
		if n, ok := strings.CutPrefix(name, labelName); ok && labels[labelPath+n] != "" {
			d.Named[value] = labels[labelPath+n]
		}
	}
	return d
}
