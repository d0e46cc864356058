package lan

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/test/process"
)

// person sits at a machine of the network, in a directory and with a home of their own.
type person struct {
	t       *testing.T
	machine int
	dir     string
	env     []string // that they have exported
}

func (p *person) command(line string) *exec.Cmd {
	cmd := exec.Command("ip", "netns", "exec", fmt.Sprintf("b%d", p.machine), "sh", "-c", line)
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), "PATH="+filepath.Dir(ucpBinary)+":"+os.Getenv("PATH"), "HOME="+p.dir, "XDG_CONFIG_HOME=", "UCP_IDENTITY="), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// types is a line that ends.
func (p *person) types(line string) (string, error) {
	out, err := p.command(line).CombinedOutput()
	return string(out), err
}

// leaves is a line that is left running.
func (p *person) leaves(line string) *process.Agent {
	p.t.Helper()
	p.t.Log("machine ", p.machine, ": ", line)
	before, last := "", line
	if i := strings.LastIndex(line, "&& "); i >= 0 {
		before, last = line[:i+3], line[i+3:]
	}
	return process.Start(p.t, fmt.Sprintf("machine-%d", p.machine), 0, p.command(before+"exec "+last))
}

// sees waits until a line says of so many brokers that they are alive.
func (p *person) sees(line string, brokers int) {
	p.t.Helper()
	var out string
	require.Eventually(p.t, func() bool {
		out, _ = p.types(line)
		return strings.Count(out, " alive ") == brokers && !strings.Contains(out, "silent")
	}, patience, patience/100, "%s", &out)
}

// What README.md tells to type on several machines works as it stands there on three machines: the lines
// of one that knows others by address, that by which they find each other, and those of a city.
func TestReadmeOnSeveralMachines(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(text), "\nOn several machines make it a city")
	city, after, found := strings.Cut(after, "\nWhere you trust everybody")
	require.True(t, found)
	trusted, after, found := strings.Cut(after, "\nOn one network without any addresses")
	require.True(t, found)
	lines := func(text string) (out []string) {
		for _, m := range regexp.MustCompile(`(?m)^    (.+)$`).FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(m[1], "#")
			out = append(out, strings.TrimSpace(line))
		}
		return out
	}
	people := func(ip func(string, ...any)) (all []*person) {
		for i := range 3 {
			ip("-n b%d addr add 10.0.0.%d/24 dev eth0", i, 1+i)
			all = append(all, &person{t: t, machine: i, dir: t.TempDir()})
		}
		return all
	}
	works := func(p *person) {
		out, err := p.types("ucp cluster verify")
		require.NoError(t, err, "%s", out)
		require.Contains(t, out, "all 3 brokers hold the same")
		out, err = p.types("ucp")
		require.NoError(t, err, "%s", out)
	}

	t.Run("by address", func(t *testing.T) {
		all := people(network(t, 3))
		typed := lines(trusted)
		require.Len(t, typed, 4)
		all[0].leaves(typed[0])
		all[2].leaves(typed[1])
		all[1].leaves(strings.NewReplacer("van-3", "van-2", "10.0.0.3", "10.0.0.2").Replace(typed[1]))
		all[2].env = []string{strings.TrimPrefix(typed[2], "export ")}
		all[2].sees(typed[3], 3)
		works(all[2])
	})
	t.Run("without addresses", func(t *testing.T) {
		all := people(network(t, 3))
		line := regexp.MustCompile("`(ucp agent [^`]+--discover[^`]+)`").FindStringSubmatch(after)
		require.NotNil(t, line)
		for i, p := range all {
			p.leaves(line[1] + fmt.Sprintf(" --name van-%d", 1+i)) // else a machine's own, which these have in common
		}
		all[0].sees("ucp members", 3)
		works(all[0])
	})
	t.Run("a city", func(t *testing.T) {
		all := people(network(t, 3))
		typed := lines(city)
		require.Len(t, typed, 6)
		all[0].leaves(typed[0])
		all[0].sees("ucp members", 1)
		for _, p := range all[1:] {
			code, err := all[0].types(typed[1] + " 2>/dev/null")
			require.NoError(t, err, "%s", code)
			p.leaves(strings.Replace(typed[2], "CODE", strings.Fields(code)[0], 1))
		}
		all[0].sees("ucp members", 3)
		works(all[0])
		code, err := all[0].types("ucp cluster invite --role client 2>/dev/null")
		require.NoError(t, err, "%s", code)
		client := &person{t: t, machine: 2, dir: t.TempDir()}
		out, err := client.types("ucp login " + strings.Fields(code)[0])
		require.NoError(t, err, "%s", out)
		client.sees("ucp members", 3)
	})
}
