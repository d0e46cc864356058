package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// fakeEmergencies is a broker with these emergencies; it notes what it was told.
type fakeEmergencies struct {
	looked, declared func(*api.Emergency) // change what is shown; may be nil
	list             api.EmergencyList
	told             []string // method, path, query and body
	refuses          *api.Error
	stream           string              // what /v1/events says
	follows          func(*http.Request) // and then, instead of its end; may be nil
}

func newFakeEmergencies(t *testing.T) (*fakeEmergencies, *shell) {
	f := &fakeEmergencies{list: api.EmergencyList{Emergencies: []api.Emergency{}, AsOf: asOf}}
	b, s := newFakeBroker(t)
	old := b.Config.Handler
	b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/e") {
			old.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		f.told = append(f.told, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
		switch {
		case f.refuses != nil:
			b.reply(w, f.refuses.Status, f.refuses)
		case r.URL.Path == "/v1/events":
			_, _ = io.WriteString(w, f.stream)
			if f.follows != nil {
				_ = http.NewResponseController(w).Flush()
				f.follows(r)
			}
		case r.Method == http.MethodPost:
			var d emergency.Declaration
			_ = json.Unmarshal(body, &d)
			status := http.StatusCreated
			if d.ID != "" {
				status = http.StatusOK
			}
			e := api.Emergency{ID: "flood-1", Type: d.Type, Level: string(d.Level), Until: clock.At(asOf.Add(24 * time.Hour)), AsOf: asOf}
			if f.declared != nil {
				f.declared(&e)
			}
			b.reply(w, status, e)
		case r.URL.Path == "/v1/emergencies":
			b.reply(w, 200, f.list)
		default:
			for _, e := range f.list.Emergencies {
				if strings.HasPrefix("/v1/emergencies/"+string(e.ID), r.URL.Path) {
					if f.looked != nil {
						f.looked(&e)
					}
					b.reply(w, 200, e)
					return
				}
			}
			b.fail(w, 404, api.CodeNotFound, "no emergency is known here")
		}
	})
	return f, s
}

// some are one emergency of each state.
func (f *fakeEmergencies) some() {
	at := func(d time.Duration) clock.Time { return clock.At(asOf.Add(d)) }
	f.list.Emergencies = []api.Emergency{
		{ID: "flood-1", Type: "flood", Level: "critical", Scope: []string{"district=7", "pumps"}, Select: []string{"service=hospital"}, Message: "the river\nis over the wall", DeclaredAt: at(-90 * time.Second), DeclaredBy: "b",
			Until: at(time.Hour), Active: true, InScope: true, Caused: 2, AsOf: asOf,
			Effects: []api.Effect{
				{Job: "low", State: job.StateRunning, At: "b", For: "crit", Mode: job.Suspend, From: at(-80 * time.Second), To: at(-20 * time.Second), Lasted: clock.Duration(time.Minute)},
				{Job: "idle", State: job.StateQueued, At: "c", For: "crit", Mode: job.Requeue, From: at(-5 * time.Second), Lasted: clock.Duration(5 * time.Second)},
			}},
		{ID: "fire-1", Type: "fire", Level: "low", DeclaredAt: at(-time.Hour), Until: at(48 * time.Hour), Active: true, Heard: true, AsOf: asOf},
		{ID: "storm-1", Type: "storm", Level: "high", DeclaredAt: at(-25 * time.Hour), Until: at(-time.Hour), EndedAt: at(-time.Hour), InScope: true, AsOf: asOf},
		{ID: "quake-1", Type: "quake", Level: "medium", DeclaredAt: at(-2 * time.Hour), DeclaredBy: "a", Until: at(time.Hour), Cleared: true, ClearedAt: at(-time.Minute), ClearedBy: "c", InScope: true, AsOf: asOf},
		{ID: "smoke-1", Level: "none", Cleared: true, ClearedAt: at(-time.Minute), ClearedBy: "c", InScope: true, AsOf: asOf}, // its clear came first
	}
}

