package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// Scope is one thing that may be done.
type Scope string

// The scopes. The last two are for members with a key of their own, and in no token.
const (
	Read      Scope = "read"      // see everything: jobs and their output, brokers, emergencies, events, figures
	Submit    Scope = "submit"    // submit jobs; write named data; see, and cancel, those that one has submitted
	Cancel    Scope = "cancel"    // cancel anybody's jobs; remove named data
	Operate   Scope = "operate"   // command brokers: strategies, draining, forgetting, log levels, debug bundles, audit logs
	Emergency Scope = "emergency" // declare and clear emergencies, up to a level: written "emergency:high"
	Admit     Scope = "admit"     // let others into the city, and revoke tokens
	Peer      Scope = "peer"      // take part as a broker

	// anything is met by whoever may do something.
	anything Scope = "anything"
)

// granted are the scopes that a token can have, in the order in which they are written.
var granted = []Scope{Read, Submit, Cancel, Operate, Emergency}

// ScopeNames lists the scopes that a token can have, as people write them.
func ScopeNames() (out []string) {
	for _, s := range granted {
		out = append(out, string(s))
	}
	for i, level := range job.Levels() {
		if i > 0 {
			out = append(out, string(Emergency)+":"+level)
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == string(Emergency) })
}

// Scopes is a set of scopes; the zero value may do nothing.
type Scopes struct {
	in    string // the names of those in it, sorted, each with a space before and behind it
	level int    // of emergencies that may be declared and cleared, see [job.Level]; 0 without Emergency
}

// scopesOf makes a set; level is for emergencies.
func scopesOf(level int, list ...Scope) Scopes {
	if level > 0 {
		list = append(list, Emergency)
	}
	names := slices.Compact(slices.Sorted(slices.Values(list)))
	s := Scopes{level: level}
	for _, name := range names {
		s.in += " " + string(name) + " "
	}
	return s
}

// highest is the level of the gravest emergencies.
var highest = len(job.Levels()) - 1

// All is the set of those who are trusted with everything: everybody, where a broker belongs to no city.
func All() Scopes { return scopesOf(highest, Read, Submit, Cancel, Operate, Admit, Peer) }

// Grantable is the most that a token can have.
func Grantable() Scopes { return scopesOf(highest, Read, Submit, Cancel, Operate) }

// OfRole is what a member may do who is admitted in a role.
func OfRole(r identity.Role) Scopes {
	switch r {
	case identity.Broker:
		return scopesOf(0, Read, Submit, Peer) // it gives others the inputs of jobs
	case identity.Operator:
		return scopesOf(highest, Read, Submit, Cancel, Operate, Admit)
	case identity.Client:
		return scopesOf(0, Read, Submit)
	}
	return Scopes{}
}

// ParseScopes reads scopes as people write them, such as "read,submit,emergency:high".
func ParseScopes(text string) (Scopes, error) {
	var list []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); !slices.Contains(ScopeNames(), name) {
			return Scopes{}, fmt.Errorf("scope %.40q: %s", name, label.OneOf(name, ScopeNames()))
		}
		list = append(list, name)
	}
	return readScopes(list), nil
}

// readScopes makes a set of names. Those that this version does not know, and those that no token can have, give nothing.
func readScopes(names []string) Scopes {
	var list []Scope
	level := 0
	for _, name := range names {
		if l, is := strings.CutPrefix(name, string(Emergency)+":"); is {
			level = max(level, job.Level(l))
		} else if s := Scope(name); s != Emergency && slices.Contains(granted, s) {
			list = append(list, s)
		}
	}
	return scopesOf(level, list...)
}

// Names lists what is in the set, as [ParseScopes] reads it and as a token has it.
func (s Scopes) Names() (out []string) {
	for _, name := range append(slices.Clone(granted), Admit, Peer) {
		switch {
		case !s.Has(name):
		case name == Emergency:
			out = append(out, string(name)+":"+job.LevelName(s.level))
		default:
			out = append(out, string(name))
		}
	}
	return out
}

// String is the set as people write it, "nothing" if it is empty.
func (s Scopes) String() string {
	if s.in == "" {
		return "nothing"
	}
	return strings.Join(s.Names(), ",")
}

// Has reports whether a scope is in the set; [Emergency] is if there is any level.
func (s Scopes) Has(x Scope) bool {
	return x == anything && s.in != "" || strings.Contains(s.in, " "+string(x)+" ")
}

// Level is up to which level emergencies may be declared and cleared, see [job.Level]; 0 is none.
func (s Scopes) Level() int { return s.level }

// And is what is in both sets.
func (s Scopes) And(t Scopes) Scopes {
	var list []Scope
	for _, x := range append(slices.Clone(granted), Admit, Peer) {
		if x != Emergency && s.Has(x) && t.Has(x) {
			list = append(list, x)
		}
	}
	return scopesOf(min(s.level, t.level), list...)
}

// Within reports whether everything in the set is in the other one.
func (s Scopes) Within(t Scopes) bool { return s.And(t) == s }
