// Package ui looks at the dashboard in a real browser, on real brokers: every page while jobs run, a broker is killed, the network is
// split and an emergency is declared. It has tests only, and is a module of its own, so that the product needs nothing of a browser.
//
// It needs Chromium (chromium, chromium-browser or google-chrome in PATH, or UCP_CHROMIUM), and says so loudly where there is none. As
// root the brokers run on networks of their own, which can be split; elsewhere on loopback, without a split. Screenshots
// are kept where SCREENSHOTS says.
package ui

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/process"
	"github.com/urban-compute/ucp/test/rig"
)

var (
	ucpBinary, wordsModule string
	noBox                  error // why the network can't be split here
)

func TestMain(m *testing.M) {
	code, inside, why := rig.Box()
	switch {
	case why != nil:
		noBox = why
		fmt.Fprintln(os.Stderr, "NOT TESTED: a split on the dashboard, since", why)
	case !inside:
		os.Exit(code)
	default:
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "ip link set lo up: %v: %s\n", err, out)
			os.Exit(1)
		}
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ucp-ui-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ucpBinary, wordsModule = filepath.Join(dir, "ucp"), filepath.Join(dir, "words.wasm")
		err = build(ucpBinary, "./cmd/ucp")
		if err == nil {
			err = build(wordsModule, "./examples/words", "GOOS=wasip1", "GOARCH=wasm")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build builds a program of the product, in the product's own module.
func build(file, pkg string, env ...string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", file, pkg)
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), append([]string{"CGO_ENABLED=0", "GOGC=400"}, env...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w: %s", pkg, err, out)
	}
	return nil
}

// patience is how long a loaded machine may take for what takes seconds.
const patience = time.Minute

// cluster is three brokers, n1 to n3, of two cores each, n3 in another zone.
type cluster struct {
	t       *testing.T
	net     *rig.Network // nil on loopback
	brokers []*rig.Broker
}

func startCluster(t *testing.T) *cluster {
	c := &cluster{t: t}
	if noBox == nil {
		var err error
		c.net, err = rig.NewNetwork(3)
		require.NoError(t, err)
		t.Cleanup(c.net.Remove)
	}
	dir := t.TempDir()
	for i := range 3 {
		name := fmt.Sprintf("n%d", i+1)
		b := &rig.Broker{Name: name, Disk: filepath.Join(dir, name), Log: filepath.Join(dir, name+".log"), Program: ucpBinary, Place: rig.Loopback()}
		if c.net != nil {
			b.Place = c.net.Place(i)
		}
		b.Args = []string{"--cpu", "2", "--label", "zone=" + []string{"north", "north", "south"}[i]}
		b.Peers = func() (out []string) {
			for _, other := range c.brokers {
				if other != b && other.Gossip != "" {
					out = append(out, other.Gossip)
				}
			}
			return out
		}
		c.brokers = append(c.brokers, b)
		require.NoError(t, b.Start())
		t.Cleanup(b.End)
	}
	for _, b := range c.brokers {
		c.sees(b, 2)
	}
	return c
}

// sees waits until a broker hears so many others.
func (c *cluster) sees(b *rig.Broker, n int) {
	process.Eventually(c.t, patience, fmt.Sprintf("%s hears %d others", b.Name, n), func() bool {
		s, err := b.Client().Coordination(c.t.Context())
		return err == nil && s.HealthyPeers == n
	})
}

// run submits a native job that runs these words of a shell.
func (c *cluster) run(id, script string, change func(*job.Spec)) {
	c.t.Helper()
	spec := job.Spec{Driver: "process", Command: "sh", Args: []string{"-c", script}, Name: strings.TrimRight(id, "-0123456789"), Resources: job.Resources{CPU: 1000}}
	if change != nil {
		change(&spec)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, err := c.brokers[0].Client().Submit(ctx, spec, api.SubmitOptions{ID: job.ID(id)})
	require.NoError(c.t, err)
}

// browser is the Chromium of this machine; the test is skipped where there is none.
func browser(t *testing.T) string {
	for _, name := range []string{os.Getenv("UCP_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	fmt.Fprintln(os.Stderr, "NOT TESTED: the dashboard in a browser, since there is no chromium: apt-get install chromium")
	t.Skip("there is no chromium here")
	return ""
}
