package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
)

// Clients of named data (rules D1 to D5), a few of which use the same few names at all brokers.

// names lets a client write, remove or read a name at a broker.
func (n *schedule) names(at string) {
	c, node := n.c, n.c.nodes[at]
	if node.b == nil {
		return
	}
	if len(n.named) > 0 && n.more.IntN(4) == 0 { // a client asks again, whatever has become of the name
		x := n.named[n.more.IntN(len(n.named))]
		c.SubmitSpec(at, x.id, x.spec, nil)
		return
	}
	name := data.Name(fmt.Sprintf("n/%d", n.more.IntN(3)))
	switch n.more.IntN(8) {
	case 0:
		c.tell("%s removes %s", at, name)
		c.request(node, "remove "+string(name), c.cfg.AckTimeout, func(t broker.Token) broker.Input {
			return broker.RemoveData{Token: t, Name: name}
		}, func(broker.Answer) {})
	case 1:
		c.request(node, "data", 0, func(t broker.Token) broker.Input { return broker.ListData{Token: t, Removed: true, Limit: 10} }, func(broker.Answer) {})
	default:
		d := job.Digest(digestOf(fmt.Sprintf("%s %d", name, n.more.IntN(1000))))
		node.blobs[string(d)] = true // it was uploaded before
		if c.content == nil {
			c.content = map[job.Digest]bool{}
		}
		c.content[d] = true
		c.tell("%s writes %.4s to %s", at, d, name)
		c.request(node, "put "+string(name), c.cfg.AckTimeout, func(t broker.Token) broker.Input {
			return broker.PutData{Token: t, Name: name, Content: data.Content{Digest: d, Size: 1}}
		}, func(broker.Answer) {})
	}
}

// byName lets every other job with a module have one that is named data (rule D8), of three names: the same whenever that ID is used again.
func (n *schedule) byName(id job.ID, spec *job.Spec) {
	if text := digestOf("by name " + string(id)); n.c.faults.has(Names) && spec.Module != "" && text < "8" {
		spec.Module = job.Digest(job.DataID(fmt.Sprintf("n/%d", text[63]%3)))
		n.named = append(n.named, namedJob{id, *spec})
	}
}

// namedJob is a job whose module is named data, as its client has submitted it.
type namedJob struct {
	id   job.ID
	spec job.Spec
}

// withModule looks a job's module up where that is named data, as the shell of a broker does, and brings it. Submit gets the version, or
// nil where none can be had.
func (c *Core) withModule(n *coreNode, spec *job.Spec, submit func(*data.Version)) {
	name, named := spec.ModuleName()
	if !named {
		submit(nil)
		return
	}
	b := n.b
	c.ask(n, func(t broker.Token) broker.Input { return broker.GetData{Token: t, Name: data.Name(name)} }, func(v broker.Answer) {
		var version *data.Version
		if f, ok := v.(*broker.DataFound); ok && c.bringModule(n, f.Record.Latest().Content.Digest) {
			version = f.Record.Latest()
		}
		c.after(0, func() {
			if n.b == b {
				submit(version)
			}
		})
	})
}

// bringModule brings a blob to a broker, if one that is up has it, and reports that.
func (c *Core) bringModule(n *coreNode, d job.Digest) bool {
	has := func(name string) bool { return c.nodes[name].blobs[string(d)] && c.nodes[name].b != nil }
	if !slices.ContainsFunc(c.names, has) {
		return false
	}
	n.blobs[string(d)] = true
	return true
}

// checkData sees to it that all brokers show the same versions of the same names, and that these are on as many disks as were
// asked for, unless the last one was lost (rules D1, D5).
func (c *Core) checkData() {
	said := map[string]string{}
	for _, name := range c.names {
		n := c.nodes[name]
		c.ask(n, func(t broker.Token) broker.Input { return broker.ListData{Token: t, Removed: true, Limit: 1000} }, func(v broker.Answer) {
			var lines []string
			for _, r := range v.(*broker.DataListing).Records {
				if shown := r.Shown(); shown != nil {
					lines = append(lines, dataText(r))
				}
				if name == c.names[0] {
					c.checkContent(r)
				}
			}
			said[name] = strings.Join(lines, "\n")
		})
	}
	for wait := 0; len(said) < len(c.names) && wait < 100; wait++ {
		c.Run(10 * time.Millisecond) // a commit may be under way
	}
	for _, name := range c.names[1:] {
		if _, answered := said[name]; !answered {
			c.fail("D1: %s does not say which data it holds", name)
		} else if said[name] != said[c.names[0]] {
			c.fail("D1: %s and %s show different data:\n%s\n\n%s", c.names[0], name, said[c.names[0]], said[name])
		}
	}
}

// checkContent looks at who has what a name stands for.
func (c *Core) checkContent(r *data.Record) {
	for v := range r.There() {
		var holders []string
		for _, name := range c.names {
			if c.nodes[name].blobs[string(v.Content.Blob())] {
				holders = append(holders, name)
			}
		}
		if len(holders) > 0 && len(holders) < min(c.cfg.Replicas, len(c.names)) {
			c.fail("D5: version %v of %s is at %v only", v.Dot, r.Name, holders)
		}
	}
}

// dataText shows what is there of a name.
func dataText(r *data.Record) string {
	out := string(r.Name)
	for v := range r.There() {
		out += fmt.Sprintf(" %v %.4s", v.Dot, v.Content.Digest)
	}
	return out
}

// shownData is what a stored value shows of a name, "" for nothing.
func shownData(value []byte) string {
	if value == nil {
		return ""
	}
	r, err := data.Decode(value)
	must(err)
	return string(r.Shown())
}
