package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// stallsAfter is for how long nothing may come of what is fetched until people are told so.
const stallsAfter = 10 * time.Second

// arriving is what has come of something that is being fetched, for people. Nil counts nothing. Its methods may be called from any
// goroutine.
type arriving struct {
	of *arriving // what it is a part of: what comes of it comes of that, too

	mu    sync.Mutex
	came  int64
	had   int64                     // bytes that were here before
	size  int64                     // of all; 0 is not known
	parts func() (here, size int64) // of what comes in chunks, some of which may be here, or in other blobs
	from  string
	last  time.Time // when something came, or it began
	clock func() time.Time
}

func newArriving(of *arriving, now func() time.Time) *arriving {
	return &arriving{of: of, clock: now, last: now()}
}

// sized notes how large it is, and what was here as this broker began to be read from.
func (a *arriving) sized(had, size int64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.size == 0 {
		a.had, a.size = had, size
	}
}

// measuredBy has what comes in chunks say how much of it is here.
func (a *arriving) measuredBy(parts func() (here, size int64)) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parts = parts
}

// note counts bytes that have come from a broker.
func (a *arriving) note(n int, from string) {
	for ; a != nil && n > 0; a = a.of {
		a.mu.Lock()
		a.came, a.from, a.last = a.came+int64(n), from, a.clock()
		a.mu.Unlock()
	}
}

// text says what has come, and whether it stalls.
func (a *arriving) text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := mebibytes(a.came) + " have come"
	here, size := min(a.had+a.came, a.size), a.size
	if a.parts != nil {
		here, size = a.parts()
	}
	if size > 0 {
		text = fmt.Sprintf("%s of %s are here", mebibytes(here), mebibytes(size))
	}
	if a.from != "" {
		text += ", from " + a.from
	}
	if still := a.clock().Sub(a.last); still >= stallsAfter {
		text += fmt.Sprintf("; IT STALLS: nothing has come for %v", still.Round(time.Second))
	}
	return text
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

type arrivingKey struct{}

func withArriving(ctx context.Context, a *arriving) context.Context {
	return context.WithValue(ctx, arrivingKey{}, a)
}

// arrivingOf is what counts what is fetched for ctx; nil where nobody does.
func arrivingOf(ctx context.Context) *arriving {
	a, _ := ctx.Value(arrivingKey{}).(*arriving)
	return a
}

// coming are the inputs of one job that are being brought here.
type coming struct {
	of   int        // how many there are
	here int        // how many of them have come
	next job.Digest // the one that is on its way
	all  *arriving
}

// beginsToCome notes which of a job's inputs is on its way.
func (p *peers) beginsToCome(key string, c coming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.coming[key] = c
}

// arrives says, for people, how far the inputs of a job have come that is placed here; "" while none are on their way.
func (p *peers) arrives(key string) string {
	p.mu.Lock()
	c, fetches := p.coming[key]
	p.mu.Unlock()
	if !fetches {
		return ""
	}
	parts := []string{}
	if c.of > 1 {
		parts = append(parts, fmt.Sprintf("%d of %d are here", c.here, c.of))
	}
	what, is := "", c.all
	p.fetches.mu.Lock()
	if x := p.fetches.by[c.next]; x != nil {
		is = x.arriving
		if c.of > 1 {
			what = fmt.Sprintf("of %.12s ", c.next)
		}
	}
	p.fetches.mu.Unlock()
	return "fetching its inputs: " + strings.Join(append(parts, what+is.text()), "; ")
}
