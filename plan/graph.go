package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/job"
)

// Graph is a picture of a plan: its jobs, an array as one, and which of them run after which.
type Graph struct {
	Nodes []Node `json:"jobs"`
	Edges []Edge `json:"edges"`
}

// Node is a job or an array, or named data that is read and that no job of the plan writes.
type Node struct {
	Name   string            `json:"name"`             // of data data:NAME, or data:PREFIX/
	Jobs   int               `json:"jobs"`             // how many there are: 1, or the elements of an array; 0 of data
	States map[job.State]int `json:"states,omitempty"` // how many of them are in each state, where that is known
}

// Edge says that a job runs after another one, and what it reads of it.
type Edge struct {
	From  string   `json:"from"`
	To    string   `json:"to"`
	Reads []string `json:"reads,omitempty"` // as out/report.json, stdout, or data:NAME; of arrays that of one of their jobs
}

// Graph draws the plan. State says how a job stands, or ""; nil says nothing of all.
func (p *Plan) Graph(state func(name string) job.State) *Graph {
	g := &Graph{Nodes: []Node{}, Edges: []Edge{}}
	nodes, edges := map[string]int{}, map[[2]string]int{}
	node := func(name string) int {
		at, known := nodes[name]
		if !known {
			at = len(g.Nodes)
			nodes[name] = at
			g.Nodes = append(g.Nodes, Node{Name: name})
		}
		return at
	}
	writers := p.writers()
	for _, j := range p.Jobs {
		at := node(j.Group)
		g.Nodes[at].Jobs++
		if state != nil {
			if g.Nodes[at].States == nil {
				g.Nodes[at].States = map[job.State]int{}
			}
			if s := state(j.Name); s != "" {
				g.Nodes[at].States[s]++
			}
		}
		first := map[[2]string]bool{} // edges of which this job is to say what is read
		edge := func(group string) int {
			key := [2]string{group, j.Group}
			at, known := edges[key]
			if !known {
				at = len(g.Edges)
				edges[key], first[key] = at, true
				g.Edges = append(g.Edges, Edge{From: key[0], To: key[1]})
			}
			if !first[key] {
				return -1
			}
			return at
		}
		reads := func(group, what string) {
			if at := edge(group); at >= 0 && !slices.Contains(g.Edges[at].Reads, what) {
				g.Edges[at].Reads = append(g.Edges[at].Reads, what)
			}
		}
		for _, s := range j.Spec.Sources() {
			name, isData := s.Job.Data()
			if !isData {
				reads(Group(string(s.Job)), s.Part)
				continue
			}
			from := writers.of(name)
			if len(from) == 0 {
				from = []string{"data:" + name}
				node(from[0])
			}
			for _, group := range from {
				if group != j.Group { // which would read what it has written the time before
					reads(group, "data:"+name)
				}
			}
		}
		for _, other := range j.Spec.After {
			if a, isArray := other.Array(); isArray {
				other = job.ID(a.Name)
			}
			edge(Group(string(other)))
		}
	}
	slices.SortStableFunc(g.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(nodes[a.From], nodes[b.From]), cmp.Compare(nodes[a.To], nodes[b.To]))
	})
	return g
}

// writers says which jobs, or arrays, write which named data.
type writers map[string][]string

func (p *Plan) writers() writers {
	w := writers{}
	for _, j := range p.Jobs {
		for _, name := range j.Spec.NamedOutputs {
			if !slices.Contains(w[name], j.Group) {
				w[name] = append(w[name], j.Group)
			}
		}
	}
	return w
}

