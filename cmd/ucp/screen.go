package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// screenWithin is how long the screen may take. What is not known by then is said to be not known.
const screenWithin = 5 * time.Second

// Bounds of what the screen asks for and shows of one kind.
const (
	screenAsks  = 100
	screenShows = 5
)

// screen is what `ucp status` shows: first what somebody must know who has no time. It is what one broker knows.
type screen struct {
	api.Coordination
	Urgent  *api.JobList      `json:"urgent"`  // urgent jobs that do not run; null: not known
	Gone    []goneBroker      `json:"gone"`    // null: not known
	Stopped *api.JobList      `json:"stopped"` // jobs that make room for others now; null: not known
	Failed  *api.JobList      `json:"failed"`  // jobs that failed, or expired, in the last hour; null: not known
	Room    []room            `json:"room"`    // of the brokers that take jobs; null: not known
	InAll   map[job.State]int `json:"in_all"`  // unfinished jobs, by state, each counted once; null: not known
	Unknown []string          `json:"unknown"` // what could not be found out in time, and why

	placeless []*api.JobList // queued at brokers that have left: nobody can take them, or they would be elsewhere

	members []api.Member               // nil: not known
	rows    map[string]json.RawMessage // metadata of brokers; nil: not known
}

// goneBroker is a broker that takes part and does not answer.
type goneBroker struct {
	Name  string       `json:"name"`
	Since *time.Time   `json:"since"` // null: it was not met since the start of the broker that answers
	Jobs  *api.JobList `json:"jobs"`  // what was there, and how it stands now; null: not known
	// GivenUp: an operator has given it up, and it is listed for the jobs that are still counted there.
	GivenUp bool `json:"given_up,omitempty"`
	// Silent: it does not answer, and gossip has not given it up yet.
	Silent bool `json:"silent,omitempty"`
}

// room is what a broker offers.
type room struct {
	Broker   string        `json:"broker"`
	Capacity job.Resources `json:"capacity"`
	Free     job.Resources `json:"free"`
}

// readScreen asks a broker for all that the screen shows, at most for screenWithin.
func readScreen(ctx context.Context, client *api.Client) (*screen, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, screenWithin, fmt.Errorf("%w within %v", api.ErrSilent, screenWithin))
	defer cancel()
	s := &screen{Unknown: []string{}}
	var err error
	if s.Coordination, err = client.CoordinationNow(ctx); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	ask := func(what string, do func() error) {
		work.Go(func() {
			if err := do(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				s.Unknown = append(s.Unknown, fmt.Sprintf("%s: %v", what, err))
			}
		})
	}
	list := func(what string, into **api.JobList, o api.ListOptions) {
		ask(what, func() error {
			l, err := listJobs(ctx, client, o, screenAsks)
			if err == nil {
				*into = &l
			}
			return err
		})
	}
	list("urgent jobs", &s.Urgent, api.ListOptions{States: unfinishedStates(), Urgent: true})
	list("stopped jobs", &s.Stopped, api.ListOptions{States: unfinishedStates(), Paused: true})
	list("failed jobs", &s.Failed, api.ListOptions{States: []job.State{job.StateFailed, job.StateExpired}, Since: s.AsOf.Add(-time.Hour)})
	ask("how many jobs there are", func() (err error) {
		s.InAll, err = client.CountJobs(ctx, api.ListOptions{States: unfinishedStates()})
		return err
	})
	ask("members", func() (err error) {
		l, err := client.Members(ctx)
		s.members = l.Members
		s.Gone, err = goneFrom(l, err)
		return err
	})
	if slices.ContainsFunc(s.Emergencies, func(e api.Emergency) bool { return !e.InScope }) {
		ask("where emergencies are in force", func() error { return s.addReach(ctx, client) })
	}
	ask("room", func() (err error) { s.rows, err = client.Metadata(ctx); return err })
	work.Wait()
	s.addSilent()
	if s.Urgent != nil {
		s.Urgent.Jobs = slices.DeleteFunc(s.Urgent.Jobs, func(j api.Job) bool { return !j.Silent && s.getsOn(&j) })
	}
	if err := s.addRoom(s.rows); err != nil {
		s.Room, s.Unknown = nil, append(s.Unknown, fmt.Sprintf("room: %v", err))
	}
	for i := range s.Gone {
		g := &s.Gone[i]
		since := s.AsOf.Add(-time.Hour)
		if p := s.PeerBrokers[g.Name]; g.Since == nil && p.LastSeen > 0 {
			seen := time.Unix(p.LastSeen, 0).UTC()
			g.Since = &seen
		}
		if g.Since != nil {
			since = g.Since.Add(-time.Minute) // it went before that was noticed
		}
		list("jobs at "+g.Name, &g.Jobs, api.ListOptions{Broker: g.Name, Since: since})
	}
	left := s.left()
	s.placeless = make([]*api.JobList, len(left))
	for i, name := range left {
		list("jobs that wait at "+name, &s.placeless[i], api.ListOptions{Broker: name, States: []job.State{job.StateQueued, job.StateSuspended}})
	}
	work.Wait()
	s.Gone = slices.DeleteFunc(s.Gone, func(g goneBroker) bool { return g.GivenUp && !g.holdsOn() })
	slices.Sort(s.Unknown)
	return s, nil
}

