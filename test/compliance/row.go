package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// row is one thing that is checked.
type row struct {
	name        string
	requirement int // number in the table of requirements
	how, limit  string
	within      time.Duration // for all of it; 0 is a minute
	check       func(context.Context, *cluster) (figure string, err error)
}

// verdict is what a row came to.
type verdict string

// The verdicts.
const (
	pass verdict = "PASS"
	fail verdict = "FAIL"
	skip verdict = "SKIP"
)

// outcome is a checked row, as -o json shows it.
type outcome struct {
	Requirement string  `json:"requirement"`
	Row         string  `json:"row"`
	How         string  `json:"how"`
	Figure      string  `json:"figure"`
	Limit       string  `json:"limit"`
	Verdict     verdict `json:"verdict"`
	Seconds     float64 `json:"seconds"`
	Why         string  `json:"why"`

	number int
}

// lacking is the error of a row that can't be checked here.
type lacking struct{ what string }

func (e lacking) Error() string { return e.what }

// run checks a row on a cluster; failed says why there is none.
func (r row) run(ctx context.Context, c *cluster, failed error) outcome {
	began := time.Now()
	out := outcome{Requirement: requirements[r.requirement], Row: r.name, How: r.how, Limit: r.limit, Verdict: pass, number: r.requirement}
	err := failed
	if err == nil {
		out.Figure, err = r.guarded(ctx, c)
	}
	var l lacking
	switch {
	case errors.As(err, &l):
		out.Verdict, out.Why = skip, l.what
	case err != nil:
		out.Verdict, out.Why = fail, strings.ReplaceAll(err.Error(), "\n", "; ") // of joined errors
	}
	out.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	return out
}

// guarded makes a failed row of a panic: brokers must be ended whatever happens.
func (r row) guarded(ctx context.Context, c *cluster) (figure string, err error) {
	within := r.within
	if within == 0 {
		within = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the check itself is broken: %v\n%s", p, debug.Stack())
		}
	}()
	return r.check(ctx, c)
}

// requirements are the rows of the table of Part B, in its order.
var requirements = []string{
	"brokers sync metadata periodically (60 s, configurable)",
	"peers are discovered, registered and deregistered automatically",
	"health monitoring, failure detection",
	"retry with exponential backoff, 10 s peer timeout, partial failure degrades gracefully",
	"metadata: vector clock, job counts and status, capabilities, emergency state",
	"conflict resolution in sync: by vector clock, causal order kept, deterministic ties",
	"five strategies, switchable at run time",
	"preemption by emergencies",
	"dynamic resource tracking",
	"statistics, coordination status, metadata endpoints",
	"redeploy jobs of a lost executor; first result accepted, others rejected",
	"parts of a split go on and reunite",
	"adaptive intervals under load, bounded history, compressed sync, persistence across restarts",
	"overhead: CPU a peer, decision time, memory a pending conflict, cost of causal ordering",
}