func TestEmergencyDeclare(t *testing.T) {
	f, s := newFakeEmergencies(t)
	require.Equal(t, ran{0, "flood-1 declared: flood, level critical, until 2026-02-01 15:04:05.000 UTC\n", ""}, s.run("emergency", "declare", "--type", "flood", "--level", "critical"))
	require.Equal(t, `POST /v1/emergencies {"type":"flood","level":"critical"}`, f.told[0])
	got := s.run("emergency", "declare", "--id", "flood-1", "--type", "flood", "--level", "high", "--scope", "district=7", "--scope", "pumps", "--select", "a in (b,c)", "--ttl", "90m", "--message", "M")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "flood-1 changed: ")
	require.Equal(t, []string{"GET /v1/emergencies/flood-1", `POST /v1/emergencies {"id":"flood-1","type":"flood","level":"high","scope":["district=7","pumps"],"select":["a in (b,c)"],"ttl":"1h30m0s","message":"M"}`}, f.told[1:3])
	require.Contains(t, s.run("emergency", "declare", "--type", "flood", "--level", "low", "-o", "json").out, `"id": "flood-1"`)
	require.Contains(t, s.run("emergency", "declare", "--type", "flood", "--level", "4").out, "level critical", "the broker is sent the name")
	require.Contains(t, f.told[len(f.told)-1], `"level":"critical"`)
	require.Contains(t, s.run("emergency", "declare", "--type", "flood", "--level", "5").errOut, `--level "5": want low (1)`)
	asked := len(f.told)
	for _, c := range []struct{ args, says string }{
		{"--level low", "--type is missing"},
		{"--type flood", "--level"},
		{"--type flood --level low --drop scope", "--id"},
		{"--id flood-1 --drop level", "--drop level"},
		{"--id flood-1 --drop scope --scope a=1", "exclude each other"},
		{"--type flood --level none", `--level "none"`},
		{"--type flood --level 5", `--level "5"`},
		{"--type flood --level low --ttl 0s", "--ttl 0s"},
		{"--type flood --level low --ttl -1h", "--ttl -1h"},
		{"--type flood --level low --ttl soon", "soon"},
		{"--type flood --level low extra", "extra"},
		{"--typ flood", "--type"},
	} {
		got := s.run(append([]string{"emergency", "declare"}, strings.Fields(c.args)...)...)
		require.Equal(t, exitError, got.code, c.args)
		require.Contains(t, got.errOut, c.says, c.args)
		require.Empty(t, got.out)
	}
	require.Len(t, f.told, asked, "what is wrong here asks nobody")

	f.refuses = &api.Error{Status: 429, Code: api.CodeTooMany, Message: "this broker takes 5 a second"}
	got = s.run("emergency", "declare", "--type", "flood", "--level", "critical")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "takes 5 a second")
}

// A change of one term says only that one, with all others as they are, so that a broker of the version before keeps them, too;
// and what was kept and changed is told.
func TestEmergencyChange(t *testing.T) {
	f, s := newFakeEmergencies(t)
	f.some()
	kept := `"type":"flood","level":"critical","scope":["district=7","pumps"],"select":["service=hospital"],"message":"the river\nis over the wall"}`
	for _, c := range []struct {
		args []string
		body string
	}{
		{[]string{"--ttl", "2h"}, strings.Replace(kept, `"message"`, `"ttl":"2h0m0s","message"`, 1)},
		{[]string{"--level", "low"}, strings.Replace(kept, "critical", "low", 1)},
		{[]string{"--drop", "scope"}, strings.Replace(kept, `["district=7","pumps"]`, `[]`, 1)},
		{[]string{"--drop", "select"}, strings.Replace(kept, `["service=hospital"]`, `[]`, 1)},
		{[]string{"--drop", "message"}, strings.Replace(kept, `the river\nis over the wall`, ``, 1)},
		{[]string{"--message", ""}, strings.Replace(kept, `the river\nis over the wall`, ``, 1)},
	} {
		f.told = nil
		got := s.run(append([]string{"emergency", "declare", "--id", "flood-1"}, c.args...)...)
		require.Equal(t, 0, got.code, got.errOut)
		require.Equal(t, []string{"GET /v1/emergencies/flood-1", `POST /v1/emergencies {"id":"flood-1",` + c.body}, f.told[:2])
	}
	f.told = nil
	s.run("emergency", "declare", "--id", "flood", "--level", "low")
	require.Equal(t, `POST /v1/emergencies {"id":"flood","level":"low"}`, f.told[1], "another ID that only begins so is not meant")

	f.declared = func(e *api.Emergency) {
		e.Scope, e.Message = []string{"district=7"}, "M"
		e.Was = &api.EmergencyTerms{Type: e.Type, Level: "high", Scope: e.Scope, Select: []string{"pumps"}, Message: "M"}
	}
	got := s.run("emergency", "declare", "--id", "flood-1", "--level", "low").out
	require.Contains(t, got, "\nchanged: level low (was high); selection none (was pumps)\nkept: type flood; scope district=7; message M\n")
}