// left are the brokers that have left in good order and are not back, a few of them: it is rare that something still waits at one.
func (s *screen) left() (out []string) {
	for _, m := range s.members {
		if (m.Status == "left" || m.Roll == "left" && m.Status != "alive") && m.HTTPAddr != "" && len(out) < screenShows {
			out = append(out, m.Name)
		}
	}
	return out
}

// soonEnough is for how long a job that was just submitted may start without alarm: other brokers than its own call it so for a second
// and a half, however well it runs.
const soonEnough = 3 * time.Second

// getsOn reports whether a job runs, or starts and was only just submitted.
func (s *screen) getsOn(j *api.Job) bool {
	return j.State == job.StateRunning || j.State == job.StateStarting && s.Urgent.AsOf.Sub(j.SubmittedAt.Time()) < soonEnough
}

// addSilent lists those that have not answered just now with those that are gone, however well they were a moment ago.
func (s *screen) addSilent() {
	for _, name := range slices.Sorted(maps.Keys(s.PeerBrokers)) {
		listed := slices.ContainsFunc(s.Gone, func(g goneBroker) bool { return g.Name == name })
		if yes := s.PeerBrokers[name].Answers; s.Gone != nil && !listed && yes != nil && !*yes {
			s.Gone = append(s.Gone, goneBroker{Name: name, Silent: true})
		}
	}
}

// holdsOn reports whether jobs that have not ended are still counted at a broker that is gone, or may be.
func (g *goneBroker) holdsOn() bool {
	return g.Jobs == nil || slices.ContainsFunc(g.Jobs.Jobs, func(j api.Job) bool { return j.Executor == g.Name && !j.State.Final() })
}

// addReach asks where the emergencies are in force.
func (s *screen) addReach(ctx context.Context, client *api.Client) error {
	l, err := client.Emergencies(ctx)
	for i := range s.Emergencies {
		for _, e := range l.Emergencies {
			if e.ID == s.Emergencies[i].ID && e.Active {
				s.Emergencies[i] = e
			}
		}
	}
	return err
}

// goneFrom lists the brokers that take part and do not answer, also those that have only just fallen silent, and those that were
// given up and have not come back.
func goneFrom(l api.MemberList, err error) ([]goneBroker, error) {
	if err != nil {
		return nil, err
	}
	out := []goneBroker{}
	for _, m := range l.Members {
		switch {
		case m.Roll == "open" && (m.Away || m.Status == "failed"):
			out = append(out, goneBroker{Name: m.Name, Since: m.AwaySince})
		case m.Roll == "open" && strings.HasPrefix(m.Health, "silent"):
			out = append(out, goneBroker{Name: m.Name, Silent: true})
		}
		if m.Roll == "removed" && (m.Revoked || m.Status == "failed") {
			out = append(out, goneBroker{Name: m.Name, GivenUp: true})
		}
	}
	return out, nil
}

// addRoom reads the metadata of the brokers: what those that answer and take jobs have free.
func (s *screen) addRoom(rows map[string]json.RawMessage) error {
	if rows != nil {
		s.Room = []room{}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		var m struct {
			Capabilities struct{ Capacity job.Resources }
			Usage        job.Resources
			Draining     bool
			Full         bool
		}
		if err := json.Unmarshal(rows[name], &m); err != nil {
			return fmt.Errorf("the metadata of %s: %w", name, err)
		}
		if p, isPeer := s.PeerBrokers[name]; m.Draining || m.Full || name == s.Name && s.DiskFull || name != s.Name && (!isPeer || !p.Healthy || p.Answers != nil && !*p.Answers || p.TakesNone != "") {
			continue
		}
		s.Room = append(s.Room, room{Broker: name, Capacity: m.Capabilities.Capacity, Free: m.Capabilities.Capacity.Minus(m.Usage)})
	}
	return nil
}

// colours reports whether stdout is a screen that shows colours, to somebody who wants them (https://no-color.org).
func (c *cli) colours() bool {
	unwanted, _ := c.lookupEnv("NO_COLOR")
	term, _ := c.lookupEnv("TERM")
	return c.outColumns() > 0 && unwanted == "" && term != "dumb"
}

// showScreen asks a broker, and shows the screen.
func (c *cli) showScreen(ctx context.Context, client *api.Client) error {
	s, err := readScreen(ctx, client)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return c.show(s, nil)
	}
	return s.print(c.out, cmp.Or(c.outColumns(), 80), c.colours())
}

// alone is `ucp` without a verb: the screen, or where no broker answers, in a line, how to begin.
func (c *cli) alone(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	err = c.showScreen(ctx, client)
	var u *api.UnreachableError
	if errors.As(err, &u) {
		return fmt.Errorf("%s; `ucp --help` lists what there is", c.explain(err))
	}
	return err
}
