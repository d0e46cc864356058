package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// followLogs prints what a job writes, attempt by attempt, until it has ended; without -f what there is now.
func (c *cli) followLogs(ctx context.Context, client *api.Client, id string, f *logsFlags) error {
	shown := "" // the token of the attempt that was followed last
	var before []followed
	var out, errOut past
	for {
		j, err := c.awaitAttempt(ctx, client, id, f, shown)
		if err != nil {
			return err
		}
		id = string(j.ID)
		a, number := attemptOf(&j, f.attempt)
		if a == nil && f.attempt > 0 {
			return fmt.Errorf("job %s has no attempt %d", j.ID, f.attempt)
		}
		if a == nil || a.Attempt == shown {
			return nil // it has ended, and nothing of it is left to show
		}
		if !f.follow && !j.State.Final() && goesOn(a) {
			return fmt.Errorf("job %s is %s: -f shows what it has written so far", j.ID, j.State)
		}
		if last := len(before) - 1; last >= 0 {
			text := before[last].end(&j)
			fmt.Fprintf(c.err, "ucp: job %s: %s; attempt %d, at %s, follows%s\n", j.ID, text, number, a.Executor, goneOn(before, a.Executor))
		}
		before = append(before, followed{token: a.Attempt, executor: a.Executor, number: number})
		keeps := j.Spec != nil && j.Spec.Checkpoint != nil // the output of its attempts goes on, too
		if err := c.followAttempt(ctx, client, id, a, f, out.after(keeps), errOut.after(keeps)); err != nil {
			return err
		}
		if shown = a.Attempt; f.attempt > 0 || !f.follow {
			return nil
		}
	}
}

// lookAgain is how often it is looked whether a job has another attempt.
const lookAgain = 500 * time.Millisecond

// awaitAttempt waits until a job has an attempt other than the one that was shown, or has ended.
func (c *cli) awaitAttempt(ctx context.Context, client *api.Client, id string, f *logsFlags, shown string) (api.Job, error) {
	var silent time.Time // since when nobody answers; zero while somebody does
	for {
		j, err := client.Job(ctx, id, 0)
		a, _ := attemptOf(&j, f.attempt)
		switch {
		case err == nil && (j.State.Final() || a != nil && a.Attempt != shown || a == nil && f.attempt > 0):
			return j, nil
		case err == nil && !f.follow:
			return j, fmt.Errorf("job %s is %s; its output is there when it has begun", j.ID, j.State)
		case err == nil:
			silent = time.Time{}
		case ctx.Err() != nil || !api.Passing(err):
			return j, err
		case silent.IsZero():
			silent = time.Now()
		case time.Since(silent) > allSilent:
			return j, err
		}
		select {
		case <-ctx.Done():
			return j, context.Cause(ctx)
		case <-time.After(lookAgain):
		}
	}
}

// attemptOf is the attempt with that number, from 1 on, or with 0 the one that counts: the accepted one of an ended job, else the latest
// that has a place. It is nil where there is none.
func attemptOf(j *api.Job, wanted int) (found *api.Attempt, number int) {
	for i := range j.Attempts {
		a := &j.Attempts[i]
		switch {
		case a.Executor == "" || wanted > 0 && i+1 != wanted:
		case wanted == 0 && j.Accepted != nil && j.Accepted.Attempt == a.Attempt:
			return a, i + 1
		default:
			found, number = a, i+1
		}
	}
	return found, number
}

// followed is an attempt that was followed. Later of some no more is known than that there was one.
type followed struct {
	token, executor string
	number          int
	over            bool // its broker has said that it ended
}

// end says what has become of it, no more than is known: a broker that stood still may go on with what counts as lost.
func (x *followed) end(j *api.Job) string {
	text := fmt.Sprintf("attempt %d, at %s,", x.number, x.executor)
	i := slices.IndexFunc(j.Attempts, func(a api.Attempt) bool { return a.Attempt == x.token })
	if i < 0 || j.Attempts[i].State == job.AttemptEarlier {
		return text + " no longer counts"
	}
	a := &j.Attempts[i]
	x.over = a.EndedAt != 0
	switch {
	case a.State == job.AttemptLost:
		return text + " is lost, or its broker has not said how it ended"
	case a.Reason != "":
		return text + " " + a.State + ": " + oneLine(a.Reason)
	case x.over:
		return text + " " + a.State
	}
	return text + " no longer counts"
}

// goneOn warns that an attempt may be one that was followed before: its broker has gone on with that, and what it has written
// comes again.
func goneOn(before []followed, executor string) string {
	for _, x := range slices.Backward(before) {
		if x.executor == executor && !x.over {
			return fmt.Sprintf(" from its beginning; it may be attempt %d, which has gone on", x.number)
		}
	}
	return ""
}

// goesOn reports whether an attempt may still write.
func goesOn(a *api.Attempt) bool {
	switch a.State {
	case job.AttemptQueued, job.AttemptStarting, job.AttemptLoading, job.AttemptRunning, job.AttemptSuspended, job.AttemptStopping:
		return true
	}
	return false
}

