package e2e

import (
	"archive/zip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// REC's own test plans run as they are, and leave what they leave there.
func TestPlansOfREC(t *testing.T) {
	a := startCluster(t, 1)[0]
	dir := t.TempDir()
	copyFile(t, smokeModule, filepath.Join(dir, "wasi-smoke.wasm"))
	for _, name := range []string{"once", "twice", "twice_named"} {
		file := "execution_plan_" + name + ".toml"
		copyFile(t, "../plan/testdata/rec/"+file, filepath.Join(dir, "execution_plans", file))
	}
	for name, text := range map[string]string{"infile.txt": "hello-from-host", "stdin_input.txt": "line1\nline2\n", "data.bin": "\x00\x01\x02\x03"} {
		writeFile(t, filepath.Join(dir, "execution_plans", "data", name), text)
	}
	first := "ARGS=a,b,c\nENV_FOO=bar\nSTDIN=line1\\nline2\\n\nDATA_READ=hello-from-host\n"
	second := "ARGS=x,y,z\nENV_FOO=\nSTDIN=hello-from-wasi\nDATA_READ=hello-from-host\n"
	for _, name := range []string{"once", "twice", "twice_named"} {
		to := filepath.Join(dir, "out", name)
		r := a.ucp("plan", "run", filepath.Join(dir, "execution_plans", "execution_plan_"+name+".toml"), "--to", to)
		require.Equal(t, 0, r.code, r.stderr)
		require.Equal(t, map[string]string{"out.txt": "hello-from-wasi", "output/stdout.log": first, "output/stderr.log": "TO_STDERR\n"}, unzipped(t, filepath.Join(to, "job-1_result.zip")))
		require.Equal(t, map[string]string{"output/stdout.log": first, "output/stderr.log": "TO_STDERR\n"}, unzipped(t, filepath.Join(to, "output_archive")))
		require.Equal(t, "hello-from-wasi", readFile(t, filepath.Join(to, "wasm_output_file")))
		if name != "once" {
			require.Equal(t, second, unzipped(t, filepath.Join(to, "job-2_result.zip"))["output/stdout.log"])
			require.Equal(t, second, unzipped(t, filepath.Join(to, "output_archive_2"))["output/stdout.log"])
		}
	}
}

const chain = `jobs:
  last:
    command: sh
    args: [-c, "cat in.txt - >all; wc -l <all"]
    inputs: {in.txt: job:middle/out/half}
    stdin: job:part.1/stdout
    after: [part]
    outputs: [all]
  middle:
    command: sh
    args: [-c, "while [ ! -e GO ]; do sleep 0.05; done; cat >half; echo attempt $UCP_ATTEMPT >>half"]
    stdin: job:first/stdout
    constraints: ["name in (b,c)"]
    outputs: [half]
  first: {command: echo, args: [begun]}
  part: {command: echo, args: ["part {}"], array: 0-2}
`

// A plan comes to its end although a broker is killed in the middle, which any other broker tells; what has failed runs again alone.
func TestPlanOutlivesABroker(t *testing.T) {
	dir := t.TempDir()
	brokers := startCluster(t, 3, "--allow-process", "--redeploy-delay", "1s", "--no-sandbox")
	goes := filepath.Join(dir, "go")
	file := filepath.Join(dir, "chain.yaml")
	writeFile(t, file, strings.ReplaceAll(chain, "GO", goes))
	to := filepath.Join(dir, "out")
	ended := make(chan result, 1)
	go func() {
		ended <- run(t, nil, ucpBinary, "--addr", brokers[0].http, "plan", "run", file, "--id", "chain", "--to", to)
	}()
	var victim, other *agent
	eventually(t, time.Minute, "middle runs", func() bool {
		shown := brokers[0].ucp("plan", "get", "chain").stdout
		for i, b := range brokers[1:] {
			if regexp.MustCompile(`(?m)^middle +running +` + b.name + ` `).MatchString(shown) {
				victim, other = b, brokers[2-i]
			}
		}
		return victim != nil
	})
	victim.signal(syscall.SIGKILL, time.Minute)
	writeFile(t, goes, "")
	r := other.ucp("plan", "wait", "chain", "--timeout", "3m")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "first   succeeded\nlast    succeeded\nmiddle  succeeded\npart.0  succeeded\npart.1  succeeded\npart.2  succeeded\n", r.stdout)
	r = <-ended
	require.Equal(t, 0, r.code, r.stderr)
	require.Regexp(t, `^begun\nattempt .*\npart 1\n$`, readFile(t, filepath.Join(to, "last", "all")))
	r = other.ucp("plan", "result", "chain", "part", "--to", filepath.Join(dir, "again"))
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "part 2\n", readFile(t, filepath.Join(dir, "again", "part.2", "stdout")))

	fails := filepath.Join(dir, "fails.yaml")
	writeFile(t, fails, `jobs:
  good: {command: sh, args: [-c, "echo run >>`+filepath.Join(dir, "runs")+`; echo of good"]}
  bad: {command: cat, args: [`+filepath.Join(dir, "repaired")+`], after: [good]}
  next: {command: cat, args: [in.txt, "-"], inputs: {in.txt: job:bad/stdout}, stdin: job:good/stdout}
`)
	r = brokers[0].ucp("plan", "run", fails, "--id", "fails", "--to", to)
	require.Equal(t, 1, r.code, r.stderr)
	require.Contains(t, r.stderr, "2 of 3 jobs of plan fails have not succeeded:\n  bad failed: exit code 1\n  next failed: ")
	eventually(t, time.Minute, "another broker knows how it stands", func() bool {
		return other.ucp("plan", "show", "fails").stdout == "good: succeeded\n├─ bad: failed\n│  └─ next: failed  (stdout)\n└─ next: failed  (stdout)\n"
	})
	writeFile(t, filepath.Join(dir, "repaired"), "repaired\n")
	r = other.ucp("plan", "retry", "fails", "--to", to)
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "bad   succeeded\nnext  succeeded\n", r.stdout)
	require.Equal(t, "repaired\nof good\n", readFile(t, filepath.Join(to, "next", "stdout")))
	require.Equal(t, "run\n", readFile(t, filepath.Join(dir, "runs")), "what has succeeded does not run again")
	eventually(t, time.Minute, "the first broker knows of the second run", func() bool {
		return brokers[0].ucp("plan", "wait", "fails", "--timeout", "1m").code == 0
	})
}

