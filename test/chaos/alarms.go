package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// alarms declares emergencies and clears some while faults happen; in the end all
// brokers must list the same (rules E1 to E3). A broker that has no such thing yet is
// asked for nothing, and the report says so.
type alarms struct {
	rnd     *rand.Rand
	absent  string // why nothing is declared
	mu      sync.Mutex
	wanted  map[string]claim // by ID
	unclear map[string]bool  // a clear was sent, and its answer lost
}

// claim is what brokers have acknowledged of an emergency.
type claim struct {
	cleared bool
	copies  int // of the declaration, as its answer said
	by      string
	at      time.Time
}

// alarm is an emergency as a broker lists it.
type alarm struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Level      string    `json:"level"`
	Active     bool      `json:"active"`
	Cleared    bool      `json:"cleared"`
	DeclaredAt time.Time `json:"declared_at"`
	Until      time.Time `json:"until"`
	Replicas   int       `json:"replicas"` // of an answer to a declaration
}

const (
	alarmsPath  = "/v1/emergencies"
	alarmsEvery = 6 * time.Second
)

func newAlarms(o *options) *alarms {
	return &alarms{rnd: rand.New(rand.NewPCG(o.seed, 3)), wanted: map[string]claim{}, unclear: map[string]bool{}}
}

// probe finds out whether brokers know of emergencies.
func (a *alarms) probe(ctx context.Context, b *rig.Broker) error {
	_, err := a.list(ctx, b)
	var status *badStatus
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		a.absent = "this version has no " + alarmsPath
		return nil
	}
	return err
}

// raiseAlarms declares an emergency now and then, wherever, and clears every other,
// as long as jobs are submitted.
func (w *world) raiseAlarms(ctx context.Context) {
	a := w.alarms
	levels := []string{"low", "medium", "high", "critical"}
	for n := 0; a.absent == "" && time.Since(w.begin) < w.over; n++ {
		if rig.Pause(ctx, alarmsEvery/2+time.Duration(a.rnd.Int64N(int64(alarmsEvery)))) != nil {
			return // the round is over
		}
		all := w.members()
		b := all[a.rnd.IntN(len(all))]
		if id := a.open(); n%2 == 1 && id != "" {
			err := a.call(ctx, b, http.MethodDelete, alarmsPath+"/"+id, nil, nil)
			a.cleared(id, err)
			continue
		}
		body := map[string]string{"type": "flood", "level": levels[a.rnd.IntN(len(levels))], "ttl": "1h"}
		var got alarm
		if err := a.call(ctx, b, http.MethodPost, alarmsPath, body, &got); err == nil && got.ID != "" {
			a.mu.Lock()
			a.wanted[got.ID] = claim{copies: got.Replicas, by: b.Name, at: time.Now()}
			a.mu.Unlock()
		}
	}
}

// open is some emergency that nobody has cleared.
func (a *alarms) open() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, x := range a.wanted {
		if !x.cleared && !a.unclear[id] {
			return id
		}
	}
	return ""
}

func (a *alarms) cleared(id string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		x := a.wanted[id]
		x.cleared = true
		a.wanted[id] = x
	} else {
		a.unclear[id] = true
	}
}

// checkAlarms compares what all brokers list, with each other and with what they have
// acknowledged.
func (w *world) checkAlarms(ctx context.Context, r *report) {
	a := w.alarms
	if a.absent != "" {
		r.untested["emergencies"] = a.absent
		return
	}
	r.alarms = len(a.wanted)
	var wrong []string
	_ = w.until(ctx, 15*time.Second, func(ctx context.Context) error { // what is wrong in the end is told below
		wrong = a.differ(ctx, w.members(), func(x claim) bool { return x.copies <= 1 && w.gone(x.by, x.at) })
		if len(wrong) > 0 {
			return errors.New(wrong[0])
		}
		return nil
	})
	r.alarmsWrong = append(r.alarmsWrong, wrong...)
}

// differ says what is wrong with what brokers list. One that was on one disk alone, as its
// answer said, may be gone with that disk.
func (a *alarms) differ(ctx context.Context, brokers []*rig.Broker, excused func(claim) bool) (wrong []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var first map[string]alarm
	for _, b := range brokers {
		list, err := a.list(ctx, b)
		if err != nil {
			return []string{fmt.Sprintf("%s does not list its emergencies: %v", b.Name, err)}
		}
		got := map[string]alarm{}
		for _, x := range list {
			got[x.ID] = x
		}
		for id, said := range a.wanted {
			cleared := said.cleared
			if x, ok := got[id]; !ok && excused(said) {
				continue
			} else if !ok {
				wrong = append(wrong, fmt.Sprintf("%s does not know the emergency %s, which was acknowledged", b.Name, id))
			} else if cleared && (!x.Cleared || x.Active) || !cleared && !a.unclear[id] && x.Cleared {
				wrong = append(wrong, fmt.Sprintf("at %s the emergency %s has cleared=%v active=%v; a clear was acknowledged: %v", b.Name, id, x.Cleared, x.Active, cleared))
			}
		}
		if first == nil {
			first = got
			continue
		}
		for id, x := range got {
			if first[id] != x {
				wrong = append(wrong, fmt.Sprintf("%s and %s differ about the emergency %s: %+v, %+v", brokers[0].Name, b.Name, id, first[id], x))
			}
		}
		if len(got) != len(first) {
			wrong = append(wrong, fmt.Sprintf("%s lists %d emergencies, %s %d", brokers[0].Name, len(first), b.Name, len(got)))
		}
	}
	return wrong
}

func (a *alarms) list(ctx context.Context, b *rig.Broker) ([]alarm, error) {
	var l struct {
		Emergencies []alarm `json:"emergencies"`
	}
	err := a.call(ctx, b, http.MethodGet, alarmsPath, nil, &l)
	return l.Emergencies, err
}

// badStatus is an answer that is not a success.
type badStatus struct {
	code int
	text string
}

func (e *badStatus) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

// call speaks JSON with a broker.
func (a *alarms) call(ctx context.Context, b *rig.Broker, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	res, err := b.Ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return &badStatus{res.StatusCode, strings.TrimSpace(string(text))}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
