package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A secret reaches the job, a native one and a module, also where it is placed elsewhere than it could run when it was submitted; and
// nothing else has it in clear: no file of any broker, no log, no answer, no bundle, no audit log.
func TestSecretsOfJobs(t *testing.T) {
	const secret, other = "seven-dry-wells-4711", "eight-wet-walls-1147"
	founder, a := beginCity(t)
	dir := t.TempDir()
	dirs := []string{a.dir}
	join := func(name string) *agent {
		dirs = append(dirs, filepath.Join(dir, name))
		return startAgentAt(t, name, filepath.Join(dir, name), 1, "--allow-process", "--invite", founder.invite(a, "--name", name))
	}
	b, c := join("b"), join("c")
	for _, x := range []*agent{a, b, c} {
		founder.sees(x, "a", "b", "c")
	}
	file := filepath.Join(founder.dir, "secret")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	kim := &person{t, t.TempDir()}
	kim.must("login", founder.invite(a, "--role", "client"), "--name", "kim")
	t.Setenv("E2E_OTHER", other)
	const backwards = "1174-sllew-yrd-neves\n"
	require.Equal(t, backwards, kim.must("--addr", a.http, "run", guestModule, "--secret", "PW="+file, "--", "reverse", "PW"))
	require.Equal(t, "7411-sllaw-tew-thgie\n", kim.must("--addr", b.http, "run", guestModule, "--secret", "E2E_OTHER", "--", "reverse", "E2E_OTHER"))

	// As files, also from stdin; what the job keeps of them is its own affair.
	script := `tr a-z n-za-m < key; cat keys/pin | wc -c`
	turned := kim.must("--addr", a.http, "run", "--id", "files", "--driver", "process", "sh", "--secret", "./key="+file, "--secret", "keys/pin="+file, "--", "-c", script)
	require.Regexp(t, `^frira-qel-jryyf-4711\n *21\n$`, turned)

	// Who reads what is encrypted names it in a job of his own, and any broker could decrypt it: it is for jobs of kim alone.
	eve := &person{t, t.TempDir()}
	eve.must("login", founder.invite(a, "--role", "client"), "--name", "eve")
	named := regexp.MustCompile(`"./key": *"([0-9a-f]{64})"`).FindStringSubmatch(eve.must("--addr", a.http, "job", "get", "files", "-o", "json"))
	require.Len(t, named, 2)
	spec := filepath.Join(eve.dir, "theft.json")
	require.NoError(t, os.WriteFile(spec, []byte(`{"driver":"process","command":"sh","args":["-c","tr a-z n-za-m < key"],"secrets":{"./key":"`+named[1]+`"}}`), 0o600))
	eve.ucp("--addr", b.http, "job", "submit", spec, "--id", "theft")
	eve.ucp("--addr", b.http, "job", "wait", "theft")
	stolen := eve.must("--addr", b.http, "job", "get", "theft")
	require.Contains(t, stolen, "it is for jobs of")
	require.NotContains(t, eve.must("--addr", b.http, "job", "logs", "theft"), "frira")

	// It is encrypted to b and to a, which is asked, and moves to c.
	founder.must("--addr", a.http, "cluster", "drain", "c")
	eventually(t, time.Minute, "a knows that c is drained", func() bool {
		return strings.Contains(founder.must("--addr", a.http, "run", "--dry-run", "--driver", "process", "--constraint", "name=c", "sh"), "drained")
	})
	script = `case $UCP_ATTEMPT in 1.1.*) sleep 600;; esac; printf %s "$PW" | od -An -tx1 | tr -d ' \n'`
	kim.must("--addr", a.http, "run", "--detach", "--id", "moves", "--driver", "process", "sh", "--secret", "PW="+file, "--", "-c", script)
	eventually(t, time.Minute, "it runs at b", func() bool {
		return strings.Contains(kim.must("--addr", a.http, "job", "get", "moves"), "Executor:   b")
	})
	inClear(t, []byte(secret), dirs...) // while it runs
	founder.must("--addr", a.http, "cluster", "resume", "c")
	b.signal(syscall.SIGKILL, time.Minute)
	kim.must("--addr", a.http, "job", "wait", "moves")
	require.Equal(t, "736576656e2d6472792d77656c6c732d34373131", kim.must("--addr", c.http, "job", "logs", "moves"))
	require.Contains(t, a.Said(), "a secret of a job was encrypted again")
	b = startAgent(t, "b", b.dir, "--allow-process")
	founder.sees(a, "a", "b", "c")

	for _, word := range []string{secret, other} {
		inClear(t, []byte(word), dirs...)
		for _, x := range []*agent{a, b, c} {
			require.NotContains(t, x.Said(), word)
			require.NotContains(t, founder.must("--addr", x.http, "job", "get", "moves", "-o", "json"), word)
			require.NotContains(t, founder.must("--addr", x.http, "audit", "list", "-o", "json"), word)
		}
		bundle := filepath.Join(t.TempDir(), "all.tar.gz")
		founder.must("--addr", a.http, "debug", "bundle", "--all", "-o", bundle)
		for name, text := range entries(t, bundle) {
			require.NotContains(t, text, word, name)
		}
	}
	require.Contains(t, founder.must("--addr", a.http, "job", "get", "moves", "-o", "json"), `"PW"`)

	r := kim.ucp("--addr", a.http, "run", guestModule, "--secret", "E2E_NOT_THERE", "--", "reverse", "E2E_NOT_THERE")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "there is no such variable here")
	alone := startAgent(t, "alone", t.TempDir())
	r = run(t, nil, ucpBinary, "--addr", alone.http, "run", guestModule, "--secret", "PW="+file, "--", "reverse", "PW")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "secrets are encrypted to brokers of a city")
}

// inClear fails if a file below some directories has these bytes.
func inClear(t *testing.T, what []byte, dirs ...string) {
	t.Helper()
	looked := 0
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // it has gone meanwhile
			}
			text, err := os.ReadFile(path)
			if err == nil {
				looked++
				require.False(t, bytes.Contains(text, what), path)
			}
			return nil
		}))
	}
	require.NotZero(t, looked)
}