// What JSON can't hold is refused before anything is sent.
func TestDeclarationsAreText(t *testing.T) {
	f, s := newFakeEmergencies(t)
	for _, flag := range [][]string{{"--message", "caf\xe9"}, {"--scope", "district=caf\xe9"}, {"--id", "\xff"}, {"--type", "\xff"}} {
		got := s.run(append([]string{"emergency", "declare", "--type", "flood", "--level", "high"}, flag...)...)
		require.Equal(t, exitError, got.code, flag)
		require.Contains(t, got.errOut, "UTF-8", flag)
	}
	require.Empty(t, f.told)
}

func TestEmergencyList(t *testing.T) {
	f, s := newFakeEmergencies(t)
	require.Equal(t, ran{0, "no emergencies\n", ""}, s.run("emergency", "list"))
	require.JSONEq(t, `{"emergencies":[],"as_of":"2026-01-31T15:04:05Z"}`, s.run("emergency", "list", "-o", "json").out)
	f.some()
	require.Equal(t, ran{0, `
ID       LEVEL     STATE             SCOPE              DECLARED   UNTIL             JOBS STOPPED  MESSAGE
flood-1  critical  ACTIVE            district=7, pumps  1m30s ago  16:04:05          2             the river is over the wall
fire-1   low       active elsewhere  -                  1h0m ago   2026-02-02 15:04  -             -
storm-1  high      over              -                  1d1h ago   14:04:05          -             -
quake-1  medium    cleared           -                  2h0m ago   16:04:05          -             -
smoke-1  -         cleared           -                  -          -                 -             -
`[1:], ""}, s.run("emergency", "list"))
	got := s.run("emergency", "list", "--active").out
	require.Contains(t, got, "fire-1")
	require.NotContains(t, got, "storm-1")
	require.NotContains(t, s.run("emergency", "list", "--active", "-o", "json").out, "quake-1")
}

func TestEmergencyGet(t *testing.T) {
	f, s := newFakeEmergencies(t)
	f.some()
	got := s.run("emergency", "get", "flood")
	require.Equal(t, 0, got.code, got.errOut)
	for _, line := range []string{"State: ACTIVE", "Selects: service=hospital", "Message: the river is over the wall", "last changed at b", "Caused: 2 pauses of jobs"} {
		require.Contains(t, strings.Join(strings.Fields(got.out), " "), line)
	}
	require.Contains(t, got.out, `
JOB   NOW      AT  MODE     FOR   FROM      TO        LASTED
low   running  b   suspend  crit  15:02:45  15:03:45  1m0s
idle  queued   c   requeue  crit  15:04:00  still     5s
`)
	require.Contains(t, strings.Join(strings.Fields(got.out), " "), "Waits: no job of it, that is known here Caused:")
	require.Contains(t, s.run("emergency", "show", "fire-1").out, "not here yet")
	require.NotContains(t, s.run("emergency", "get", "quake-1").out, "Waits:", "it is over")
	require.Contains(t, s.run("emergency", "get", "quake-1").out, "at c\n")
	require.Contains(t, s.run("emergency", "get", "storm-1").out, "nothing: no running job")
	require.Contains(t, s.run("emergency", "get", "flood-1", "-o", "json").out, `"lasted": "1m0s"`)
	require.Equal(t, exitError, s.run("emergency", "get", "nobody").code)
	require.Equal(t, exitError, s.run("emergency", "get").code)

	// What was declared elsewhere at the same time, and does not stand.
	e := &f.list.Emergencies[0]
	require.NotContains(t, s.run("emergency", "get", "flood-1").out, "BUT")
	e.Level, e.Scope = "low", []string{"district=7"}
	e.PassedOver = &api.PassedOver{EmergencyTerms: api.EmergencyTerms{Level: "critical"}, DeclaredBy: "b1", DeclaredAt: clock.At(asOf)}
	require.Contains(t, strings.Join(strings.Fields(s.run("emergency", "get", "flood-1").out), " "),
		"BUT: level critical for all brokers was declared at b1 at 2026-01-31 15:04:05.000 UTC, neither having heard of the other, and does not stand: the later one does. Declare what is to be: `ucp emergency declare --id flood-1 --level critical`")
	screen := screen{Coordination: api.Coordination{Name: "a", AsOf: asOf, Emergencies: []api.Emergency{*e}}}
	require.Contains(t, screen.emergencyPanel().lines[0], "BUT level critical was declared at b1 meanwhile: `ucp emergency get flood-1`")
	screen.Emergencies[0].PassedOver.Level = "low"
	require.NotContains(t, screen.emergencyPanel().lines[0], "BUT", "it would be no other")
}

