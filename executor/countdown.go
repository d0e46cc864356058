package executor

import "time"

// countdown is a timer that can be paused. It belongs to one goroutine.
type countdown struct {
	timer  *time.Timer
	left   time.Duration // what was left at the beginning, or when it was last paused
	since  time.Time     // when it last began to run
	paused bool
}

func newCountdown(d time.Duration) *countdown {
	return &countdown{timer: time.NewTimer(d), left: d, since: time.Now()}
}

// pause stops the countdown; a second call has no effect.
func (c *countdown) pause() {
	if c.paused {
		return
	}
	c.paused = true
	c.timer.Stop()
	c.left = max(0, c.left-time.Since(c.since))
}

// run continues a paused countdown if on is set, and does nothing otherwise.
func (c *countdown) run(on bool) {
	if !on || !c.paused {
		return
	}
	c.paused = false
	c.since = time.Now()
	c.timer.Reset(c.left)
}
