package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/strictjson"
)

// Strategy is the body of GET and PUT /v1/strategy.
type Strategy struct {
	Strategy string `json:"strategy"` // by which the broker decides
	// Chosen is the one that decides again when Emergency, its ID, is over, because of which Strategy decides; both are ""
	// while no emergency changes that.
	Chosen    string `json:"chosen,omitempty"`
	Emergency string `json:"emergency,omitempty"`

	Cluster bool `json:"cluster,omitempty"` // PUT: for all brokers, also those that join later
	// Others: PUT without Cluster says which other brokers decide otherwise, by the strategy that was chosen there.
	Others map[string][]string `json:"others,omitempty"`
	// Commanded are those of Others that decide by the strategy emergency for the moment, each with the emergency for which.
	Commanded map[string]string `json:"commanded,omitempty"`
	// Known lists all that there are.
	Known []string `json:"known,omitempty"`
}

// ConflictList answers GET /v1/conflicts, the newest first. One by its ID is
// explained at GET /v1/conflicts/{id}: see package resolve.
type ConflictList struct {
	Conflicts []Conflict `json:"conflicts"`
	Total     uint64     `json:"total"` // decided since the broker's start
}

// Conflict is one decision between jobs that could not all run, in short.
type Conflict struct {
	ID       string     `json:"id"`
	At       clock.Time `json:"at"`
	Strategy string     `json:"strategy"`
	Kind     string     `json:"kind"`           // capacity | exclusive | twice
	Over     string     `json:"over,omitempty"` // the exclusive key, or the job
	Winner   string     `json:"winner"`         // ID of a job; "" when nobody won
	Jobs     int        `json:"jobs"`           // contenders and holders
	Sentence string     `json:"sentence"`
	IDs      []string   `json:"ids,omitempty"` // of the jobs that it records; none from an earlier version
}

// ConflictStatistics answers GET /broker/conflict-statistics.
type ConflictStatistics struct {
	CurrentStrategy        string           `json:"current_strategy"`
	TotalConflictsResolved uint64           `json:"total_conflicts_resolved"`
	PendingConflicts       int              `json:"pending_conflicts"` // jobs that wait for room or a key here
	RunningJobs            int              `json:"running_jobs"`
	ResourceUsage          Usage            `json:"resource_usage"`
	RecentConflicts        []RecentConflict `json:"recent_conflicts"`
}

// Usage is in percent of what the broker offers.
type Usage struct {
	CPU    float64 `json:"cpu"`    // measured, of the running workers
	Memory float64 `json:"memory"` // measured
	IO     float64 `json:"io"`     // what running jobs have asked for
}

// RecentConflict is one decision in ConflictStatistics.
type RecentConflict struct {
	JobID     string    `json:"job_id"`
	Strategy  string    `json:"strategy"`
	Reason    string    `json:"reason"`
	Timestamp time.Time `json:"timestamp"`
}

// DryRun answers a submission with ?dry_run=1: nothing was submitted. The broker that
// would be preferred stands first.
type DryRun struct {
	Brokers  []Prospect `json:"brokers"`
	Module   *Module    `json:"module,omitempty"`   // as of a Submission
	Warnings []string   `json:"warnings,omitempty"` // as of a Submission
}

// Prospect is what a job would find at one live broker, as far as the broker that was
// asked knows.
type Prospect struct {
	Broker   string   `json:"broker"`
	Strategy string   `json:"strategy"`
	Meets    []string `json:"meets"`  // constraints that hold there
	Lacks    []string `json:"lacks"`  // what keeps the job from ever running there
	Cost     float64  `json:"cost"`   // the load that it would then have, for a job with a level what goes before it there, and a little for distance, absent inputs, waiting, and a lower level than elsewhere
	Score    int64    `json:"score"`  // of the job among those that compete there
	Starts   bool     `json:"starts"` // at once
	Yields   []string `json:"yields"` // jobs that would have to make room for it, and how
	Why      string   `json:"why,omitempty"`
}

// DryRun asks what would become of a job, without submitting it. Its blobs need not be
// there.
func (c *Client) DryRun(ctx context.Context, spec job.Spec, token string) (DryRun, error) {
	var out DryRun
	body, err := strictjson.Marshal(spec)
	if err != nil {
		return out, fmt.Errorf("encoding the job spec: %w", err)
	}
	q := url.Values{"dry_run": {"1"}}
	if token != "" {
		q.Set("causal_token", token)
	}
	_, err = c.json(ctx, call{
		method: http.MethodPost, path: []string{"v1", "jobs"}, query: q, contentType: "application/json", body: Bytes(body), size: int64(len(body)),
	}, 0, &out)
	return out, err
}

// Strategy asks how a broker decides conflicts.
func (c *Client) Strategy(ctx context.Context) (Strategy, error) {
	var s Strategy
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "strategy"}}, 0, &s)
	return s, err
}

// SetStrategy changes it, for this broker or with cluster for all.
func (c *Client) SetStrategy(ctx context.Context, name string, cluster bool) (Strategy, error) {
	var s Strategy
	body, err := strictjson.Marshal(Strategy{Strategy: name, Cluster: cluster})
	if err != nil {
		return s, fmt.Errorf("encoding the strategy: %w", err)
	}
	_, err = c.json(ctx, call{
		method: http.MethodPut, path: []string{"v1", "strategy"}, contentType: "application/json", body: Bytes(body), size: int64(len(body)),
	}, 0, &s)
	return s, err
}

// Conflicts lists what a broker has decided lately, the newest first.
func (c *Client) Conflicts(ctx context.Context, limit int) (ConflictList, error) {
	var l ConflictList
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "conflicts"}, query: q}, 0, &l)
	return l, err
}

// ConflictStatistics tells what a broker has decided, and how loaded it is.
func (c *Client) ConflictStatistics(ctx context.Context) (ConflictStatistics, error) {
	var s ConflictStatistics
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"broker", "conflict-statistics"}}, 0, &s)
	return s, err
}

// Conflict returns one conflict as JSON: explained, or as the bundle that
// `ucp conflict replay` reads.
func (c *Client) Conflict(ctx context.Context, id string, bundle bool) ([]byte, error) {
	k := call{method: http.MethodGet, path: []string{"v1", "conflicts", id}}
	if bundle {
		k.query = url.Values{"bundle": {"1"}}
	}
	resp, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxJSON))
}
