package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/process"
)

// crisisDay is examples/crisis-day with what it reads, and the example programs as they run on this machine without any broker.
type crisisDay struct {
	t            *testing.T
	plan, native string
}

func newCrisisDay(t *testing.T) *crisisDay {
	t.Helper()
	root := t.TempDir()
	here := filepath.Join(root, "examples", "crisis-day")
	d := &crisisDay{t: t, plan: filepath.Join(here, "plan.yaml"), native: filepath.Join(root, "native")}
	for _, name := range []string{"quake", "tiles", "words", "primes"} {
		require.NoError(t, process.Build(filepath.Join(root, "bin", name+".wasm"), "github.com/urban-compute/ucp/examples/"+name, "GOOS=wasip1", "GOARCH=wasm"))
	}
	for _, name := range []string{"quake", "tiles", "words", "primes", "accelerogram"} {
		require.NoError(t, process.Build(filepath.Join(d.native, name), "github.com/urban-compute/ucp/examples/"+name))
	}
	require.NoError(t, os.MkdirAll(here, 0o755))
	copyFile(t, "../examples/crisis-day/plan.yaml", d.plan)
	cmd := exec.Command("../examples/crisis-day/prepare.sh", d.data(""))
	cmd.Env = append(os.Environ(), "ACCELEROGRAM="+filepath.Join(d.native, "accelerogram"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return d
}

func (d *crisisDay) data(name string) string {
	return filepath.Join(filepath.Dir(d.plan), "data", name)
}

// here runs a program on this machine, in a directory of its own, and returns that and what it prints.
func (d *crisisDay) here(stdin, name string, args ...string) (dir, stdout string) {
	d.t.Helper()
	dir = d.t.TempDir()
	cmd := exec.Command(filepath.Join(d.native, name), args...)
	cmd.Dir = dir
	if stdin != "" {
		f, err := os.Open(stdin)
		require.NoError(d.t, err)
		defer f.Close()
		cmd.Stdin = f
	}
	out, err := cmd.Output()
	require.NoError(d.t, err, "%s %q", name, args)
	return dir, string(out)
}

var found = regexp.MustCompile(`(?m)^done: (\d+) primes below (\d+), `)

// check compares all that the plan has left with what the same programs leave here.
func (d *crisisDay) check(to string) {
	t := d.t
	left := func(path ...string) string { return readFile(t, filepath.Join(append([]string{to}, path...)...)) }
	reports := map[int]string{}
	for i := 10; i < 70; i++ {
		dir, out := d.here("", "quake", "-report", "report.json", d.data(fmt.Sprintf("station-%d.csv", i)))
		name := fmt.Sprintf("trigger.%d", i)
		reports[i/10] += readFile(t, filepath.Join(dir, "report.json"))
		require.Equal(t, readFile(t, filepath.Join(dir, "report.json")), left(name, "report.json"), name)
		require.Equal(t, strings.ReplaceAll(out, d.data(fmt.Sprintf("station-%d.csv", i)), "trace.csv"), left(name, "stdout"), name)
	}
	for i := 1; i < 7; i++ {
		require.Equal(t, reports[i], left(fmt.Sprintf("district.%d", i), "stdout"), "district %d", i)
	}
	for i := range 192 {
		dir, _ := d.here("", "tiles", "-seed", strconv.Itoa(i), "-columns", "1", "-rows", "1", "-size", "64", "-water", "0.45", "-out", ".")
		require.Equal(t, readFile(t, filepath.Join(dir, "0-0.pgm")), left(fmt.Sprintf("map.%d", i), "map", "0-0.pgm"), "map %d", i)
	}
	all := ""
	for i := 100; i < 200; i++ {
		_, out := d.here(d.data(fmt.Sprintf("report-%d.txt", i)), "words", "-top", "50")
		require.Equal(t, out, left(fmt.Sprintf("survey.%d", i), "stdout"), "survey %d", i)
		lines := slices.Sorted(strings.Lines(out))
		require.Equal(t, strings.Join(lines, ""), left(fmt.Sprintf("sorted.%d", i), "stdout"), "sorted %d", i)
		all += strings.Join(lines, "")
	}
	require.Equal(t, all, left("all", "all.txt"))
	_, evening := d.here(filepath.Join(to, "all", "all.txt"), "words", "-top", "20")
	require.Equal(t, evening, left("evening", "stdout"))
	for i := 10; i < 40; i++ {
		_, out := d.here("", "primes", "-below", fmt.Sprintf("%d0000", i), "-state", "primes.json")
		want := found.FindStringSubmatch(out)
		require.NotNil(t, want, out)
		got := found.FindStringSubmatch(left(fmt.Sprintf("model.%d", i), "stdout"))
		require.NotNil(t, got, "model %d", i)
		require.Equal(t, want[1:], got[1:], "model %d", i)
	}
}

// A day of 500 mixed jobs as one plan comes to its end with all of its results right, though brokers are killed meanwhile.
func TestCrisisDay(t *testing.T) {
	t.Parallel() // it waits most of the time
	d := newCrisisDay(t)
	with := []string{"--allow-process", "--redeploy-delay", "1s", "--isolation-delay", "1s", "--no-sandbox"}
	brokers := startCluster(t, 3, with...)
	asked := brokers[0]
	to := t.TempDir()
	ended := make(chan result, 1)
	go func() {
		ended <- run(t, nil, ucpBinary, "--addr", asked.http, "plan", "run", d.plan, "--id", "day", "--to", to)
	}()
	succeeded := func() int {
		n, err := asked.client.CountJobs(t.Context(), api.ListOptions{Labels: []string{"plan=day"}, States: []job.State{job.StateSucceeded}})
		if err != nil {
			return 0
		}
		return n[job.StateSucceeded]
	}
	for i, after := range []int{50, 180, 320} {
		eventually(t, 5*time.Minute, fmt.Sprintf("%d jobs have succeeded", after), func() bool { return succeeded() >= after })
		v := brokers[1+i%2]
		v.signal(syscall.SIGKILL, time.Minute)
		require.Less(t, succeeded(), 500, "the kill comes in the middle")
		brokers[1+i%2] = startAgent(t, v.name, v.dir, append([]string{"--join", asked.gossip}, with...)...)
	}
	select {
	case r := <-ended:
		require.Zero(t, r.code, "%s%s", r.stdout, r.stderr)
		require.Equal(t, 500, strings.Count(r.stdout, "  succeeded\n"), r.stdout)
	case <-time.After(5 * time.Minute):
		t.Fatal(asked.ucp("plan", "get", "day").stdout)
	}
	d.check(to)
}
