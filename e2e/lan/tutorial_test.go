package lan

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/test/process"
)

// typed is what somebody types, and what stands below it in the tutorial.
type typed struct{ line, answer string }

// tutorial reads docs/tutorial.md: what is typed, in blocks, and the files that are saved, which are named in the sentence before each.
func tutorial(t *testing.T) (blocks [][]typed, files map[string]string) {
	text, err := os.ReadFile("../../docs/tutorial.md")
	require.NoError(t, err)
	files = map[string]string{}
	for _, m := range regexp.MustCompile("(?s)as `(\\S+)`[^\n]*\n\n```\\w+\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		files[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		var block []typed
		for line := range strings.Lines(m[1]) {
			if command, is := strings.CutPrefix(line, "$ "); is {
				block = append(block, typed{line: strings.TrimSpace(command)})
			} else {
				block[len(block)-1].answer += line
			}
		}
		blocks = append(blocks, block)
	}
	require.Len(t, files, 4)
	require.Greater(t, len(blocks), 8)
	return blocks, files
}

// terminal is a shell on a machine of the network, in which one line is typed after the other.
type terminal struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func openTerminal(t *testing.T, dir string) *terminal {
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", "b0", "bash")
	cmd.Dir = dir
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	cmd.Env = append(os.Environ(), "GOCACHE="+strings.TrimSpace(string(cache)), "XDG_CONFIG_HOME="+dir, "UCP_IDENTITY=", "UCP_ADDR=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the brokers that it has started are of its group
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = write, write
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Cancel()
		_ = cmd.Wait()
		_ = write.Close()
		_ = out.Close()
	})
	require.NoError(t, out.SetReadDeadline(time.Now().Add(3*patience)))
	return &terminal{t: t, in: in, out: bufio.NewReader(out)}
}

// types gives a line to the shell, and returns what it printed and its exit code.
func (x *terminal) types(line string) (answer string, code int) {
	const end = "\x1e"
	_, err := fmt.Fprintf(x.in, "%s\nprintf '"+end+"%%d\\n' $?\n", line)
	require.NoError(x.t, err)
	for {
		text, err := x.out.ReadString('\n')
		require.NoError(x.t, err, "%s\n%s", line, answer)
		if before, after, ends := strings.Cut(text, end); ends {
			code, err := strconv.Atoi(strings.TrimSpace(after))
			require.NoError(x.t, err)
			return answer + before, code
		}
		answer += text
	}
}

// waits are lines that say why it takes long, where it does. What goes wrong has another exit code.
var waits = regexp.MustCompile(`(?m)^ucp: .*\n`)

// alike leaves out of what a line prints what is another each time: times, IDs, sizes, which broker, and where it was broken. What
// jobs print is the same each time.
func alike(line, answer string) string {
	answer = strings.TrimSpace(waits.ReplaceAllString(answer, ""))
	if regexp.MustCompile(`^(cat|ucp run|ucp plan|ucp --addr) `).MatchString(line) {
		return answer
	}
	for _, r := range [][2]string{
		{`(?m)\s+(-|[0-9.]+(µs|ms|s))$`, ""}, // the last column of members
		{`[0-9]+(\.[0-9]+)?`, "N"},
		{`\b[KMGT]iB`, "iB"},
		{`\b[abc]\b`, "X"},
		{`\s+`, " "},
	} {
		answer = regexp.MustCompile(r[0]).ReplaceAllString(answer, r[1])
	}
	return answer
}

// looks are lines that change nothing, and which somebody types again who does not see yet what they wait for.
var looks = regexp.MustCompile(`^ucp( members.*| emergency get .*| plan show .*)?$`)

// compilers say, for the first word of a line that only some machines can run, how to find out.
var compilers = map[string]string{
	"rustc": `echo 'fn main() {}' > probe.rs && rustc --target wasm32-wasi -C linker=wasm-ld-14 -o probe.wasm probe.rs`,
	"clang": `echo 'int main(void) { return 0; }' > probe.c && clang --target=wasm32-wasi -o probe.wasm probe.c`,
}

// What docs/tutorial.md tells to type works as it stands there, in its order, and prints what stands there. Rust and C where there is a
// compiler for them.
func TestTutorialAsTyped(t *testing.T) {
	network(t, 1)("-n b0 link set lo up")
	blocks, files := tutorial(t)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin/tutorial"), 0o755))
	require.NoError(t, os.Symlink(ucpBinary, filepath.Join(dir, "bin/ucp")))
	for _, name := range []string{"words", "tiles"} { // as `make build examples` does
		require.NoError(t, process.Build(filepath.Join(dir, "bin", name+".wasm"), "github.com/urban-compute/ucp/examples/"+name, "GOOS=wasip1", "GOARCH=wasm"))
	}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bin/tutorial", name), []byte(text), 0o600))
	}
	x := openTerminal(t, dir)
	require.Equal(t, "make build examples", blocks[0][0].line)
	blocks[0] = blocks[0][1:]
	for _, block := range blocks {
		first, _, _ := strings.Cut(block[0].line, " ")
		if probe := compilers[first]; probe != "" {
			if why, code := x.types(probe); code != 0 {
				t.Logf("NOT TESTED: the tutorial's program that %s compiles, which can't compile for WASI here: %.200s", first, why)
				continue
			}
		}
		for _, step := range block {
			answer, code := x.types(step.line)
			for begun := time.Now(); looks.MatchString(step.line) && alike(step.line, answer) != alike(step.line, step.answer) && time.Since(begun) < patience; {
				answer, code = x.types("sleep 0.2; " + step.line)
			}
			require.Zero(t, code, "%s\n%s", step.line, answer)
			if strings.HasSuffix(step.line, "&") {
				continue
			}
			require.Equal(t, alike(step.line, step.answer), alike(step.line, answer), "%s\n%s", step.line, answer)
		}
	}
}