// What is in force stands in the status, and a job says what gives it its level and for whom it
// had to make room.
func TestEmergenciesInOtherViews(t *testing.T) {
	b, s := newFakeBroker(t)
	f, _ := newFakeEmergencies(t)
	f.some()
	b.status = api.Coordination{Name: "a", Emergency: "critical", Emergencies: f.list.Emergencies[:2], AsOf: asOf}
	got := s.run("status", "--full").out
	require.Contains(t, got, "Emergency:")
	require.Regexp(t, `(?m)^Emergency: +flood-1.*critical.*16:04:05`, got)
	require.Contains(t, got, "fire-1")

	threeJobs(b)
	b.jobs["j3"].Emergency = "flood-1"
	b.jobs["j1"].Pauses = []api.Pause{
		{At: "b", For: "crit", Emergency: "flood-1", Mode: job.Suspend, From: clock.At(asOf.Add(-time.Minute)), To: clock.At(asOf.Add(-30 * time.Second))},
		{At: "b", For: "other", Mode: job.Requeue, From: clock.At(asOf.Add(-10 * time.Second))},
	}
	require.Regexp(t, `(?m)^Emergency: +flood-1$`, s.run("job", "get", "j3").out)
	b.jobs["j3"].Emergency, b.jobs["j3"].NoLevel = "", "it belongs to flood-1"
	require.Regexp(t, `(?m)^No level: +it belongs to flood-1$`, s.run("job", "get", "j3").out)
	got = s.run("job", "get", "j1").out
	require.Contains(t, got, "because of flood-1")
	require.Contains(t, got, "crit")
	require.Contains(t, got, "other")
}

// Of an emergency that is active it is said which of its jobs wait, where, and why; those that only make room for it are listed as what it caused.
func TestEmergencyGetSaysWhoWaits(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	b.jobs["j1"].State, b.jobs["j1"].NoLevel, b.jobs["j1"].Why = job.StateQueued, "it belongs to flood-1 and has no level by it at b", "queued at b"
	b.jobs["j2"].State, b.jobs["j2"].Emergency = job.StateRunning, "flood-1"
	b.jobs["j3"].State, b.jobs["j3"].Emergency, b.jobs["j3"].NoLevel = job.StateQueued, "", ""
	old := b.Config.Handler
	e := api.Emergency{ID: "flood-1", Type: "flood", Level: "critical", Active: true, InScope: true, AsOf: asOf, Until: clock.At(asOf.Add(time.Hour))}
	asked := ""
	b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/emergencies/") {
			b.reply(w, 200, e)
			return
		}
		asked = r.URL.Query().Get("emergency")
		old.ServeHTTP(w, r)
	})
	got := s.run("emergency", "get", "flood")
	require.Equal(t, 0, got.code, got.errOut)
	require.Equal(t, "flood-1", asked)
	require.Regexp(t, `(?m)^Waits: +1 job$`, got.out)
	require.Regexp(t, `j1.*, queued for .*: it belongs to flood-1 and has no level by it at b; queued at b`, got.out)
	require.NotContains(t, got.out, "j2")
	require.NotContains(t, got.out, "j3")
}

func TestEmergencyClear(t *testing.T) {
	f, s := newFakeEmergencies(t)
	f.some()
	require.Equal(t, ran{0, "flood-1 cleared\n", ""}, s.run("emergency", "clear", "flood"))
	require.Equal(t, []string{"GET /v1/emergencies/flood", "DELETE /v1/emergencies/flood"}, f.told[:2])
	got := s.run("emergency", "clear", "nobody", "--unknown")
	require.Equal(t, exitError, got.code)
	require.Equal(t, "DELETE /v1/emergencies/nobody?unknown=1", f.told[3])
	require.Contains(t, got.errOut, "no emergency")
	require.Contains(t, s.run("__complete", "emergency", "clear", "").out, "flood-1\tcritical, ACTIVE\nfire-1\tlow, active elsewhere\n")
	require.Contains(t, s.run("__complete", "emergency", "declare", "--level", "").out, "low\nmedium\nhigh\ncritical\n")
	require.NotContains(t, s.run("__complete", "emergency", "get", "flood-1", "").out, "fire-1")
}

