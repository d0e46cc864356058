package plan

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// read reads a plan whose only file is lines.txt.
func read(name, text string) (*Plan, error) {
	return Read(Source{Name: name, Text: []byte(text), ID: "p", Lines: func(path string) ([]string, error) {
		if path != "lines.txt" {
			return nil, errors.New("there is no file " + path)
		}
		return []string{"a b", "c"}, nil
	}})
}

func mustRead(t *testing.T, name, text string) *Plan {
	t.Helper()
	p, err := read(name, text)
	require.NoError(t, err)
	return p
}

// final returns the specs of a plan as brokers get them, by ID; the digest of a file is its path in letters.
func final(t *testing.T, p *Plan) map[job.ID]job.Spec {
	t.Helper()
	out := map[job.ID]job.Spec{}
	ids := NewIDs(func(name string) job.ID { return JobID(p.ID, name, 1) })
	for _, j := range p.Jobs {
		s, err := p.Final(j, func(f *File) job.Digest { return digest(f.Path) }, ids, 1)
		require.NoError(t, err, j.Name)
		out[JobID(p.ID, j.Name, 1)] = s
	}
	return out
}

// odd lists the first n odd numbers.
func odd(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(2*i+1))
	}
	return out
}

// digest is a digest that tells files apart.
func digest(path string) job.Digest {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, c := range []byte(path) {
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return job.Digest((b.String() + strings.Repeat("0", 64))[:64])
}

const quake = `
defaults: {timeout: 5m, env: {CITY: 7}}
jobs:
  count:
    module: words.wasm
    stdin: job:detect/out/report.json
    inputs: {/all: "job:tile.1/out/t/x", map/: survey}
    after: [tile]
    after_policy: end
  detect:
    module: quake.wasm
    args: [-report, report.json, 7]
    inputs: {quake.csv: today.csv, level: "data:sensors/level", maps/: "data:maps/"}
    outputs: [report.json]
    named_outputs: {report.json: reports/quake}
    timeout: 1m
  tile:
    command: sh
    args: [-c, "echo {} {index} {{}}"]
    each: lines.txt
    outputs: [t]
    labels: {text: "{}"}
  next:
    module: data:tools/next
    array: 0-1
    after_each: [tile]
    stdin: job:tile.{index}/stdout
`

func TestPlanBecomesSpecs(t *testing.T) {
	p := mustRead(t, "quake.yaml", quake)
	require.Equal(t, []string{"count", "detect", "tile", "next"}, p.Groups(), "in the order of the file")
	specs := final(t, p)
	require.Len(t, specs, 6)
	count := specs["p.count"]
	require.Equal(t, []job.ID{"p.detect", "p.tile.0", "p.tile.1"}, count.After)
	require.Equal(t, job.AfterEnd, count.AfterPolicy)
	require.Equal(t, digest("words.wasm"), count.Module)
	require.EqualValues(t, "job:p.detect/out/report.json", count.Stdin)
	require.Equal(t, map[string]string{"all": "job:p.tile.1/out/t/x", "map/": string(digest("survey"))}, count.Inputs)
	require.Equal(t, map[string]string{"plan": "p", "plan-job": "count", "plan-size": "6"}, count.Labels)
	require.EqualValues(t, 5*time.Minute, count.Timeout)
	require.Equal(t, map[string]string{"CITY": "7"}, count.Env)
	require.Equal(t, "count", count.Name)
	detect := specs["p.detect"]
	require.EqualValues(t, time.Minute, detect.Timeout, "what a job says itself counts")
	require.Equal(t, []string{"-report", "report.json", "7"}, detect.Args)
	require.Equal(t, map[string]string{"quake.csv": string(digest("today.csv")), "level": "data:sensors/level", "maps/": "data:maps/"}, detect.Inputs)
	require.Equal(t, map[string]string{"report.json": "reports/quake"}, detect.NamedOutputs)
	tile := specs["p.tile.0"]
	require.Equal(t, []string{"-c", "echo a b 0 {}"}, tile.Args)
	require.Equal(t, map[string]string{"text": "a b", "plan": "p", "plan-job": "tile.0", "plan-size": "6", "array": "p.tile"}, tile.Labels)
	require.Equal(t, []job.ID{"p.tile.1"}, specs["p.next.1"].After)
	require.EqualValues(t, "job:p.tile.1/stdout", specs["p.next.1"].Stdin)
	require.EqualValues(t, "data:tools/next", specs["p.next.1"].Module)

	require.Equal(t, []string{
		"data:maps/",
		"└─ detect  (data:maps/)",
		"   └─ count  (out/report.json)",
		"data:sensors/level",
		"└─ detect  (data:sensors/level) ...",
		"tile ×2",
		"├─ count  (out/t/x)",
		"└─ next ×2  (stdout)",
		"data:tools/next",
		"└─ next ×2  (data:tools/next)",
	}, p.Graph(nil).Tree())
}

// Named data that a job of the plan writes joins it with those that read it, also below a prefix; what none writes stands for itself.
func TestDataIsDrawn(t *testing.T) {
	p := mustRead(t, "data.yaml", `jobs:
  part: {command: sh, array: 0-1, outputs: [x], named_outputs: {x: "maps/part-{index}"}}
  whole: {command: cat, inputs: {maps/: "data:maps/", old: "data:maps.old"}, outputs: [sum], named_outputs: {sum: sums/today}}
  sum: {command: cat, stdin: "data:sums/today"}
  again: {command: cat, stdin: "data:level", outputs: [x], named_outputs: {x: level}}
`)
	g := p.Graph(nil)
	require.Equal(t, []string{
		"part ×2",
		"└─ whole  (data:maps/)",
		"   └─ sum  (data:sums/today)",
		"data:maps.old",
		"└─ whole  (data:maps.old) ...",
		"again",
	}, g.Tree())
	require.Contains(t, g.DOT(), `"data:maps.old" [label="data:maps.old", shape=cylinder]`)
	require.Contains(t, g.Mermaid(), `[("data:maps.old")]`)
}

func TestEveryMistakeIsTold(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"all of several": {`
jobs:
  a:
    module: a.wasm
    retires: {max: 3}
    resources: {cpu: -1, memory: 1}
    constraints: ["a in", "b=c", "(d"]
    inputs: {../x: y, "b": "job:bb/out/x"}
    outputs: [good]
  bb:
    module: b.wasm
    outputs: [r]
    after: [c, a.1]
    stdin: job:a/out/good
    inputs: {x: job:c/stdout}
  b b: {command: x}
  none: {args: [x]}
`, `
p.yaml:3: job a: jobs wait for one another: a waits for bb waits for a
p.yaml:5: job a: unknown field "retires"
p.yaml:6: job a: resources.cpu: -1 millicores; want 1 to 1000000 (1000 is one core)
p.yaml:6: job a: resources.memory: 1 bytes; want 65536 bytes to 16 TiB
p.yaml:7: job a: constraints: constraint "a in": write k=v, k!=v, "k in (a,b)" or k
p.yaml:7: job a: constraints: constraint "(d": write k=v, k!=v, "k in (a,b)" or k
p.yaml:8: job a: inputs["../x"]: "../x" must be a clean path inside the job's directory, without ".."
p.yaml:8: job a: inputs["b"]: job bb does not leave out/x; it leaves stdout, stderr, out/r
p.yaml:13: job bb: after: the plan has no job "a.1"
p.yaml:15: job bb: inputs["x"]: the plan has no job "c"
p.yaml:16: "b b" is no name of a job: letters, digits, _ and -, at most 64, the first a letter or digit
p.yaml:17: job none: it has neither a module, the file of a WebAssembly program, nor a command`},
		"modules by name": {`
jobs:
  build: {command: x, outputs: [m], named_outputs: {m: tools/m}}
  a: {module: "data:tools/m"}
  b: {module: "data:tools/"}
  c: {module: "job:build/out/m"}
`, `
p.yaml:4: job a: module: job build writes data tools/m, and a module is what is there when the plan is submitted: let that job be done before, in a plan of its own
p.yaml:5: job b: module: "data:tools/"; want data: and the name of a file, such as data:tools/quake`},
		"cycles": {`
jobs:
  a: {command: x, after: [b]}
  b: {command: x, stdin: job:c/stdout}
  c: {command: x, after: [a, d]}
  d: {command: x}
  e: {command: x, after: [e]}
`, `
p.yaml:3: job a: jobs wait for one another: a waits for b waits for c waits for a
p.yaml:7: job e: it waits for itself`},
		"names": {`
jobs:
  detect: {command: x}
  t: {command: x, array: 0-2}
  a: {command: x, after: [detekt], stdin: job:t/stdout, inputs: {x: "job:t.3/stdout"}}
`, `
p.yaml:5: job a: stdin: t is an array: name one of its jobs, such as t.0
p.yaml:5: job a: inputs["x"]: the array t has no job t.3
p.yaml:5: job a: after: the plan has no job "detekt"; did you mean detect?`},
		"too many": {`
jobs:
  long: {command: x, args: ["` + strings.Repeat("x", 17000) + `"]}
  a: {command: x, after: [t]}
  t: {command: x, array: "` + strings.Join(odd(4500), ",") + `"}
`, `
p.yaml:3: job long: the job spec has 17027 bytes, at most 16384 are allowed: put large data into blobs
p.yaml:4: job a: it waits for 22 jobs or arrays, t[1,3,5,7,9,11,13,15,17,19,21,23,25,27,2 and others, and a job may wait for at most 16: let jobs between them each gather some, or let fewer jobs do more`},
		"arrays": {`
jobs:
  a: {command: x, array: 5-1}
  b: {command: x, array: 0-1, each: [x]}
  c: {command: x, each: none.txt}
  d: {command: x, after_each: [a]}
  e: {command: x, array: 0-1, labels: {plan: x}, timeout: soon}
`, `
p.yaml:3: job a: array: "5-1"; write indices such as 0-999 or 1,3,7-9, the smaller one first and each once, at most 100000
p.yaml:4: job b: array and each: say one of them
p.yaml:5: job c: each: there is no file none.txt
p.yaml:6: job d: after_each is of an array: of one job, say after
p.yaml:7: job e: labels["plan"]: the plan writes this label itself
p.yaml:7: job e: timeout: duration "soon": write it as "90s" or "1h30m"`},
		"fields that do not fit together": {`
jobs:
  a:
    command: x
    redeploy: false
    preemption: requeue
`, `
p.yaml:6: job a: preemption: a job that must not run twice (redeploy: false) cannot be requeued; want suspend or never`},
		"a wrong type": {"jobs:\n  a: {module: [x]}\n  b: 7\n", `
p.yaml:2: job a: module: it must be a string, not a list
p.yaml:2: job a: it has neither a module, the file of a WebAssembly program, nor a command
p.yaml:3: job b: a job must be an object with fields`},
		"no YAML":         {"jobs:\n  a: [", "\np.yaml:2: sequence end token ']' not found"},
		"no jobs":         {"job: {}\n", "\np.yaml:1: unknown field \"job\"; a plan has the fields jobs and defaults\np.yaml:1: it has no jobs: write them below `jobs:`, each by its name"},
		"empty":           {"", "\np.yaml: it is empty"},
		"no name of data": {"jobs:\n  a:\n    command: x\n    inputs:\n      x: data:/y\n", "\np.yaml:5: job a: inputs[\"x\"]: \"data:/y\"; want data: and a name, such as data:sensors/quake/today"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read("p.yaml", c.text)
			require.EqualError(t, err, strings.TrimPrefix(c.want, "\n"))
		})
	}
}

