// Package causal holds what a client has seen: the context that it carries from an answer to
// its next request, so that another broker can order what it asks for behind what it knows
// (rules C1 and C3 of docs/protocol.md).
//
// The package is pure.
package causal

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// Bounds of a causal token (rule C3).
const (
	maxEvents = 16
	maxToken  = 4096 // bytes of its text
	maxActor  = 96   // bytes: a name, a tilde, and a start
)

// Context is the newest frontier of what one client has seen: the causal token of
// rule C3. It is never a broker's clock: then everything at one broker would be
// ordered, and priority would decide nothing (rule C1). A client carries it from
// answer to request as text, and needs to know nothing of what is in it. The
// newest stands last.
type Context []Event

// Event is one event that a client knows of.
type Event struct {
	Dot clock.Dot `codec:"d"`
	Job job.ID    `codec:"j,omitempty"` // when the event is this job's creation

	// Firm is set when the client was shown that job's end as firm: the hash of that verdict's dot (rule R4).
	Firm uint32 `codec:"f,omitempty"`
}

// FirmEnd gives Event.Firm for a verdict with this dot.
func FirmEnd(verdict clock.Dot) uint32 {
	h := fnv.New32a()
	h.Write([]byte(verdict.String()))
	return max(h.Sum32(), 1)
}

// SawFirm reports whether the client was shown a verdict as the firm end of the job with this creation.
func (c Context) SawFirm(created, verdict clock.Dot) bool {
	return slices.ContainsFunc(c, func(x Event) bool { return x.Dot == created && x.Firm == FirmEnd(verdict) })
}

// Token is the text of a context; "" when it is empty.
func (c Context) Token() string {
	if len(c) == 0 {
		return ""
	}
	out := make([]byte, 0, 96*len(c)) // the codec would take a kilobyte, for every submission
	if err := codec.NewEncoderBytes(&out, handle).Encode([]Event(c)); err != nil {
		panic("broker: encoding a causal token: " + err.Error()) // it holds strings and numbers only
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

// Parse reads a token; "" is nothing seen.
func Parse(s string) (Context, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxToken {
		return nil, fmt.Errorf("causal token of %d bytes, at most %d are allowed", len(s), maxToken)
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("not a causal token: use the causal_token of an earlier answer as it was")
	}
	var c []Event
	if err := codec.NewDecoderBytes(b, handle).Decode(&c); err != nil {
		return nil, errors.New("not a causal token: use the causal_token of an earlier answer as it was")
	}
	if len(c) > maxEvents {
		return nil, fmt.Errorf("causal token of %d events, at most %d are allowed", len(c), maxEvents)
	}
	for _, x := range c {
		if x.Dot.IsZero() || !label.ValidName(x.Dot.Actor.Broker()) || len(x.Dot.Actor) > maxActor || x.Job != "" && !label.ValidName(string(x.Job)) {
			return nil, errors.New("the causal token names events that cannot exist")
		}
	}
	return c, nil
}

// With adds events that the client has seen after all others. An event that a later
// one of the same actor proves known is dropped, unless it is a job's creation,
// which orders (rule C1), and whose firm end stays known; beyond maxEvents the oldest go.
func (c Context) With(events ...Event) Context {
	out := slices.Clone(c)
	for _, e := range events {
		out = slices.DeleteFunc(out, func(x Event) bool {
			if x.Dot == e.Dot && x.Job == e.Job {
				e.Firm = cmp.Or(e.Firm, x.Firm)
				return true
			}
			return x.Job == "" && x.Dot.Actor == e.Dot.Actor && x.Dot.Counter <= e.Dot.Counter
		})
		if e.Job == "" && slices.ContainsFunc(out, func(x Event) bool {
			return x.Dot.Actor == e.Dot.Actor && x.Dot.Counter >= e.Dot.Counter
		}) {
			continue
		}
		out = append(out, e)
	}
	return out[max(0, len(out)-maxEvents):]
}

// Covers reports whether the client has seen this update, or a later one of the same writer.
func (c Context) Covers(d clock.Dot) bool {
	return slices.ContainsFunc(c, func(x Event) bool { return x.Dot.Actor == d.Actor && x.Dot.Counter >= d.Counter })
}

// Beyond returns the events that somebody does not know.
func (c Context) Beyond(knows func(clock.Dot) bool) (missing Context) {
	for _, x := range c {
		if !knows(x.Dot) {
			missing = append(missing, x)
		}
	}
	return missing
}

// Jobs returns the creations among the events, as a submission records them.
func (c Context) Jobs() (deps []job.Dependency) {
	for _, x := range c {
		if x.Job != "" {
			deps = append(deps, job.Dependency{Job: x.Job, Dot: x.Dot})
		}
	}
	return deps
}

var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.WriteExt = true
	return h
}()
