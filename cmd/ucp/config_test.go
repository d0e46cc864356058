package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A config file is checked as an agent would read it, whatever the variables of the shell say, and starts nothing.
func TestConfigCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	file := func(text string) string {
		require.NoError(t, os.WriteFile("ucp.yaml", []byte(text), 0o600))
		return "ucp.yaml"
	}
	s := newShell(t)
	s.env = map[string]string{"UCP_CPU": "nonsense"}
	got := s.run("config", "check", file("cpu: 2\nstrategy: FCFS\n"))
	require.Zero(t, got.code, got.errOut)
	require.Equal(t, "ucp.yaml: in order, 2 settings\n", got.out)
	require.JSONEq(t, `{"file":"ucp.yaml","settings":2}`, s.run("config", "check", "-o", "json", file("cpu: 2\nstrategy: FCFS\n")).out)
	for text, want := range map[string]string{
		"cpu: 2000\n":                           "ucp.yaml:1: cpu: 2000 cores: write 2000m for millicores",
		"name: a\nstrateggy: fcfs\n":            `ucp.yaml:2: unknown key "strateggy"; did you mean "strategy"`,
		"emergency-strategy: never\n":           `ucp.yaml:1: emergency-strategy: "never": want one of emergency, keep`,
		"bind: 10.0.0.1:7946\nname: [a, b\n":    "ucp.yaml:2",
		"http-addr: 10.0.0.1:8000\nname: a-1\n": "insecure",

		"name: a\nretry-join: [10.0.0.2]\n":                                       "ucp.yaml:2: retry-join: this broker is to listen at 127.0.0.1:7946 (--bind), which others can't reach, so that 10.0.0.2:7946 could not answer it",
		"bind: 10.0.0.1:7946\ninsecure: true\nretry-join: [\"[fd00::1]:7946\"]\n": "ucp.yaml:3: retry-join: this broker's gossip is IPv4 (--bind 10.0.0.1:7946), and [fd00::1]:7946 is IPv6",
	} {
		got := s.run("config", "check", file(text))
		require.Equal(t, 1, got.code, text)
		require.Contains(t, got.errOut, want)
	}
	many := s.run("config", "check", file("strateggy: fcfs\nreplicas: 0\ncpu: 2000\nlog-level: loud\nretry-join: [\"exec:\", \"a b\"]\nretention: -1s\n---\ncpu: 3\n"))
	require.Equal(t, 1, many.code)
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(many.errOut), "\n") {
		lines = append(lines, strings.Join(strings.SplitN(strings.TrimSpace(l), ":", 4)[:min(3, strings.Count(l, ":")+1)], ":"))
	}
	require.Equal(t, []string{
		"ucp: 8 mistakes:", `ucp.yaml:1: unknown key "strateggy"; did you mean "strategy"? the keys are the flags of ` + "`ucp agent` without their dashes in front; see `ucp agent --help`",
		"ucp.yaml:2: replicas", "ucp.yaml:3: cpu", "ucp.yaml:4: log-level", "ucp.yaml:5: retry-join", "ucp.yaml:5: retry-join", "ucp.yaml:6: retention", "ucp.yaml:8: cpu",
	}, lines)
	require.Contains(t, s.run("config", "check", "nowhere.yaml").errOut, "reading the config file")

	// So are the files and directories that it names, as they are on this machine.
	paths := s.run("config", "check", file("data-dir: /proc/zz\nkeyring: /nosuch/keys\nrpc-auth-file: /nosuch/auth\nhttp-socket: /proc/zz/http\ntls-ca: /nosuch/ca\nstrateggy: fcfs\n")).errOut
	for _, want := range []string{
		"ucp.yaml:1: data-dir: /proc/zz: nothing can be written into /proc:", "ucp.yaml:2: keyring: gossip: keyring: stat /nosuch/keys", "ucp.yaml:3: rpc-auth-file: ",
		"ucp.yaml:4: http-socket: /proc/zz: nothing", "tls-ca: open /nosuch/ca", `unknown key "strateggy"`,
	} {
		require.Contains(t, paths, want)
	}
	require.Zero(t, s.run("config", "check", file("data-dir: new/one\n")).code, "it is made when it is needed")
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing was started, and nothing left")
}

// Whatever is in a config file is taken, or refused in words that fit a terminal.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("name: a\ncpu: 2\nretry-join: [10.0.0.1, 10.0.0.2]\n"))
	f.Add([]byte("log-level: debug\nlabels:\n  district: 7\n"))
	f.Add([]byte("memory: 99999999999999999999GiB\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 16<<10 {
			return
		}
		path := filepath.Join(dir, strconv.Itoa(os.Getpid())+".yaml")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		if _, err := checkConfig(path); err != nil {
			require.NotEmpty(t, err.Error())
			require.LessOrEqual(t, len(err.Error()), 2000)
		}
	})
}
