// Package load drives servers with many clients at once, and says how many requests they answered and how soon: as fast as the clients
// are answered (a closed loop), or at a steady pace whatever the answers do (an open loop). It has the bare pipeline, too, that
// submissions are compared to.
package load

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Client sends one request and returns when it was answered. One goroutine at a time calls it.
type Client func() error

// Figures are what load has shown.
type Figures struct {
	Rate     float64       `json:"rate"` // requests answered in a second
	P50, P99 time.Duration // of the time until a request was answered
}

func figuresOf(latencies []time.Duration, within time.Duration) Figures {
	slices.Sort(latencies)
	return Figures{Rate: float64(len(latencies)) / within.Seconds(), P50: Quantile(latencies, 0.50), P99: Quantile(latencies, 0.99)}
}

// Quantile returns the smallest value that at least the share q does not exceed (nearest rank), of values that are sorted; 0 of none.
func Quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	return values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
}

// Closed lets every client send as fast as it is answered. What is answered within the warm-up does not count. The first error ends it for
// the client that has met it, and is returned.
func Closed(clients []Client, warmup, measured time.Duration) (Figures, error) {
	from := time.Now().Add(warmup)
	until := from.Add(measured)
	all, err := together(clients, func(send Client) (out []time.Duration, err error) {
		for {
			begin := time.Now()
			if begin.After(until) {
				return out, nil
			}
			if err := send(); err != nil {
				return out, err
			}
			if end := time.Now(); end.After(from) && !end.After(until) {
				out = append(out, end.Sub(begin))
			}
		}
	})
	return figuresOf(all, measured), err
}

// Open sends so many requests a second, whatever the answers do: the next free client takes the next one. A latency counts from when the
// request was meant to be sent, so that a pause of the servers shows in all that it delays (no coordinated omission).
func Open(clients []Client, rate float64, measured time.Duration) (Figures, error) {
	n := int(rate * measured.Seconds())
	due := make(chan time.Time, n) // room for all: the pace never waits for a client
	go func() {
		defer close(due)
		pace(time.Now(), rate, n, time.Now, time.Sleep, func(at time.Time) { due <- at })
	}()
	all, err := together(clients, func(send Client) (out []time.Duration, err error) {
		for at := range due {
			if err := send(); err != nil {
				return out, err
			}
			out = append(out, time.Since(at))
		}
		return out, nil
	})
	return figuresOf(all, measured), err
}

// together runs f for every client at once, and collects the latencies.
func together(clients []Client, f func(Client) ([]time.Duration, error)) (all []time.Duration, failed error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			got, err := f(c)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
			if err != nil && failed == nil {
				failed = fmt.Errorf("client %d: %w", i, err)
			}
		})
	}
	wg.Wait()
	return all, failed
}

// pace calls send for n moments that are evenly spread from a start, each as soon as
// it has come. Who was asleep for too long sends all that is due by then.
func pace(start time.Time, rate float64, n int, now func() time.Time, sleep func(time.Duration), send func(time.Time)) {
	for i := range n {
		at := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if early := at.Sub(now()); early > 0 {
			sleep(early)
		}
		send(at)
	}
}
