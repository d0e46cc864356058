package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// suiteVar names the directory of the compiled tests of WebAssembly/wasi-testsuite for preview 1, where they do
// not lie beside the checkout.
const suiteVar = "UCP_WASI_TESTSUITE"

// suiteGate is how many of the suite's suiteSize tests must pass.
const (
	suiteSize = 72
	suiteGate = 71
)

// suiteTest is one test of the suite: what its .json says, or the defaults where it has none. A test runs with a
// copy of its root as its root; output that is not named is not compared.
type suiteTest struct {
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Dirs     []string          `json:"dirs"`
	Root     string            `json:"root"`
	Stdin    string            `json:"stdin"`
	ExitCode int               `json:"exit_code"`
	Stdout   *string           `json:"stdout"`
	Stderr   *string           `json:"stderr"`
}

// The public suite of tests for WASI preview 1 runs as jobs do, in worker processes.
func TestWASISuite(t *testing.T) {
	if raceEnabled {
		t.Skip("compiling 72 modules takes long with the race detector; scripts/test.sh runs it without")
	}
	dir, modules := suiteModules(t)
	r := newRig(t)
	var failed []string
	for _, file := range modules {
		name := strings.TrimSuffix(filepath.ToSlash(strings.TrimPrefix(file, dir+string(filepath.Separator))), ".wasm")
		if why := r.suite(file); why != "" {
			failed = append(failed, name+": "+why)
		}
	}
	passed := len(modules) - len(failed)
	t.Logf("wasi-testsuite, preview 1: %d of %d pass", passed, len(modules))
	require.GreaterOrEqual(t, passed, suiteGate, "these fail:\n%s", strings.Join(failed, "\n"))
	if len(failed) > 0 {
		t.Logf("these fail:\n%s", strings.Join(failed, "\n"))
	}
}

// suiteModules returns where the suite is, and its tests.
func suiteModules(t *testing.T) (dir string, modules []string) {
	dir = os.Getenv(suiteVar)
	if dir == "" {
		dir = "../../shared/wasi-testsuite"
	}
	modules, err := filepath.Glob(filepath.Join(dir, "*", "*.wasm"))
	require.NoError(t, err)
	if len(modules) == 0 {
		t.Skipf("NOT TESTED: WASI as programs expect it. The suite is not at %s; put its compiled tests there, or name their directory in %s", dir, suiteVar)
	}
	require.Len(t, modules, suiteSize)
	return dir, modules
}

// readSuiteTest reads what a test wants.
func readSuiteTest(t testing.TB, file string) (s suiteTest) {
	b, err := os.ReadFile(strings.TrimSuffix(file, ".wasm") + ".json")
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &s), file)
	}
	return s
}

// suite runs one test, and says why it failed, or nothing.
func (r *rig) suite(file string) string {
	s := readSuiteTest(r.t, file)
	wasm, err := os.ReadFile(file)
	require.NoError(r.t, err)
	task := r.module(r.put(wasm), s.Args...)
	task.Spec.Env, task.Spec.PlainEnv, task.Spec.Dirs = s.Env, true, s.Dirs
	task.Spec.Name = filepath.Base(file)
	if s.Stdin != "" {
		task.Spec.Stdin = r.put([]byte(s.Stdin))
	}
	if s.Root != "" {
		r.fixtures(&task.Spec, filepath.Join(filepath.Dir(file), s.Root))
	}
	res := r.run(task)
	stdout, stderr := r.read(res.Stdout), r.read(res.Stderr)
	if res.ExitCode == nil {
		return res.Reason + " " + stderr
	}
	return s.compare(*res.ExitCode, stdout, stderr)
}

// compare says in what way a test ended otherwise than it has to, or nothing.
func (s suiteTest) compare(code int, stdout, stderr string) string {
	switch {
	case code != s.ExitCode:
		return fmt.Sprintf("exit code %d %s", code, stderr)
	case s.Stdout != nil && stdout != *s.Stdout:
		return "stdout is " + stdout
	case s.Stderr != nil && stderr != *s.Stderr:
		return "stderr is " + stderr
	}
	return ""
}

// fixtures puts what lies in a directory into the job's root.
func (r *rig) fixtures(s *job.Spec, dir string) {
	s.Inputs = map[string]string{}
	require.NoError(r.t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
		case d.IsDir():
			s.Dirs = append(s.Dirs, path.Clean(name))
		default:
			var b []byte
			b, err = os.ReadFile(filepath.Join(dir, name))
			s.Inputs[name] = string(r.put(b))
		}
		return err
	}))
}
