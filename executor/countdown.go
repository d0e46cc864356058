package executor

import "time"

// countdown is a timer that can stand still. One goroutine uses it.
type countdown struct {
	timer *time.Timer
	left  time.Duration // when it was last set going
	since time.Time     // when that was
	still bool
}

func newCountdown(d time.Duration) *countdown {
	return &countdown{timer: time.NewTimer(d), left: d, since: time.Now()}
}

// set starts again with d, which begins to run when the countdown does.
func (c *countdown) set(d time.Duration) {
	c.left, c.since = d, time.Now()
	if !c.still {
		c.timer.Reset(d)
	}
}

// pause stops the time; twice is once.
func (c *countdown) pause() {
	if c.still {
		return
	}
	c.still = true
	c.timer.Stop()
	c.left = max(0, c.left-time.Since(c.since))
}

// run lets the time go on from where it stopped, or not yet.
func (c *countdown) run(on bool) {
	if !on || !c.still {
		return
	}
	c.still = false
	c.since = time.Now()
	c.timer.Reset(c.left)
}
