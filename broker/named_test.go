package broker

import (
	"fmt"
	"maps"
	"strings"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
)

// The stories' commands about named data:
//
//	put a NAME f [if=b~1:3] [by=kim] [any]
//	                            a client writes a version at a; if: that is the latest, or none; by: kim does (rule D9); any: who may
//	                            write names of others
//	remove a NAME               it removes what is there
//	data a [NAME/]              what a knows of the names below that, with what was removed
//	datum a NAME, await a NAME  what a name stands for at a; when it stands for another version
func init() {
	maps.Copy(commands, map[string]func(*story){
		"put": func(s *story) {
			in := PutData{Name: data.Name(s.word(1)), Content: data.Content{Digest: digestOf(s.word(2)), Size: int64(len(s.word(2)))}, Past: s.past(), By: s.option("by", ""), Any: s.d.HasArg("any")}
			if text := s.option("if", ""); text != "" {
				in.If = &clock.Dot{}
				if text != "none" {
					*in.If = s.dot(text)
				}
			}
			s.w.ask(s.node(0), "put", func(t Token) Input { in.Token = t; return in })
			s.w.ready(s.node(0))
		},
		"remove": func(s *story) {
			s.w.ask(s.node(0), "remove", func(t Token) Input {
				return RemoveData{Token: t, Name: data.Name(s.word(1)), Past: s.past()}
			})
			s.w.ready(s.node(0))
		},
		"data": func(s *story) {
			s.w.ask(s.node(0), "data", func(t Token) Input {
				return ListData{Token: t, Prefix: s.word(1), Removed: true, Limit: 100}
			})
			s.w.ready(s.node(0))
		},
		"datum": func(s *story) {
			s.w.ask(s.node(0), "datum", func(t Token) Input { return GetData{Token: t, Name: data.Name(s.word(1)), Past: s.past()} })
			s.w.ready(s.node(0))
		},
		"await": func(s *story) {
			name := data.Name(s.word(1))
			s.w.ask(s.node(0), "await", func(t Token) Input {
				return AwaitData{Token: t, Name: name, Known: latestOf(s.node(0).b.names.get(name)), Past: s.past()}
			})
			s.w.ready(s.node(0))
		},
	})
}

// dot reads an update, such as b:3 of b's present start.
func (s *story) dot(text string) (d clock.Dot) {
	name, n, _ := strings.Cut(text, ":")
	d.Actor = s.w.nodes[name].cfg.Actor
	if _, err := fmt.Sscan(n, &d.Counter); err != nil {
		s.d.Fatalf(s.t, "%v", err)
	}
	return d
}

func digestOf(name string) job.Digest { return job.Digest(strings.Repeat(name, 64)[:64]) }

// dataText shows the versions of a name, the latest first; a place in brackets.
func dataText(r *data.Record) string {
	var out []string
	for _, v := range r.Versions {
		by := fmt.Sprintf("%s:%d", v.Dot.Actor.Broker(), v.Dot.Counter)
		switch {
		case v.There():
			out = append(out, fmt.Sprintf("%.4s (%s)", v.Content.Digest, by))
		case v.Removed.Old:
			out = append(out, "["+by+" old]")
		default:
			out = append(out, "["+by+"]")
		}
	}
	name := string(r.Name)
	if r.Owner() != "" {
		name += " of " + r.Owner()
	}
	return name + " = " + strings.Join(out, " ")
}

// dataAnswerText shows the answers; ok is false for others.
func dataAnswerText(v Answer) (text string, ok bool) {
	switch v := v.(type) {
	case *DataWritten:
		text = fmt.Sprintf("%s, %d replicas", dataText(v.Record), v.Replicas)
		if v.Degraded {
			text += ", degraded"
		}
		if !v.New && v.Removed == 0 {
			text += ", known"
		}
	case *DataFound:
		text = dataText(v.Record)
	case *NoSuchData:
		text = "no such data"
		if v.Nearest != "" {
			text += ", but " + v.Nearest
		}
	case *DataConflict:
		text = "conflict"
		if v.Record != nil {
			text += " with " + dataText(v.Record)
		}
	case *DataOwned:
		text = fmt.Sprintf("%s belongs to %s", v.Name, v.Owner)
	case *DataRefused:
		text = "refused: " + v.Reason
	case *DataListing:
		var list []string
		for _, r := range v.Records {
			list = append(list, dataText(r))
		}
		if text = strings.Join(list, "; "); text == "" {
			text = "none"
		}
	default:
		return "", false
	}
	return text, true
}
