package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// group is rows that are checked one after the other, on the cluster that open
// starts (none when open is nil).
type group struct {
	name  string
	alone bool // it measures the machine: nothing else goes on meanwhile
	open  func(context.Context, *lab, string) (*cluster, error)
	rows  []row
}

// groups are all there are. Those that are alone are checked in their order, the
// others between the first and the last of them, the longest first.
func groups() []group {
	return []group{figuresGroup(), proxyGroup(), membersGroup(), jobsGroup(), splitGroup(), syncGroup(), idleGroup(), loadGroup()}
}

// atOnce is how many groups are checked side by side: brokers mostly wait, and two
// cores are enough for three small clusters.
const atOnce = 3

// lab checks groups and collects what came out.
type lab struct {
	o        *options
	network  *rig.Network // that can be split; nil where there is none
	city     *rig.City    // whose members the brokers are; nil for none
	progress io.Writer
	begin    time.Time

	mu       sync.Mutex
	outcomes []outcome
}

// check checks all groups.
func (l *lab) check(ctx context.Context, all []group) {
	l.begin = time.Now()
	var slots = make(chan struct{}, atOnce)
	var side sync.WaitGroup
	for _, g := range all {
		if g.alone {
			side.Wait()
			l.group(ctx, g)
			continue
		}
		slots <- struct{}{}
		side.Go(func() {
			defer func() { <-slots }()
			l.group(ctx, g)
		})
	}
	side.Wait()
}

// group checks one group.
func (l *lab) group(ctx context.Context, g group) {
	c := &cluster{lab: l}
	err := ctx.Err()
	if g.open != nil && err == nil {
		if c, err = g.open(ctx, l, g.name); c != nil {
			defer c.end()
		}
	}
	for _, r := range g.rows {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		l.note(r.run(ctx, c, err))
	}
}

// note keeps an outcome and says it at once.
func (l *lab) note(x outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes = append(l.outcomes, x)
	text := x.Figure
	if x.Verdict != pass {
		text = joined(x.Figure, x.Why)
	}
	fmt.Fprintf(l.progress, "%6.1fs  %s  %-18s %s\n", time.Since(l.begin).Seconds(), x.Verdict, x.Row, text)
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + ": " + b
}
