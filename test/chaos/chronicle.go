package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// What happens to brokers is done here, so that it is told, and remembered for the
// judgement.

// blow is one time that a broker was gone without a word, and until when.
type blow struct {
	broker, how string // killed or paused
	at, back    time.Time
}

const (
	killed = "killed"
	paused = "paused"
)

// swap is a disk that was exchanged: what the broker had promised is gone with it.
type swap struct {
	broker, kept string
	at           time.Time
}

// tell tells the story as it happens.
func (w *world) tell(format string, args ...any) {
	line := fmt.Sprintf("%6.1fs  %s\n", time.Since(w.begin).Seconds(), fmt.Sprintf(format, args...))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story.WriteString(line)
	fmt.Print(line)
}

func (w *world) names(who []int) string { return brokerNames(who) }

// are names brokers with the verb.
func (w *world) are(who []int) string {
	if len(who) == 1 {
		return brokerName(who[0]) + " is"
	}
	return brokerNames(who) + " are"
}

// kill kills brokers, all at once, and waits until they are gone.
func (w *world) kill(who []int) error {
	for _, i := range who {
		w.absent(w.brokers[i], killed)
	}
	errs := make([]error, len(who))
	var all sync.WaitGroup
	for i, n := range who {
		all.Go(func() { errs[i] = w.brokers[n].Kill() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// back starts a broker again.
func (w *world) back(b *rig.Broker) error {
	w.present(b)
	return b.Start()
}

func (w *world) absent(b *rig.Broker, how string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blows = append(w.blows, &blow{broker: b.Name, how: how, at: time.Now()})
}

func (w *world) present(b *rig.Broker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.blows {
		if x.broker == b.Name && x.back.IsZero() {
			x.back = time.Now()
		}
	}
}

// replaced takes note of an exchanged disk.
func (w *world) replaced(b *rig.Broker, kept string) {
	w.mu.Lock()
	w.swaps = append(w.swaps, swap{broker: b.Name, kept: kept, at: time.Now()})
	w.mu.Unlock()
	w.witness.forget(b.Name)
}

// gone reports whether a broker's disk was exchanged after it made a promise.
func (w *world) gone(broker string, after time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.swaps, func(s swap) bool { return s.broker == broker && s.at.After(after) })
}

// counts counts a fault.
func (w *world) counts(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted[name]++
}

// shortOf counts what a broker said that was short of descriptors.
func (w *world) shortOf(answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.short[answer]++
}

func (w *world) healedNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.healed = time.Now()
}

// problem notes what is wrong beyond what has a count of its own.
func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}
