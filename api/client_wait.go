package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"time"
)

// WaitOptions say how Wait goes about it; the zero value is fine.
type WaitOptions struct {
	// Poll is how long one request waits, at most MaxWait, which 0 means. A
	// shorter one shows more of what happens meanwhile.
	Poll time.Duration
	// Seen is told every answer. An error ends the waiting, and is returned.
	Seen func(Job) error
}

// pollPause is the least time between two requests of Wait: a broker that
// answers at once without need is not asked in a tight loop.
const pollPause = 250 * time.Millisecond

// Wait waits until the job is final and returns it. A broker that stops
// answering is given reconnectWithin to come back, then Wait gives up with the
// last error; one that has never answered this client is not waited for. Only
// ctx bounds how long the job itself may take.
func (c *Client) Wait(ctx context.Context, id string, o WaitOptions) (Job, error) {
	if o.Poll <= 0 || o.Poll > MaxWait {
		o.Poll = MaxWait
	}
	for {
		asked := time.Now()
		j, err := c.Job(ctx, id, o.Poll)
		switch {
		case err == nil:
			if o.Seen != nil {
				if err := o.Seen(j); err != nil {
					return j, err
				}
			}
			if j.State.Final() {
				return j, nil
			}
		case !passing(err) || c.silence() > reconnectWithin:
			return Job{}, err
		}
		if err := sleep(ctx, pollPause-time.Since(asked)); err != nil {
			return Job{}, err
		}
	}
}

// silence is how long the broker has not answered, the maximum when it never has.
func (c *Client) silence() time.Duration {
	heard := c.heard.Load()
	if heard == 0 {
		return math.MaxInt64
	}
	return time.Since(time.Unix(0, heard))
}

// passing reports whether an error may go away by itself: nobody answers, or the
// broker is on its way down or up.
func passing(err error) bool {
	var u *UnreachableError
	var e *Error
	return errors.As(err, &u) || errors.As(err, &e) && e.Status == http.StatusServiceUnavailable
}
