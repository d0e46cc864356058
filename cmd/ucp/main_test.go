package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell runs command lines as a person would, with a world of its own.
type shell struct {
	t        *testing.T
	env      map[string]string
	stdin    string
	terminal bool
	columns  int            // of the screen, 0 for none
	signals  chan os.Signal // what the person presses
	exited   chan int       // codes of processes that ended at once
}

func newShell(t *testing.T) *shell {
	return &shell{t: t, env: map[string]string{}, signals: make(chan os.Signal), exited: make(chan int, 1)}
}

// ran is what one command line came to.
type ran struct {
	code        int
	out, errOut string
}

func (s *shell) cli(out, errOut *bytes.Buffer) *cli {
	return &cli{
		in: strings.NewReader(s.stdin), out: out, err: errOut, terminal: s.terminal,
		width: func(w io.Writer) int { return s.columns },
		environ: func() (out []string) {
			for k, v := range s.env {
				out = append(out, k+"="+v)
			}
			return out
		},
		lookupEnv: func(k string) (string, bool) { v, ok := s.env[k]; return v, ok },
		signals: func(ch chan<- os.Signal) func() {
			quit, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for {
					select {
					case sig := <-s.signals:
						ch <- sig
					case <-quit:
						return
					}
				}
			}()
			return func() { close(quit); <-done }
		},
		exit: func(code int) { s.exited <- code },
	}
}

func (s *shell) run(args ...string) ran {
	s.t.Helper()
	var out, errOut bytes.Buffer
	code := s.cli(&out, &errOut).main(context.Background(), args)
	return ran{code, out.String(), errOut.String()}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for name, x := range map[string]struct {
		args []string
		want string
	}{
		"unknown verb":       {[]string{"membres"}, "ucp: there is no `ucp membres`; did you mean \"members\"? it has: agent, "},
		"unknown verb below": {[]string{"job", "lits"}, "ucp: there is no `ucp job lits`; did you mean \"list\"? it has: cancel, get, list, logs, result, submit, wait\n"},
		"unknown flag":       {[]string{"run", "--timout", "3s", "x"}, "ucp: unknown flag: --timout; did you mean --timeout? see `ucp run --help`\n"},
		"unknown shorthand":  {[]string{"members", "-x"}, "ucp: unknown shorthand flag: 'x' in -x; see `ucp members --help`\n"},
		"format":             {[]string{"members", "-o", "xml"}, "ucp: -o \"xml\": want one of table, json; see `ucp members --help`\n"},
		"address":            {[]string{"members", "--addr", "ftp://x"}, "ucp: --addr or UCP_ADDR: broker address \"ftp://x\": the scheme \"ftp\" is not http or https;"},
		"no broker":          {[]string{"members", "--addr", "127.0.0.1:1"}, "ucp: no broker answers at 127.0.0.1:1; start one with `ucp agent`, or name one with --addr or UCP_ADDR\n"},
		"argument missing":   {[]string{"job", "get"}, "ucp: `ucp job get` needs a job ID; see `ucp job get --help`\n"},
		"nobody to forget":   {[]string{"cluster", "forget"}, "ucp: `ucp cluster forget` needs the name of a broker; see `ucp cluster forget --help`\n"},
		"argument too many":  {[]string{"members", "all"}, "ucp: unexpected argument \"all\"; see `ucp members --help`\n"},
		"no module":          {[]string{"run", "--", "x"}, "ucp: `ucp run` needs a module before the arguments;"},
		"no program":         {[]string{"run", "--driver", "process", "--", "sleep", "1"}, "ucp: `ucp run` needs a command, the program to run, before the arguments;"},
		"arguments loose":    {[]string{"run", "a.wasm", "b"}, "ucp: unexpected argument \"b\": the arguments of the job stand behind --: `ucp run a.wasm -- b ...`\n"},
		"cpu":                {[]string{"run", "--cpu", "lots", "a.wasm"}, "ucp: --cpu \"lots\": write cores (2, 0.5) or millicores (500m);"},
		"memory":             {[]string{"run", "--memory", "64XB", "a.wasm"}, "ucp: --memory \"64XB\": write bytes, or with a suffix"},
		"pair":               {[]string{"run", "--env", "HOME", "a.wasm"}, "ucp: --env \"HOME\": write NAME=VALUE;"},
		"pair twice":         {[]string{"run", "--input", "a=x", "--input", "a=y", "a.wasm"}, "ucp: --input \"a=y\": a is given twice;"},
		"driver":             {[]string{"run", "--driver", "docker", "a.wasm"}, "ucp: --driver \"docker\": want one of wasm, process\n"},
		"deadline":           {[]string{"run", "--deadline", "soon", "a.wasm"}, "ucp: --deadline \"soon\": write 2026-01-31T15:04:05Z, or a duration from now such as 90m\n"},
		"id":                 {[]string{"run", "--id", "../x", "a.wasm"}, "ucp: --id \"../x\": use letters, digits"},
		"module not there":   {[]string{"run", "nowhere.wasm"}, "ucp: there is no file nowhere.wasm; a command of the machine that runs the job needs `--driver process`\n"},
		"state":              {[]string{"job", "list", "--state", "asleep"}, "ucp: --state \"asleep\": want one of pending, queued, starting, loading, running,"},
		"slip of a state":    {[]string{"job", "list", "--state", "queud,failed"}, "ucp: --state \"queud\": did you mean queued? want one of pending, queued,"},
		"slip of a driver":   {[]string{"run", "--driver", "procss", "a.wasm"}, "ucp: --driver \"procss\": did you mean process? want one of wasm, process\n"},
		"slip of a strategy": {[]string{"agent", "--strategy", "priorty"}, "ucp: --strategy: unknown strategy \"priorty\"; did you mean priority? want one of causal,"},
		"slip of a format":   {[]string{"members", "-o", "jsn"}, "did you mean json? want one of table, json;"},
		"slip of a weight":   {[]string{"agent", "--weight", "waitng=3"}, "ucp: --weight: unknown weight \"waitng\"; did you mean waiting?"},
		"slip below, flags":  {[]string{"emergency", "declre", "--type", "flood"}, "ucp: there is no `ucp emergency declre`; did you mean \"declare\"? it has: clear, declare, get, list\n"},
		"type as argument":   {[]string{"emergency", "declare", "flood"}, "ucp: unexpected argument \"flood\": the type is a flag here: `ucp emergency declare --type flood --level critical`\n"},
		"type and argument":  {[]string{"emergency", "declare", "quake", "--type", "flood"}, "ucp: unexpected argument \"quake\"; see `ucp emergency declare --help`\n"},
		"no level":           {[]string{"emergency", "declare", "--type", "flood"}, "ucp: --level is missing: low, medium, high or critical;"},
		"whole number":       {[]string{"run", "--priority", "high", "a.wasm"}, "ucp: --priority \"high\": write a whole number; see `ucp run --help`\n"},
		"no unit":            {[]string{"job", "wait", "x", "--timeout", "5"}, "ucp: --timeout \"5\": write a duration with its unit, such as 90s, 5m or 1h30m; see"},
		"neither yes nor no": {[]string{"job", "list", "--all=perhaps"}, "ucp: --all \"perhaps\": write true or false; see"},
		"empty ID":           {[]string{"run", "--id", "", "a.wasm"}, "ucp: --id is given without a value; see `ucp run --help`\n"},
		"empty choice":       {[]string{"job", "cancel", "--label", "batch=7", "--name", ""}, "ucp: --name is given without a value;"},
		"empty state":        {[]string{"job", "list", "--state", ""}, "ucp: --state is given without a value;"},
		"empty entry":        {[]string{"run", "--after", "x", "--after", "", "a.wasm"}, "ucp: --after is given without a value;"},
		"empty emergency":    {[]string{"emergency", "declare", "--id", "", "--type", "flood", "--level", "high"}, "ucp: --id is given without a value;"},
		"label with newline": {[]string{"agent", "--data-dir", "d", "--label", "site=a\nb"}, "a label's name consists of"},
		"slip of json":       {[]string{"debug", "bundle", "-o", "jsn"}, "ucp: -o \"jsn\": did you mean json? a file of that name is ./jsn;"},
		"streams":            {[]string{"job", "logs", "x", "--stdout", "--stderr"}, "ucp: --stdout and --stderr: say one of them, or none for both\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := newShell(t).run(x.args...)
			require.Equal(t, exitError, got.code)
			require.Empty(t, got.out)
			require.Contains(t, got.errOut, x.want)
			require.True(t, strings.HasPrefix(got.errOut, "ucp: "), got.errOut)
			require.Equal(t, 1, strings.Count(got.errOut, "\n"), "one line: %s", got.errOut)
			require.NotRegexp(t, `\bnil\b`, got.errOut)
		})
	}
}

