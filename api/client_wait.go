package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"time"
)

// WaitOptions say how Wait goes about it; the zero value is fine.
type WaitOptions struct {
	// Poll is how long one request waits, at most MaxWait, which 0 means. A
	// shorter one shows more of what happens meanwhile.
	Poll time.Duration
	// Seen is told every answer. An error ends the waiting, and is returned.
	Seen func(Job) error
	// Patience is how long Wait bears that nobody answers; 0 means half a minute, in which a broker restarts.
	Patience time.Duration
	// Others: ask the broker for the addresses of the others, and go on with these when it does not answer any more.
	Others bool
	// Trouble is told why nobody has answered, each time; may be nil.
	Trouble func(error)
}

// pollPause is the least time between two requests of Wait: a broker that
// answers at once without need is not asked in a tight loop.
const pollPause = 250 * time.Millisecond

// Wait waits until the job is final and returns it. A broker that stops
// answering is given time to come back, then Wait gives up with the
// last error; one that has never answered this client is not waited for. Only
// ctx bounds how long the job itself may take.
func (c *Client) Wait(ctx context.Context, id string, o WaitOptions) (Job, error) {
	if o.Poll <= 0 || o.Poll > MaxWait {
		o.Poll = MaxWait
	}
	if o.Patience <= 0 {
		o.Patience = reconnectWithin
	}
	var good time.Time // when the job was seen last
	var from *url.URL  // by which broker
	for {
		asked, poll := time.Now(), o.Poll
		if o.Others && good.IsZero() {
			poll = 0 // who dies before the first answer has told nothing of the others
		}
		j, err := c.Job(ctx, id, poll)
		switch {
		case err == nil:
			good = time.Now()
			id = string(j.ID) // a beginning of it may mean more jobs later
			if o.Seen != nil {
				if err := o.Seen(j); err != nil {
					return j, err
				}
			}
			if j.State.Final() {
				return j, nil
			}
			if o.Others && from != c.present() {
				from = c.present()
				_ = c.Learn(ctx) // without them there is one broker, as without Others
			}
			if poll == 0 {
				continue // it was asked to answer at once
			}
		case missing(err) && !good.IsZero() && time.Since(good) < reconnectWithin:
			c.avoid(c.present()) // it was there, at another broker: this one hears of it yet, or a third one has
			o.trouble(err)
		case !Passing(err) || c.silence() > o.Patience:
			return Job{}, err
		default:
			o.trouble(err)
		}
		if err := Sleep(ctx, pollPause-time.Since(asked)); err != nil {
			return Job{}, err
		}
	}
}

func (o *WaitOptions) trouble(err error) {
	if o.Trouble != nil {
		o.Trouble(err)
	}
}

// missing reports whether the broker does not know the job.
func missing(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// silence is how long the broker has not answered, the maximum when it never has.
func (c *Client) silence() time.Duration {
	heard := c.heard.Load()
	if heard == 0 {
		return math.MaxInt64
	}
	return time.Since(time.Unix(0, heard))
}

// Passing reports whether an error of a Client may go away by itself: nobody answers, or the
// broker is on its way down or up.
func Passing(err error) bool {
	var u *UnreachableError
	var e *Error
	return errors.As(err, &u) || errors.As(err, &e) && e.Status == http.StatusServiceUnavailable
}
