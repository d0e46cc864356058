package broker

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// maxPast bounds a causal token (rule C3).
const maxPast = 16

// maxToken bounds its text.
const maxToken = 4096

// Past is the newest frontier of what one client has seen: the causal token of
// rule C3. It is never a broker's clock: then everything at one broker would be
// ordered, and priority would decide nothing (rule C1). A client carries it from
// answer to request as text, and needs to know nothing of what is in it. The
// newest stands last.
type Past []Seen

// Seen is one event that a client knows of.
type Seen struct {
	Dot clock.Dot `codec:"d"`
	Job job.ID    `codec:"j,omitempty"` // when the event is this job's creation
}

// Token is the text of a Past; "" when it is empty.
func (p Past) Token() string {
	if len(p) == 0 {
		return ""
	}
	out := make([]byte, 0, 96*len(p)) // the codec would take a kilobyte, for every submission
	if err := codec.NewEncoderBytes(&out, wire).Encode([]Seen(p)); err != nil {
		panic("broker: encoding a causal token: " + err.Error()) // it holds strings and numbers only
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

// ParsePast reads a token; "" is nothing seen.
func ParsePast(s string) (Past, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxToken {
		return nil, fmt.Errorf("causal token of %d bytes, at most %d are allowed", len(s), maxToken)
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("this is no causal token: use the causal_token of an earlier answer as it was")
	}
	var p []Seen
	if err := codec.NewDecoderBytes(b, wire).Decode(&p); err != nil {
		return nil, errors.New("this is no causal token: use the causal_token of an earlier answer as it was")
	}
	if len(p) > maxPast {
		return nil, fmt.Errorf("causal token of %d events, at most %d are allowed", len(p), maxPast)
	}
	for _, x := range p {
		if x.Dot.IsZero() || !label.ValidName(x.Dot.Actor.Broker()) || len(x.Dot.Actor) > 80 || x.Job != "" && !label.ValidName(string(x.Job)) {
			return nil, errors.New("this causal token names events that can't be")
		}
	}
	return p, nil
}

// With adds events that the client has seen after all others. An event that a later
// one of the same actor proves known is dropped, unless it is a job's creation,
// which orders (rule C1); beyond maxPast the oldest go.
func (p Past) With(events ...Seen) Past {
	out := slices.Clone(p)
	for _, e := range events {
		out = slices.DeleteFunc(out, func(x Seen) bool {
			return x == e || x.Job == "" && x.Dot.Actor == e.Dot.Actor && x.Dot.Counter <= e.Dot.Counter
		})
		if e.Job == "" && slices.ContainsFunc(out, func(x Seen) bool {
			return x.Dot.Actor == e.Dot.Actor && x.Dot.Counter >= e.Dot.Counter
		}) {
			continue
		}
		out = append(out, e)
	}
	return out[max(0, len(out)-maxPast):]
}

// beyond returns the events that a clock does not cover.
func (p Past) beyond(c clock.Vector) (missing Past) {
	for _, x := range p {
		if !c.Has(x.Dot) {
			missing = append(missing, x)
		}
	}
	return missing
}

// jobs returns the creations among the events, as a submission records them.
func (p Past) jobs() (deps []job.Dependency) {
	for _, x := range p {
		if x.Job != "" {
			deps = append(deps, job.Dependency{Job: x.Job, Dot: x.Dot})
		}
	}
	return deps
}