// of lists who writes a name, or one below a prefix.
func (w writers) of(name string) (groups []string) {
	if !strings.HasSuffix(name, "/") {
		return w[name]
	}
	for _, written := range slices.Sorted(maps.Keys(w)) {
		if strings.HasPrefix(written, name) {
			groups = append(groups, w[written]...)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// text is a node for people.
func (n *Node) text() string {
	out := n.Name
	if n.Jobs > 1 {
		out += fmt.Sprintf(" ×%d", n.Jobs)
	}
	if s := n.state(); s != "" {
		out += ": " + s
	}
	return out
}

// state says how the jobs of a node stand.
func (n *Node) state() string {
	if n.Jobs == 1 {
		for s := range n.States {
			return string(s)
		}
		return ""
	}
	var parts []string
	for _, s := range job.States {
		if n.States[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.States[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

// Tree draws the graph for a terminal, one line a job: each stands below those that it runs after, with all that comes after it
// where it is met first. Else three dots say that it is drawn elsewhere.
func (g *Graph) Tree() (lines []string) {
	below, above := map[string][]Edge{}, map[string]bool{}
	for _, e := range g.Edges {
		below[e.From] = append(below[e.From], e)
		above[e.To] = true
	}
	nodes := map[string]*Node{}
	for i := range g.Nodes {
		nodes[g.Nodes[i].Name] = &g.Nodes[i]
	}
	drawn := map[string]bool{}
	var draw func(name, reads, branch, indent string)
	draw = func(name, reads, branch, indent string) {
		line := branch + name
		if n := nodes[name]; n != nil {
			line = branch + n.text()
		}
		if reads != "" {
			line += "  (" + reads + ")"
		}
		if drawn[name] && len(below[name]) > 0 {
			line += " ..."
		}
		lines = append(lines, line)
		if drawn[name] {
			return
		}
		drawn[name] = true
		for i, e := range below[name] {
			next, more := "├─ ", "│  "
			if i == len(below[name])-1 {
				next, more = "└─ ", "   "
			}
			draw(e.To, strings.Join(e.Reads, ", "), indent+next, indent+more)
		}
	}
	for _, n := range g.Nodes {
		if !above[n.Name] {
			draw(n.Name, "", "", "")
		}
	}
	for _, n := range g.Nodes { // those that wait for one another
		if !drawn[n.Name] {
			draw(n.Name, "", "", "")
		}
	}
	return lines
}

// colours of states, in pictures.
var colours = map[job.State]string{
	job.StateSucceeded: "#b7e4c7", job.StateRunning: "#a9d6e5", job.StateFailed: "#f4a6a6", job.StateCancelled: "#d9d9d9", job.StateExpired: "#ffd6a5",
}

// colour is that of the state that says most of a node; "" for none.
func (n *Node) colour() string {
	for _, s := range []job.State{job.StateFailed, job.StateExpired, job.StateCancelled, job.StateRunning} {
		if n.States[s] > 0 {
			return colours[s]
		}
	}
	if n.Jobs > 0 && n.States[job.StateSucceeded] == n.Jobs {
		return colours[job.StateSucceeded]
	}
	return ""
}

// DOT draws the graph in the language of Graphviz.
func (g *Graph) DOT() string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
	}
	var b strings.Builder
	b.WriteString("digraph plan {\n  rankdir=LR\n  node [shape=box]\n")
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %s [label=%s", quote(n.Name), quote(n.text()))
		if c := n.colour(); c != "" {
			fmt.Fprintf(&b, ", style=filled, fillcolor=%s", quote(c))
		}
		if n.Jobs == 0 {
			b.WriteString(", shape=cylinder")
		}
		b.WriteString("]\n")
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -> %s", quote(e.From), quote(e.To))
		if len(e.Reads) > 0 {
			fmt.Fprintf(&b, " [label=%s]", quote(strings.Join(e.Reads, "\n")))
		}
		b.WriteString("\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// Mermaid draws the graph as Markdown of many sites shows it.
func (g *Graph) Mermaid() string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`"`, "#quot;", "#", "#35;", "<", "#lt;", ">", "#gt;").Replace(s) + `"`
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	ids := map[string]string{}
	for i, n := range g.Nodes {
		ids[n.Name] = fmt.Sprintf("j%d", i)
		shape := "  %s[%s]\n"
		if n.Jobs == 0 {
			shape = "  %s[(%s)]\n"
		}
		fmt.Fprintf(&b, shape, ids[n.Name], quote(n.text()))
	}
	for _, e := range g.Edges {
		if len(e.Reads) > 0 {
			fmt.Fprintf(&b, "  %s -->|%s| %s\n", ids[e.From], quote(strings.Join(e.Reads, ", ")), ids[e.To])
			continue
		}
		fmt.Fprintf(&b, "  %s --> %s\n", ids[e.From], ids[e.To])
	}
	used := map[string][]string{}
	for _, n := range g.Nodes {
		if c := n.colour(); c != "" {
			used[c] = append(used[c], ids[n.Name])
		}
	}
	for _, c := range slices.Sorted(maps.Keys(used)) {
		for _, id := range used[c] {
			fmt.Fprintf(&b, "  style %s fill:%s\n", id, c)
		}
	}
	return b.String()
}