func TestIDs(t *testing.T) {
	for _, c := range []struct {
		name string
		run  int
		id   job.ID
	}{{"a", 1, "p.a"}, {"a.7", 1, "p.a.7"}, {"a", 2, "p.a.r2"}, {"a.7", 12, "p.a.7.r12"}, {"r2", 1, "p.r2"}, {"r2", 2, "p.r2.r2"}} {
		require.Equal(t, c.id, JobID("p", c.name, c.run))
		plan, name, run, ok := Split(c.id)
		require.Equal(t, []any{job.ID("p"), c.name, c.run, true}, []any{plan, name, run, ok})
	}
	_, _, _, ok := Split("alone")
	require.False(t, ok)
	require.False(t, ValidID("a.b"))
	_, err := Read(Source{Name: "p.yaml", ID: job.ID(strings.Repeat("x", 60)), Text: []byte("jobs:\n  long: {command: x}")})
	require.ErrorContains(t, err, "p.yaml:2: job long: its ID would be")
}

// What is read of a plan are specs that brokers take, and nothing that is read breaks the reader.
func FuzzRead(f *testing.F) {
	f.Add("p.yaml", []byte(quake))
	f.Add("p.yaml", []byte("jobs: {a: {command: x, after: [b]}, b: {command: y, after: [a], array: 0-3}}"))
	for _, name := range []string{"once", "twice", "twice_named"} {
		b, err := os.ReadFile("testdata/rec/execution_plan_" + name + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add("p.toml", b)
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		p, err := read(name, string(text))
		if err != nil {
			var m *Mistakes
			require.ErrorAs(t, err, &m)
			require.NotEmpty(t, m.List)
			return
		}
		specs := final(t, p)
		require.Len(t, specs, len(p.Jobs))
		for id, s := range specs {
			for _, other := range s.After {
				require.Contains(t, specs, other, "%s", id)
			}
		}
		g := p.Graph(nil)
		jobs := slices.DeleteFunc(slices.Clone(g.Nodes), func(n Node) bool { return n.Jobs == 0 })
		require.Len(t, jobs, len(p.Groups()))
		require.GreaterOrEqual(t, len(g.Tree()), len(g.Nodes))
		require.True(t, strings.HasSuffix(g.DOT(), "}\n"))
		require.NotEmpty(t, g.Mermaid())
	})
}