func TestGlobalsFromTheEnvironment(t *testing.T) {
	s := newShell(t)
	s.env["UCP_ADDR"] = "127.0.0.1:2"
	require.Contains(t, s.run("members").errOut, "no broker answers at 127.0.0.1:2;")
	require.Contains(t, s.run("members", "--addr", "127.0.0.1:1").errOut, "no broker answers at 127.0.0.1:1;", "a flag beats a variable")
	s.env["UCP_FORMAT"] = "xml"
	require.Equal(t, "ucp: variable UCP_FORMAT=\"xml\": want one of table, json\n", s.run("version").errOut)
	s.env["UCP_FORMAT"] = "json"
	require.Contains(t, s.run("version").out, `"platform": "`)
	s.env["UCP_FORMAT"] = ""
	require.Contains(t, s.run("version").out, "platform  ", "an empty variable counts as not set")
}

func TestEveryVerbExplainsItself(t *testing.T) {
	everyVerb(func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		if !cmd.HasSubCommands() {
			require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		}
	})
	got := newShell(t).run("--help")
	require.Zero(t, got.code)
	require.Contains(t, got.out, "Available Commands:")
	require.NotContains(t, got.out, "worker")
	for _, sh := range []string{"bash", "zsh", "fish", "powershell"} {
		require.NotEmpty(t, newShell(t).run("completion", sh).out)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"name", "sync-interval", "rpc-addr", "http-addr"}
	for word, want := range map[string]string{
		"sync-intervall": "sync-interval", "nam": "name", "nmae": "name", "rpcaddr": "rpc-addr", "zzz": "", "": "", "htp-adr": "http-addr",
	} {
		require.Equal(t, want, nearest(word, names), word)
	}
}

func newBuffers() (out, errOut *bytes.Buffer) { return &bytes.Buffer{}, &bytes.Buffer{} }