// Who can't be reached does not hear of an order: neither a declaration nor its end is told as if it did.
func TestEmergencyWhereNobodyHears(t *testing.T) {
	f, s := newFakeEmergencies(t)
	f.some()
	f.list.Emergencies[0].OfBrokers, f.list.Emergencies[0].Away = 2, []string{"c"}
	f.list.Emergencies[0].Brokers = []api.EmergencyAt{{Broker: "a", Strategy: "emergency", Effect: "goes first"}, {Broker: "b", Strategy: "emergency", Effect: "goes first", Unheard: true}}
	require.Equal(t, "flood-1 cleared\nWARNING: c out of reach: where it is in force there, it is until they hear of this, or until its time is over\nno word yet from b of how it was until now: where it is in force there, it is until they hear of this, or until its time is over\n", s.run("emergency", "clear", "flood-1").out)

	looks := 0
	f.looked = func(e *api.Emergency) {
		if looks++; looks == 3 {
			e.Brokers[1].Unheard = false
		}
	}
	f.declared = func(e *api.Emergency) { e.OfBrokers, e.Brokers = 2, slices.Clone(f.list.Emergencies[0].Brokers) }
	f.list.Emergencies[0].Away = nil
	require.Contains(t, s.run("emergency", "declare", "--type", "flood", "--level", "critical").out, "\nin force at 2 of 2 brokers\n", "it is looked at until b has heard of it")
	f.looked, f.list.Emergencies[0].Brokers[1].Unheard = nil, true
	require.Contains(t, s.run("emergency", "declare", "--type", "flood", "--level", "critical").out, "\nin force at 1 of 2 brokers\nWARNING: no word yet that these know of it, as it is now: b\n")
	require.Equal(t, "fcfs\nWARNING: flood-1 is in force: by fcfs a job of its level waits like all others; it stops no running job (`ucp strategy set emergency`)\n", s.run("strategy", "set", "fcfs").out)
	require.Equal(t, "emergency\n", s.run("strategy", "set", "emergency").out)
}

// Events are lines for people, or JSON, one a line; when the broker ends the stream, that is an
// error: what comes then is not seen.
func TestEvents(t *testing.T) {
	f, s := newFakeEmergencies(t)
	for i, text := range []string{"flood-1: flood, level critical", "low makes room\nfor crit"} {
		b, err := json.Marshal(api.Event{At: asOf.Add(time.Duration(i) * 1500 * time.Millisecond), Broker: "a", Kind: []string{"emergency", "preemption"}[i], ID: "x", What: "y", Text: text})
		require.NoError(t, err)
		f.stream += fmt.Sprintf(": still here\n\nevent: x\ndata: %s\n\n", b)
	}
	require.Equal(t, ran{exitError, `
2026-01-31 15:04:05.000  emergency   flood-1: flood, level critical
2026-01-31 15:04:06.500  preemption  low makes room for crit
`[1:], "ucp: the broker has ended the stream of events\n"}, s.run("events"))
	require.Equal(t, "GET /v1/events", f.told[0])
	got := s.run("events", "--kinds", "job,emergency", "-o", "json")
	require.Equal(t, "GET /v1/events?kinds=job%2Cemergency", f.told[1])
	require.Equal(t, 2, strings.Count(got.out, "\n"))
	var e api.Event
	require.NoError(t, json.Unmarshal([]byte(strings.Split(got.out, "\n")[0]), &e))
	require.Equal(t, "flood-1: flood, level critical", e.Text)
	f.follows = func(r *http.Request) {
		s.signals <- syscall.SIGINT
		<-r.Context().Done() // the client has hung up
	}
	got = s.run("events")
	require.Equal(t, 0, got.code, "interrupted: that is how one ends it")
	require.Empty(t, got.errOut)
	f.refuses = &api.Error{Status: 400, Code: api.CodeBadRequest, Message: "?kinds=odd: it is a list of ..."}
	require.Contains(t, s.run("events", "--kinds", "odd").errOut, "?kinds=odd")
}