// What docs/plans.md tells a newcomer to type works as it stands there, in its order.
func TestPlansAsTyped(t *testing.T) {
	a := startCluster(t, 1)[0]
	for _, line := range regexp.MustCompile(`(?m)^    (bin/ucp .+)$`).FindAllStringSubmatch(readFile(t, "../docs/plans.md"), -1) {
		typed := strings.NewReplacer("bin/ucp", ucpBinary, "bin/words", filepath.Join(t.TempDir(), "words")).Replace(line[1])
		if strings.Contains(typed, "examples/plan/") {
			text := strings.ReplaceAll(readFile(t, "../examples/plan/words.yaml"), "../../bin/words.wasm", wordsModule)
			root, err := filepath.Abs("..")
			require.NoError(t, err)
			plan := filepath.Join(t.TempDir(), "words.yaml")
			writeFile(t, plan, strings.ReplaceAll(text, "../../{}", root+"/{}"))
			typed = strings.ReplaceAll(typed, "examples/plan/words.yaml", plan)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", typed)
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "UCP_ADDR="+a.http)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", line[1], out)
	}
	require.Contains(t, a.ucp("plan", "get", "words").stdout, "count.1")
}

func unzipped(t *testing.T, path string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer z.Close()
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		out[f.Name] = string(b)
	}
	return out
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	writeFile(t, to, readFile(t, from))
}
