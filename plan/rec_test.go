package plan

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// recTest reads one of REC's own test plans.
func recTest(t testing.TB, name string) string {
	b, err := os.ReadFile("testdata/rec/execution_plan_" + name + ".toml")
	require.NoError(t, err)
	return string(b)
}

// The two ways in which REC's tests name the data of two jobs come to the same.
func TestRECsOwnPlans(t *testing.T) {
	for _, name := range []string{"twice", "twice_named"} {
		p := mustRead(t, "p.toml", recTest(t, name))
		specs := final(t, p)
		require.Len(t, specs, 2)
		one, two := specs["p.job-1"], specs["p.job-2"]
		require.Equal(t, digest("../wasi-smoke.wasm"), one.Module)
		require.Equal(t, digest("../wasi-smoke.wasm"), two.Module)
		require.Equal(t, "a", one.Name, "argv has the name of the program in front")
		require.Equal(t, []string{"b", "c"}, one.Args)
		require.Equal(t, digest("data/stdin_input.txt"), one.Stdin)
		require.EqualValues(t, "job:p.job-1/out/out.txt", two.Stdin)
		require.Equal(t, []job.ID{"p.job-1"}, two.After)
		require.Equal(t, job.AfterEnd, two.AfterPolicy, "a job runs when its data is there, whatever exit code left it")
		require.Equal(t, map[string]string{"infile.txt": string(digest("data/infile.txt")), "data.bin": string(digest("data/data.bin"))}, two.Inputs)
		require.Equal(t, []string{"output", "temp"}, one.Dirs)
		require.Equal(t, []string{"out.txt", "output/"}, one.Outputs)
		require.Equal(t, map[string]string{"BAR": "baz"}, two.Env)
		require.True(t, two.PlainEnv)
		require.EqualValues(t, job.DefaultCPU, one.Resources.CPU)
		require.Equal(t, Delivery{
			Receiver: "dtn://client/", Stdout: "output/stdout.log", Stderr: "output/stderr.log", Results: []string{"out.txt", "output"},
			Named: map[string]string{"wasm_output_file_2": "out.txt", "output_archive_2": "output"},
		}, DeliveryOf(two.Labels))
	}
	require.Len(t, mustRead(t, "p.toml", recTest(t, "once")).Jobs, 1)
	require.False(t, func() bool { d := DeliveryOf(map[string]string{"plan": "p"}); return d.Is() }())
}

// Jobs may stand in any order; names mean what is nearest; files in a directory that is named, too, are outputs of their own.
func TestRECsNames(t *testing.T) {
	p := mustRead(t, "p", `
[[jobs]]
[jobs.metadata]
wasm_module = "m"
stdin_file = "log"
env = {N = 7, T = true}
results = ["/out", "all/x"]
stdout_file = "/out/log"
[jobs.metadata.data]
"/in/d" = "file"
"/in/e" = "shared"
"/in/f" = "own"
[jobs.metadata.capabilities]
cpu_cores = 4
free_cpu_capacity = 50
free_memory = 1073741824
free_disk_space = 4294967296
[jobs.data]
m = "m.wasm"
own = "mine"

[[jobs]]
[jobs.metadata]
wasm_module = "m"
stdout_file = "log.txt"
results_receiver = "dtn:none"
[jobs.metadata.named_results]
"log.txt" = "log"
"dir/file" = "file"
"/dir" = "archive"
[jobs.data]
own = "theirs"
shared = "s"
`)
	require.Equal(t, []string{
		"job-2",
		"└─ job-1  (out/dir/file, stdout)",
	}, p.Graph(nil).Tree())
	specs := final(t, p)
	one, two := specs["p.job-1"], specs["p.job-2"]
	require.EqualValues(t, "job:p.job-2/stdout", one.Stdin)
	require.Equal(t, map[string]string{"in/d": "job:p.job-2/out/dir/file", "in/e": string(digest("s")), "in/f": string(digest("mine"))}, one.Inputs)
	require.Equal(t, map[string]string{"N": "7", "T": "True"}, one.Env)
	require.Equal(t, []string{"all/x", "out/"}, one.Outputs)
	require.Equal(t, []string{"dir"}, two.Outputs)
	require.EqualValues(t, 4000, one.Resources.CPU)
	require.EqualValues(t, 1<<30, one.Resources.Memory)
	require.EqualValues(t, 4<<30, one.Disk)
	require.Equal(t, "job-2", two.Name)
	require.Equal(t, Delivery{Stdout: "log.txt", Named: map[string]string{"log": "log.txt", "file": "dir/file", "archive": "dir"}}, DeliveryOf(two.Labels))
}

func TestRECsMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"names": {`[named_data]
a = "x"
[[jobs]]
[jobs.metadata]
wasm_module = "m"
stdin_file = "wasm_outputs"
argv = 7
wasm = "x"
[jobs.metadata.data]
"/d" = "both"
"/../e" = "a"
[[jobs]]
data = {m = "m.wasm", both = "1"}
[jobs.metadata]
wasm_module = "wasm_output"
[jobs.metadata.named_results]
"/o" = "wasm_output"
"/p" = "a"
[[jobs]]
data = {both = "2"}
[jobs.metadata]
named_results = {o = "wasm_output"}
`, `
p.toml:6: job job-1: stdin_file: nothing is called "wasm_outputs": neither named_data, nor the data or a named result of a job; did you mean wasm_output?
p.toml:7: job job-1: argv: it must be a list, not a number
p.toml:8: job job-1: unknown field "wasm"
p.toml:10: job job-1: data["d"]: "both" is a different file in each of several jobs (1, 2): name it in the data of this job, too
p.toml:11: job job-1: data: "/../e" is not below the job's root
p.toml:15: job job-2: wasm_module: "wasm_output" is a result of job job-2; a module must be a file of the plan
p.toml:18: job job-2: named_results["p"]: "a" is the name of a file of the plan, too
p.toml:19: job job-3: wasm_module is missing: the name of the module
p.toml:22: job job-3: named_results["o"]: "wasm_output" is the name of a result of job job-2, too`},
		"cycle": {`[named_data]
m = "m.wasm"
[[jobs]]
metadata = {wasm_module = "m", stdin_file = "b", named_results = {x = "a"}}
[[jobs]]
metadata = {wasm_module = "m", stdin_file = "a", named_results = {x = "b"}}
`, `
p.toml:3: job job-1: jobs wait for one another: job-1 waits for job-2 waits for job-1`},
		"nothing":  {"[named_data]\na = \"x\"\n", "\np.toml:1: it has no jobs: named data alone is nothing to run"},
		"streams":  {"[[jobs]]\ndata.m = \"m\"\nmetadata = {wasm_module = \"m\", stdout_file = \"/o\", stderr_file = \"o\"}", "\np.toml:3: job job-1: stdout_file and stderr_file are one file"},
		"too long": {"[[jobs]]\ndata.m = \"m\"\n[jobs.metadata]\nwasm_module = \"m\"\nresults = [\"" + strings.Repeat("x", 300) + "\"]", "\np.toml:5: job job-1: results: \"" + strings.Repeat("x", 80) + "\" is too long, or has control characters: at most 256 bytes are kept"},
		"no TOML":  {"[[jobs]]\nx = \n", "\np.toml:2: unexpected character U+000A at start of value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read("p.toml", c.text)
			require.EqualError(t, err, strings.TrimPrefix(c.want, "\n"))
		})
	}
}