// followAttempt prints what one attempt writes, until it has ended.
func (c *cli) followAttempt(ctx context.Context, client *api.Client, id string, a *api.Attempt, f *logsFlags, newOut, newErr func(io.Writer) io.Writer) error {
	var out, errOut error
	var following sync.WaitGroup
	follow := func(stderr bool, to io.Writer, fresh func(io.Writer) io.Writer, err *error) {
		following.Go(func() {
			w := newLogWriter(to, f)
			*err = c.followStream(ctx, client, id, api.FollowOptions{Attempt: a.Attempt, Stderr: stderr}, fresh(w))
			*err = errors.Join(*err, w.end())
		})
	}
	if !f.onlyErr {
		follow(false, c.out, newOut, &out)
	}
	if !f.onlyOut {
		follow(true, c.err, newErr, &errOut)
	}
	following.Wait()
	if out != nil {
		return out
	}
	return errOut
}

// past is what the attempts that were followed had written to a stream, where the next one goes on from a checkpoint: what
// that has kept comes again at its beginning. It is at most as much as a job may write.
type past struct {
	to    io.Writer
	was   []byte // by the attempt before
	now   []byte // by this one
	fresh bool   // it has gone another way
}

// after hands out what makes, of a writer, one that leaves out what the attempt before had written; or, where nothing is kept, leaves nothing out.
func (p *past) after(keeps bool) func(io.Writer) io.Writer {
	if !keeps {
		return func(to io.Writer) io.Writer { return to }
	}
	if p.fresh { // else it had not come as far as the one before
		p.was = p.now
	}
	p.now, p.fresh = nil, false
	return func(to io.Writer) io.Writer { p.to = to; return p }
}

// Write implements io.Writer.
func (p *past) Write(b []byte) (int, error) {
	at := len(p.now)
	p.now = append(p.now, b...)
	left := b
	for !p.fresh && len(left) > 0 {
		if p.fresh = at >= len(p.was) || p.was[at] != left[0]; !p.fresh {
			at, left = at+1, left[1:]
		}
	}
	if len(left) == 0 {
		return len(b), nil
	}
	n, err := p.to.Write(left)
	return len(b) - len(left) + n, err
}

// followStream copies one stream of an attempt. When the connection is lost, it goes on behind what has come.
func (c *cli) followStream(ctx context.Context, client *api.Client, id string, o api.FollowOptions, to io.Writer) error {
	var silent time.Time // since when nobody answers; zero while somebody does
	for {
		r, err := client.Follow(ctx, id, o)
		if err == nil {
			var n int64
			n, err = io.Copy(to, r)
			_ = r.Close() // nothing more is read
			if o.From += n; err == nil {
				return nil
			}
			silent = time.Time{}
		} else if !api.Passing(err) {
			return err
		}
		if silent.IsZero() {
			silent = time.Now()
		}
		if time.Since(silent) > allSilent {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookAgain):
		}
	}
}

// logWriter prints lines, with the time at which each came, or only the last ones of what was written before, as told.
type logWriter struct {
	to    io.Writer
	times bool
	left  int // lines of the past that are kept; negative once all is printed as it comes

	past  [][]byte // the last lines
	quiet *time.Timer
	mu    sync.Mutex
	err   error
	mid   bool // the last line is not at its end
}

// pastFor is how long nothing must come for what has come so far to be the past.
const pastFor = 300 * time.Millisecond

func newLogWriter(to io.Writer, f *logsFlags) *logWriter {
	w := &logWriter{to: to, times: f.timestamps, left: f.tail}
	if w.left >= 0 {
		w.quiet = time.AfterFunc(pastFor, w.present)
	}
	return w
}

// Write implements io.Writer.
func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if w.left < 0 {
		w.print(b)
		return len(b), w.err
	}
	w.quiet.Reset(pastFor)
	for line := range bytes.Lines(b) {
		if n := len(w.past); n > 0 && !bytes.HasSuffix(w.past[n-1], []byte("\n")) {
			w.past[n-1] = append(w.past[n-1], line...)
			continue
		}
		w.past = append(w.past, bytes.Clone(line))
		if len(w.past) > w.left {
			w.past = w.past[1:]
		}
	}
	return len(b), nil
}

// present prints what is kept of the past; from now on all is printed as it comes.
func (w *logWriter) present() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left < 0 {
		return
	}
	w.left = -1
	for _, line := range w.past {
		w.print(line)
	}
	w.past = nil
}

// end prints what is left.
func (w *logWriter) end() error {
	if w.quiet != nil {
		w.quiet.Stop()
		w.present()
	}
	return w.err
}

func (w *logWriter) print(b []byte) {
	if !w.times {
		_, w.err = w.to.Write(b)
		return
	}
	var out []byte
	for line := range bytes.Lines(b) {
		if !w.mid {
			out = append(time.Now().UTC().AppendFormat(out, "2006-01-02T15:04:05.000Z"), ' ')
		}
		out = append(out, line...)
		w.mid = !bytes.HasSuffix(line, []byte("\n"))
	}
	if w.err == nil {
		_, w.err = w.to.Write(out)
	}
}
