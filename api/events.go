package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/job"
)

// EventKinds are the kinds of events that one can ask for. Those of the kind [Rejected] are events of jobs, too.
var EventKinds = []string{"emergency", "preemption", "job", "member", "health", "strategy", "data", Rejected}

// Rejected is the kind of results that do not count, since a job ran twice in a split. In an event it is What, and Kind is job, as it was before these could
// be asked for alone.
const Rejected = "rejected"

// Event is one line of GET /v1/events, as the data of a server-sent event.
type Event struct {
	At     time.Time `json:"at"`
	Broker string    `json:"broker"`          // that saw it, or came to know of it
	Kind   string    `json:"kind"`            // emergency | preemption | job | member | health | strategy | data | lost
	ID     string    `json:"id"`              // of the emergency or job; the member's name; the strategy
	What   string    `json:"what"`            // declared, changed, cleared, ended; suspended, requeued; a state; join, failed, leave, ...
	Place  string    `json:"place,omitempty"` // of a job or preemption: the broker where the job is placed
	For    job.ID    `json:"for,omitempty"`   // of a preemption: the job that gets the room
	Text   string    `json:"text"`            // one line for a person

	// Cursor is what EventOptions.After takes: the client sets it, from the ID of the server-sent event. "" of a broker of an earlier
	// version.
	Cursor string `json:"cursor,omitempty"`
}

// EventOptions choose events; the zero value is all but states of jobs and versions of data, from now on.
type EventOptions struct {
	Kinds  []string // of EventKinds
	Job    string   // only those of this job, by its ID or a beginning of it: its states, and who makes room for whom
	Broker string   // only those about this broker, and about what is placed there
	Since  string   // also those since then: a time in the form of RFC 3339, or a duration from the broker's now back
	After  string   // also those behind the one with this cursor

	// Current is called once all that has happened before is told; an error ends the stream, and is returned. It may be nil.
	Current func() error
}

// call is the request for them.
func (o *EventOptions) call() call {
	k := call{method: http.MethodGet, path: []string{"v1", "events"}, query: url.Values{}, after: o.After}
	set := func(name, value string) {
		if value != "" {
			k.query.Set(name, value)
		}
	}
	if set("since", o.Since); o.Job != "" {
		k.path = []string{"v1", "jobs", o.Job, "events"}
	} else {
		set("kinds", strings.Join(o.Kinds, ","))
	}
	set("broker", o.Broker)
	return k
}

// Events calls do for what happens, as the broker comes to know it, until the context ends, the connection breaks or do returns an error,
// which it returns. Of what has happened before the broker knows the latest: where some of it is missing, there is an event of the kind
// "lost", whatever is chosen.
func (c *Client) Events(ctx context.Context, o EventOptions, do func(Event) error) error {
	body, err := c.stream(ctx, o.call())
	if err != nil {
		return err
	}
	defer body.Close()
	begun, current := false, false
	return readEvents(body, func(id string, data []byte) error {
		if !begun && o.After != "" && id == "" { // it does not know cursors
			lost := Event{At: time.Now().UTC(), Kind: "lost", What: "lost", Text: "this broker is of an earlier version, and can't tell what has happened before: look again"}
			if err := do(lost); err != nil {
				return err
			}
		}
		begun = true
		if len(data) == 0 {
			if o.Current != nil && !current {
				current = true
				return o.Current()
			}
			return nil
		}
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("an event of %s is not understood: %w", c.Addr(), err)
		}
		if e.Cursor = id; o.Job != "" && len(o.Kinds) > 0 && e.Kind != "lost" && !slices.Contains(o.Kinds, e.Kind) {
			return nil
		}
		return do(e)
	})
}
