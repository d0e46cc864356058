package api

import (
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Answers to Serf queries, which the stock command line asks: `serf query ucp:status` and so on. Each
// broker answers for itself. Serf allows an answer 1,024 bytes, so they are short.

// QueryStatus answers ucp:status.
type QueryStatus struct {
	Name      string            `json:"name"`
	Peers     int               `json:"peers"` // other brokers
	Healthy   int               `json:"healthy"`
	Jobs      map[job.State]int `json:"jobs"` // unfinished jobs owned there, by state
	Strategy  string            `json:"strategy"`
	Uptime    clock.Duration    `json:"uptime"`
	Clock     string            `json:"clock"`     // a hash, equal where the clock is equal
	LastSync  *time.Time        `json:"last_sync"` // null before the first
	Software  string            `json:"software"`
	Emergency InForce           `json:"emergency"`
}

// InForce is how emergencies stand at a broker.
type InForce struct {
	Level string   `json:"level"` // the highest; "" is none
	IDs   []string `json:"ids"`   // the highest first, some of them
	Count int      `json:"count"` // of all
}

// QueryMetadata answers ucp:metadata.
type QueryMetadata struct {
	Name      string        `json:"name"`
	Actor     clock.Actor   `json:"actor"`
	HTTP      string        `json:"http"` // address of the HTTP API
	Capacity  job.Resources `json:"capacity"`
	Drivers   []job.Driver  `json:"drivers"`
	Usage     job.Resources `json:"usage"` // what running jobs have asked for
	Strategy  string        `json:"strategy"`
	Clock     string        `json:"clock"`     // a hash, equal where the clock is equal
	Entries   int           `json:"entries"`   // of the clock
	Emergency string        `json:"emergency"` // the highest level in force; "" is none
}

// QueryStrategy answers ucp:strategy.
type QueryStrategy struct {
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
}

// QueryConflicts answers ucp:conflicts.
type QueryConflicts struct {
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
	Resolved uint64 `json:"resolved"` // decisions between jobs that could not all run, since the start
	Pending  int    `json:"pending"`  // jobs that wait for room or a key, now
	Running  int    `json:"running"`  // jobs that hold room, now
}

// QueryLoad answers ucp:load.
type QueryLoad struct {
	Name     string            `json:"name"`
	Usage    job.Resources     `json:"usage"`
	Capacity job.Resources     `json:"capacity"`
	Jobs     map[job.State]int `json:"jobs"` // unfinished jobs owned there, by state
}

// QueryJob answers ucp:job with a job's ID as payload.
type QueryJob struct {
	Name        string    `json:"name"` // of the broker that answers
	ID          job.ID    `json:"id"`
	State       job.State `json:"state"`
	Owner       string    `json:"owner"`
	Executor    string    `json:"executor"`
	Attempt     uint64    `json:"attempt"`
	ExitCode    *int      `json:"exit_code"`
	Reason      string    `json:"reason"` // cut to 120 bytes
	Why         string    `json:"why"`    // cut to 120 bytes
	Provisional bool      `json:"provisional"`
	KnownBy     int       `json:"known_by"`
	Members     int       `json:"members"`
}

// QueryError answers a query that can't be answered.
type QueryError struct {
	Name  string `json:"name,omitempty"`
	Error string `json:"error"`
}
