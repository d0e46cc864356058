package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/strictjson"
)

// Emergency is one emergency as a broker knows it.
type Emergency struct {
	ID         emergency.ID `json:"id"`
	Type       string       `json:"type"`
	Level      string       `json:"level"`  // low | medium | high | critical
	Scope      []string     `json:"scope"`  // conditions on brokers' labels; empty: everywhere
	Select     []string     `json:"select"` // conditions on jobs' labels; empty: only jobs that name its ID or type
	Message    string       `json:"message"`
	DeclaredAt clock.Time   `json:"declared_at"`
	DeclaredBy string       `json:"declared_by"` // the broker that wrote its present terms
	Until      clock.Time   `json:"until"`       // it ends by itself then
	Active     bool         `json:"active"`
	Cleared    bool         `json:"cleared"`
	ClearedAt  clock.Time   `json:"cleared_at"` // null unless cleared
	ClearedBy  string       `json:"cleared_by"` // the broker where that was said
	EndedAt    clock.Time   `json:"ended_at"`   // cleared, or its time was over; null while it is active

	InScope bool `json:"in_scope"` // the broker that answers reacts to it
	// Brokers are those where it is in force, of OfBrokers that can be reached, and what it does there; Unmet says which
	// condition of its scope no broker meets. Of an active one that was declared, changed or asked for.
	Brokers   []EmergencyAt `json:"brokers,omitempty"`
	OfBrokers int           `json:"of_brokers,omitempty"`
	Unmet     string        `json:"unmet_scope,omitempty"`
	// Away are brokers that take part, may be in its scope, and can't be reached from the one that answers: whether it is in force
	// there is not known.
	Away []string `json:"away,omitempty"`
	// Jobs are those of the cluster that are not finished, which it may concern: where Brokers is given; null of an earlier
	// version.
	Jobs *JobCounts `json:"jobs,omitempty"`
	// Of an answer to a declaration or a clear: how many brokers held it then, and whether
	// that is fewer than the broker's --replicas.
	Replicas int  `json:"replicas,omitempty"`
	Degraded bool `json:"degraded,omitempty"`

	// Was are its terms until then, of an answer to a declaration that has changed it: what is not another now was kept.
	Was *EmergencyTerms `json:"was,omitempty"`

	// PassedOver are terms that were declared at another broker while the present ones were, neither having heard of the other: the
	// later ones stand, also where their level is lower. Absent where the broker that answers, since its start, has not held both.
	PassedOver *PassedOver `json:"passed_over,omitempty"`

	Heard bool `json:"heard"` // known from an event only, so far: the record is on its way

	// Effects are the jobs that had to make room because of it, the earliest first, at most
	// 1,000: only of one emergency. Caused is how many pauses of jobs there were; in a list,
	// how many jobs.
	Effects []Effect  `json:"effects,omitempty"`
	Caused  int       `json:"caused"`
	AsOf    time.Time `json:"as_of"`
}

// EmergencyTerms are what can be changed of an emergency, but for its time.
type EmergencyTerms struct {
	Type    string   `json:"type"`
	Level   string   `json:"level"`
	Scope   []string `json:"scope"`
	Select  []string `json:"select"`
	Message string   `json:"message"`
}

// PassedOver are terms of an emergency that do not stand.
type PassedOver struct {
	EmergencyTerms
	DeclaredBy string     `json:"declared_by"` // the broker where they were declared; "" for a stock command line
	DeclaredAt clock.Time `json:"declared_at"`
}

// JobCounts are how many jobs run and how many wait, as far as the broker knows that answers.
type JobCounts struct {
	Running int `json:"running"`
	Waiting int `json:"waiting"` // for room, for others, or because they were stopped
}

// EmergencyAt is a broker where an emergency is in force.
type EmergencyAt struct {
	Broker   string `json:"broker"`
	Strategy string `json:"strategy"`         // by which it decides
	Chosen   string `json:"chosen,omitempty"` // by which it decides again when the emergency is over; "" if that is the same
	Effect   string `json:"effect"`           // what becomes there of jobs that have its level, for people
	// Unheard: it has not said yet that it knows of it, as in the moment after a declaration, and as long as it does not hear of it.
	Unheard bool `json:"unheard,omitempty"`
}

// Effect is a time in which a job had to make room for another because of an emergency.
type Effect struct {
	Job   job.ID         `json:"job"`
	State job.State      `json:"state"` // of the job, now
	At    string         `json:"at"`    // the broker where it ran
	For   job.ID         `json:"for"`   // the job that got its room
	Mode  job.Preemption `json:"mode"`  // suspend | requeue
	From  clock.Time     `json:"from"`
	To    clock.Time     `json:"to"` // null while it still waits
	// Lasted is for how long it did not run, up to now while it still waits.
	Lasted clock.Duration `json:"lasted"`
}

// EmergencyList answers GET /v1/emergencies: those that are active first, then the latest.
type EmergencyList struct {
	Emergencies []Emergency `json:"emergencies"`
	AsOf        time.Time   `json:"as_of"`
}

// Declare declares an emergency, or changes one that is known, of which what is not given stays; created says which.
func (c *Client) Declare(ctx context.Context, d emergency.Declaration) (e Emergency, created bool, err error) {
	return c.declare(ctx, d, nil)
}

// DeclareNewType is Declare where the type is meant although it is a slip of the pen away from one that is in force.
func (c *Client) DeclareNewType(ctx context.Context, d emergency.Declaration) (e Emergency, created bool, err error) {
	return c.declare(ctx, d, url.Values{"new_type": {"1"}})
}

func (c *Client) declare(ctx context.Context, d emergency.Declaration, query url.Values) (e Emergency, created bool, err error) {
	body, err := strictjson.Marshal(d)
	if err != nil {
		return e, false, fmt.Errorf("encoding the declaration: %w", err)
	}
	status, err := c.json(ctx, call{
		method: http.MethodPost, path: []string{"v1", "emergencies"}, query: query, contentType: "application/json", body: Bytes(body), size: int64(len(body)),
	}, 0, &e)
	return e, status == http.StatusCreated, err
}

// ClearEmergency ends an emergency for good, by its ID, four letters of its beginning or more, or its type if only one of it is active; with unknown also one
// of which the broker has not heard yet.
func (c *Client) ClearEmergency(ctx context.Context, id string, unknown bool) (Emergency, error) {
	var e Emergency
	k := call{method: http.MethodDelete, path: []string{"v1", "emergencies", id}}
	if unknown {
		k.query = url.Values{"unknown": {"1"}}
	}
	_, err := c.json(ctx, k, 0, &e)
	return e, err
}

// Emergencies lists those that the broker knows.
func (c *Client) Emergencies(ctx context.Context) (EmergencyList, error) {
	var l EmergencyList
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "emergencies"}}, 0, &l)
	return l, err
}

// Emergency returns one, with all that it has caused, by its ID or a prefix.
func (c *Client) Emergency(ctx context.Context, id string) (Emergency, error) {
	var e Emergency
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "emergencies", id}}, 0, &e)
	return e, err
}
