package main

import (
	"errors"
	"math"
)

// Detector is a recursive STA/LTA trigger. Both averages are exponential, so that
// each sample costs the same however long the windows are.
type Detector struct {
	STA, LTA float64 // s, windows
	On, Off  float64 // ratios; On is the higher one
}

// DefaultDetector has the settings usual for local events.
func DefaultDetector() Detector { return Detector{STA: 0.5, LTA: 20, On: 4, Off: 1.5} }

// Validate says what is wrong with the settings.
func (d Detector) Validate() error {
	switch {
	case !(d.STA > 0 && d.LTA > d.STA):
		return errors.New("-sta must be above 0 and below -lta")
	case !(d.Off > 0 && d.On >= d.Off):
		return errors.New("-off must be above 0 and not above -on")
	}
	return nil
}

// Trigger is one detection.
type Trigger struct {
	On    float64 `json:"on_s"`
	Off   float64 `json:"off_s"`
	Ratio float64 `json:"peak_ratio"`
	PGA   float64 `json:"peak_ground_acceleration_m_s2"` // largest absolute acceleration while on
}

// Detect finds the triggers, in order of time. One that is still on at the end of
// the record ends there.
//
// The long average stands still while a trigger is on: the event must not
// become its own background.
func (d Detector) Detect(t Trace) []Trigger {
	found := []Trigger{}
	mean := average(t.Samples) // instruments have an offset
	cs, cl := 1/(d.STA*t.Rate), 1/(d.LTA*t.Rate)
	cs, cl = min(cs, 1), min(cl, 1)
	warm := int(math.Ceil(d.LTA * t.Rate)) // before that the long average means nothing
	var sta, lta float64
	var on *Trigger
	for i, a := range t.Samples {
		a -= mean
		energy := a * a
		sta += cs * (energy - sta)
		if on == nil {
			// The plain mean until the window is full, so that the start of the
			// record does not weigh more than the rest.
			lta += max(cl, 1/float64(i+1)) * (energy - lta)
		}
		if i < warm || lta <= 0 {
			continue
		}
		ratio, at := sta/lta, t.Start+float64(i)/t.Rate
		if on == nil && ratio >= d.On {
			found = append(found, Trigger{On: at})
			on = &found[len(found)-1]
		}
		if on == nil {
			continue
		}
		on.Off, on.Ratio, on.PGA = at, max(on.Ratio, ratio), max(on.PGA, math.Abs(a))
		if ratio < d.Off {
			on = nil
		}
	}
	return found
}

func average(s []float64) float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}