// A declaration says where it is in force, and what becomes there of jobs that have its level.
func TestReachLines(t *testing.T) {
	at := func(name, strategy, chosen, effect string) api.EmergencyAt {
		return api.EmergencyAt{Broker: name, Strategy: strategy, Chosen: chosen, Effect: effect}
	}
	for _, c := range []struct {
		e    api.Emergency
		want []string
	}{
		{api.Emergency{Level: "low"}, nil},
		{api.Emergency{Level: "critical", OfBrokers: 3, Unmet: `no broker has a label that meets "distrct=7"; did you mean "district=7"?`}, []string{
			`WARNING: it is in force at 0 of 3 brokers: no broker has a label that meets "distrct=7"; did you mean "district=7"?`,
		}},
		{api.Emergency{Level: "critical", OfBrokers: 1}, []string{"WARNING: it is in force at 0 of 1 broker"}},
		{api.Emergency{Level: "critical", OfBrokers: 1, Away: []string{"n2", "n3"}, Brokers: []api.EmergencyAt{at("n1", "emergency", "", "goes first")}}, []string{
			"in force at 1 of 1 broker in reach", "WARNING: n2, n3 out of reach: whether it is in force there is not known",
			"n1: by emergency: a job of its level goes first",
		}},
		{api.Emergency{Level: "critical", OfBrokers: 1, Away: []string{"n2"}}, []string{
			"WARNING: it is in force at 0 of 1 broker in reach", "WARNING: n2 out of reach: whether it is in force there is not known",
		}},
		{api.Emergency{Level: "critical", OfBrokers: 4, Brokers: []api.EmergencyAt{
			at("n1", "emergency", "causal", "goes first"), at("n2", "causal", "", "stops nobody"), at("n3", "emergency", "causal", "goes first"),
		}}, []string{
			"in force at 3 of 4 brokers",
			"n1, n3: by emergency until it is over (otherwise causal): a job of its level goes first",
			"n2: by causal: a job of its level stops nobody",
		}},
		{api.Emergency{Level: "critical", OfBrokers: 3, Brokers: []api.EmergencyAt{
			at("n1", "emergency", "", "goes first"), {Broker: "n2", Strategy: "emergency", Effect: "goes first", Unheard: true}, at("n3", "emergency", "", "goes first"),
		}}, []string{
			"in force at 2 of 3 brokers", "WARNING: no word yet that these know of it, as it is now: n2",
			"n1, n3: by emergency: a job of its level goes first",
		}},
		{api.Emergency{Level: "critical", OfBrokers: 1, Brokers: []api.EmergencyAt{at("n1", "emergency", "", "goes first")}, Jobs: &api.JobCounts{}}, []string{
			"in force at 1 of 1 broker", "n1: by emergency: a job of its level goes first",
			"now no job runs or waits: nothing changes for now",
		}},
		{api.Emergency{Level: "critical", OfBrokers: 1, Brokers: []api.EmergencyAt{at("n1", "emergency", "", "goes first")}, Jobs: &api.JobCounts{Running: 1}}, []string{
			"in force at 1 of 1 broker", "n1: by emergency: a job of its level goes first",
			"now 1 job runs, and none waits: nothing changes until a job of its level needs the room",
		}},
		{api.Emergency{ID: "f-1", OfBrokers: 1, Brokers: []api.EmergencyAt{at("n1", "emergency", "", "goes first")}, Jobs: &api.JobCounts{Running: 2, Waiting: 3}}, []string{
			"in force at 1 of 1 broker", "n1: by emergency: a job of its level goes first",
			"now 2 jobs run, and 3 wait",
		}},
	} {
		require.Equal(t, c.want, reachLines(&c.e))
	}
}

// A slip of the pen in a level is said before anything is sent.
func TestANearMissOfALevel(t *testing.T) {
	f, s := newFakeEmergencies(t)
	got := s.run("emergency", "declare", "--type", "flood", "--level", "critcal")
	require.NotZero(t, got.code)
	require.Contains(t, got.errOut, `--level "critcal": did you mean critical?`)
	require.Empty(t, f.told)
	require.Zero(t, s.run("emergency", "declare", "--type", "floood", "--level", "low", "--new-type").code)
	require.Contains(t, f.told[0], "POST /v1/emergencies?new_type=1")
}
