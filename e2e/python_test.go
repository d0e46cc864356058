package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// python is the interpreter, with which the client in clients/python is tested.
func python(t *testing.T) string {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: there is no python3 here, so clients/python is NOT tested")
	}
	return path
}

// installed installs the client as its README says, without any download, and returns the environment in which it is found.
func installed(t *testing.T, python string) []string {
	if run(t, nil, python, "-m", "pip", "--version").code != 0 {
		t.Skip("SKIPPED: there is no pip here, so clients/python is NOT tested")
	}
	source, folder := filepath.Join(t.TempDir(), "python"), t.TempDir() // pip leaves nothing in the tree
	require.NoError(t, os.CopyFS(source, os.DirFS("../clients/python")))
	r := run(t, nil, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-cache-dir", "--target", folder, source)
	require.Zero(t, r.code, r.stderr)
	require.True(t, fileExists(filepath.Join(folder, "ucp", "py.typed")), "it is typed")
	return append(os.Environ(), "PYTHONPATH="+folder+string(os.PathListSeparator)+"tests", "PYTHONDONTWRITEBYTECODE=1")
}

// The Python client, as it is installed, does what it should with three real brokers, of which its last test kills one.
func TestPythonPackage(t *testing.T) {
	t.Parallel() // it waits most of the time
	python := python(t)
	env := installed(t, python)
	brokers := startCluster(t, 3, "--allow-process")
	var list []string
	for _, b := range brokers {
		list = append(list, fmt.Sprintf("%s=%d", b.http, b.Cmd.Process.Pid))
	}
	r := runWithin(t, 5*time.Minute, "../clients/python", append(env, "UCP_TEST_BROKERS="+strings.Join(list, ",")), nil, python, "-W", "error", "-m", "unittest", "discover", "-s", "tests", "-v")
	require.Zero(t, r.code, r.stderr)
	require.NotContains(t, r.stderr, "skipped", "each test finds its brokers")
	require.Regexp(t, `Ran [2-9]\d tests`, r.stderr)
}

// The Python client keeps to its types, as strictly as mypy can be.
func TestPythonTypes(t *testing.T) {
	python := python(t)
	if run(t, nil, python, "-m", "mypy", "--version").code != 0 {
		t.Skip("SKIPPED: there is no mypy here, so the types of clients/python are NOT checked")
	}
	r := runWithin(t, 5*time.Minute, "../clients/python", nil, nil, python, "-W", "ignore", "-m", "mypy", "--strict", "--cache-dir", t.TempDir())
	require.Zero(t, r.code, r.stdout+r.stderr)
}

// Each block of Python in the README of the client runs as it stands there.
func TestPythonReadme(t *testing.T) {
	python := python(t)
	env := installed(t, python)
	text, err := os.ReadFile("../clients/python/README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```python\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.GreaterOrEqual(t, len(blocks), 5)
	a := startCluster(t, 2, "--allow-process", "--job-path", filepath.Dir(filepath.Dir(realPath(t, python))))[0]
	for i, want := range []string{"is succeeded", "not_found ", "16\n", "is in force at", "['succeeded', 'succeeded', 'succeeded']"} {
		r := runIn(t, "", append(env, "UCP_ADDR="+a.http), strings.NewReader(blocks[i][1]), python, "-W", "error", "-")
		require.Zero(t, r.code, "%s\n%s", blocks[i][1], r.stderr)
		require.Contains(t, r.stdout, want, blocks[i][1])
	}
	require.Len(t, blocks, 5)
}

func realPath(t *testing.T, path string) string {
	path, err := filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return path
}

// In a city the Python client shows the identity that `ucp login` has left, or a token, and answers to no broker that is none of the city, or was
// shut out of it.
func TestPythonInACity(t *testing.T) {
	python := python(t)
	env := installed(t, python)
	founder, a := beginCity(t, "--allow-process")
	b := startAgentAt(t, "b", filepath.Join(t.TempDir(), "b"), 1, "--invite", founder.invite(a, "--name", "b"))
	founder.sees(a, "a", "b")
	client := &person{t, t.TempDir()}
	client.must("login", founder.invite(a, "--role", "client"), "--name", "kim")
	token := founder.must("token", "create", "--subject", "ci", "--scope", "submit")
	_, stranger := beginCity(t)
	identity := "UCP_IDENTITY=" + filepath.Join(client.dir, "identity")
	script := func(text string, args ...string) result {
		t.Helper()
		return runIn(t, "", append(env, identity, "TOKEN="+token), strings.NewReader("import os, sys\nfrom ucp import *\nhere = sys.argv[1:]\n"+text), python, append([]string{"-W", "error", "-"}, args...)...)
	}
	says := func(want, text string, args ...string) {
		t.Helper()
		r := script(text, args...)
		require.Zero(t, r.code, r.stderr)
		require.Contains(t, r.stdout, want)
	}
	fails := func(want, text string, args ...string) {
		t.Helper()
		r := script(text, args...)
		require.Equal(t, 1, r.code, r.stdout)
		require.Contains(t, r.stderr, want)
	}
	const member, holder = "ucp = Client(here, identity=Identity.load())\n", "ucp = Client(here, token=os.environ['TOKEN'])\n"
	const job = "j = ucp.run({'command': 'true'}, timeout=60)\nprint(j['state'], 'for', j['submitter'])\n"
	says("succeeded for kim", member+job, a.http, b.http)
	says("succeeded for ci", holder+job, a.http, b.http)
	fails("forbidden", member+"ucp.set_strategy('fcfs')", a.http)
	fails("belongs to another city", member+"ucp.members()\n", stranger.http)
	fails("belongs to another city", holder+"ucp.members()\n", stranger.http)
	fails("speaks no TLS", holder+"ucp.members()\n", "http://"+a.http)

	// Who is shut out goes on: its certificate is as good as before, but `ucp` has kept that it was revoked.
	founder.must("--addr", a.http, "cluster", "revoke", "b")
	client.must("--addr", a.http, "members")
	fails("b was shut out of the city", member+"ucp.members()\n", b.http)
	says("a\n", member+"print(ucp.coordination()['name'])\n", a.http)
}
