package httpd

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// unshown are the fields of a job's record that GET /v1/jobs/{id} does not show, each with the reason.
var unshown = map[string]string{
	"clock.Dot.Counter":       "dots are for brokers",
	"job.Assignment.Actor":    "the broker is shown; how often it was started is of no interest",
	"job.Dependency.Job":      "what a submitter had seen is in its causal token",
	"job.Ending.At":           "the predecessor's own record tells how it ended; why shows what a job waits for",
	"job.Ending.By":           "as job.Ending.At",
	"job.Ending.Job":          "as job.Ending.At",
	"job.Ending.Outcome":      "as job.Ending.At",
	"job.Ending.Sealed":       "as job.Ending.At",
	"job.Ending.Read":         "the spec says what is read, and each result of which ends",
	"job.Placement.NotBefore": "why shows the pause before a retry",
	"job.Record.Loading":      "the state says whether the placed attempt loads",
	"job.Record.Seal":         "the end that it decides is shown, and superseded what it decides against",
	"job.Report.Result":       "its fields are shown",
	"job.Result.Permanent":    "it is for the owner, which makes no retry then",
}

// A field of a record that view and accepted forget is not known to clients.
func TestEveryFieldIsShown(t *testing.T) {
	shown := map[string]bool{}
	for _, finished := range []bool{true, false} {
		r := fullRecord(finished)
		before := asShown(t, r)
		eachValue(reflect.ValueOf(r).Elem(), "", func(name string, v reflect.Value) {
			old := reflect.New(v.Type()).Elem()
			old.Set(v)
			change(v)
			shown[name] = shown[name] || asShown(t, r) != before
			v.Set(old)
		})
	}
	for name, ok := range shown {
		switch reason, listed := unshown[name]; {
		case !ok && !listed:
			t.Errorf("%s: GET /v1/jobs/{id} does not show it; add it to api.Job and to view or accepted in node/httpd/jobs.go, or list it in unshown with the reason", name)
		case ok && listed:
			t.Errorf("%s: it is shown, so it does not belong into unshown (%s)", name, reason)
		}
	}
	for name := range unshown {
		require.Contains(t, shown, name, "unshown lists what is not a field")
	}
}

func asShown(t *testing.T, r *job.Record) string {
	b, err := json.Marshal((&Server{host: nil}).view(&broker.Found{Record: r, First: true}, true))
	require.NoError(t, err)
	return string(b)
}

// fullRecord returns a record with an element in each collection: of a job that has a verdict or runs.
func fullRecord(finished bool) *job.Record {
	dot := clock.Dot{Actor: "a~1", Counter: 1}
	r := job.New("j", job.Spec{Driver: job.Process, Command: "true"}, job.Digest("00000000000000000000000000000000"),
		job.Stamp{Dot: dot, At: 1 << 30, Deps: []job.Dependency{{Job: "k", Dot: dot}}})
	attempt := job.Attempt{Tenure: r.Owner.Tenure, Seq: 2}
	r.Place = job.Placement{Attempt: attempt, Broker: "x", Actor: "x~1", Try: 1}
	report := func(by clock.Actor, seq uint64) job.Report {
		code := 3
		return job.Report{
			Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: seq}, Dot: clock.Dot{Actor: by, Counter: 1}, At: 1 << 40, Phase: job.Done,
			Result: &job.Result{Outcome: job.Failed, ExitCode: &code, Stdout: &job.Blob{Digest: "o"}, Stderr: &job.Blob{Digest: "e"}, Outputs: map[string]job.Blob{"f": {}}},
		}
	}
	r.Ended = []job.Ending{{Job: "p", At: 1, By: "a~1", Outcome: job.Succeeded}}
	r.Pauses = []job.Pause{{By: "x~1", From: 1, For: "k", Mode: job.Suspend}}
	r.Returns = []job.Return{{Attempt: attempt, By: "y~1", At: 1 << 39, Reason: "no space left"}}
	r.Reports = []job.Report{report("x~1", 2), report("y~1", 1)}
	if !finished {
		r.Reports[0].Phase, r.Reports[0].Result = job.Running, nil
		return r
	}
	won, lost := report("x~1", 2), report("y~1", 1)
	r.Verdicts = []job.Verdict{
		{At: 1 << 41, Dot: clock.Dot{Actor: "a~1", Counter: 9}, Outcome: job.Failed, Report: &won},
		{At: 1 << 42, Dot: clock.Dot{Actor: "b~1", Counter: 9}, Outcome: job.Failed, Report: &lost},
	}
	return r
}

// eachValue visits the encoded fields of a struct and of the structs in it. Name is the field's, such as "job.Result.Reason".
func eachValue(v reflect.Value, name string, visit func(name string, v reflect.Value)) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("codec") != "-" {
				eachValue(v.Field(i), v.Type().String()+"."+f.Name, visit)
			}
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		eachValue(v.Elem(), name, visit)
	case v.Kind() == reflect.Slice && v.Len() > 0:
		for i := range v.Len() {
			eachValue(v.Index(i), name, visit)
		}
	default:
		visit(name, v)
	}
}

// change gives a value that is not a struct another value, by which JSON can tell the two apart.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("z" + v.String()) // of an actor the broker's name is shown, which is its beginning
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint64:
		v.SetUint(v.Uint() + 1<<20) // times are shown to the millisecond
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		changed := reflect.MakeMap(v.Type())
		changed.SetMapIndex(reflect.ValueOf("new"), reflect.Zero(v.Type().Elem()))
		v.Set(changed)
	default:
		panic("a field of a kind that this test cannot change yet: " + v.Type().String())
	}
}
