package main

import (
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// weather is how the links were from some time on.
type weather struct {
	at   time.Time
	lost map[rig.Link]float64
}

// spoil makes links lose what they carry, on top of what others ask for; nil mends what
// was spoilt under this name.
func (w *world) spoil(name string, lost map[rig.Link]float64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoilt[name] = lost
	sum := map[rig.Link]float64{}
	for _, one := range w.spoilt {
		for l, p := range one {
			sum[l] = max(sum[l], p)
		}
	}
	before := time.Now()
	err := w.network.Set(sum)
	// Until then the links were as they had been, or already as they are to be.
	w.weather = append(w.weather, weather{before, sum})
	if len(lost) == 0 && len(w.weather) > 1 { // what is mended is so when all of it is
		w.weather[len(w.weather)-1].at = time.Now()
	}
	return err
}

// heard reports whether two brokers could reach each other all the time, losing nothing.
func (w *world) heard(a, b string, from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, x := range w.weather {
		if x.at.After(to) || i+1 < len(w.weather) && w.weather[i+1].at.Before(from) {
			continue
		}
		for l := range x.lost {
			if one, other := brokerName(l.From), brokerName(l.To); one == a && other == b || one == b && other == a {
				return false
			}
		}
	}
	return true
}
