package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process that is alone in a real group of version 2 moves below it, so that the group passes its controllers on; with
// company it stays. It is tried with whatever controllers this kernel has in version 2.
func TestHandDown(t *testing.T) {
	root := os.DirFS("/")
	own := func() string {
		for _, g := range groups(root) {
			return filepath.Join("/", g.dir)
		}
		return ""
	}
	if os.Getenv("CGROUP_TEST_INSIDE") != "" {
		dir := own()
		home := handDown(dir, false, strings.Fields(contentOf(filepath.Join(dir, "cgroup.controllers"))))
		again := handDown(own(), false, nil)
		fmt.Printf("home %t, again %t, moved %t, passes %d\n", home == dir, again == dir, own() == filepath.Join(dir, seat),
			len(strings.Fields(contentOf(filepath.Join(dir, "cgroup.subtree_control")))))
		return
	}
	controllers := strings.Fields(contentOf(filepath.Join(own(), "cgroup.controllers")))
	group := Group{Version: 2, Dir: filepath.Join(own(), fmt.Sprintf("ucp-test-%d", os.Getpid()))}
	if len(controllers) == 0 || !delegated(own()) || os.Mkdir(group.Dir, 0o755) != nil {
		t.Skip("NOT TRIED: this test makes control groups of version 2, and needs a controller there")
	}
	before := contentOf(filepath.Join(own(), "cgroup.subtree_control"))
	var passed []string
	for _, c := range controllers {
		if !slices.Contains(strings.Fields(before), c) && (Group{Dir: own()}).write("cgroup.subtree_control", "+"+c) == nil {
			passed = append(passed, c)
		}
	}
	t.Cleanup(func() {
		_ = os.Remove(filepath.Join(group.Dir, seat))
		require.NoError(t, os.Remove(group.Dir))
		for _, c := range passed {
			require.NoError(t, (Group{Dir: own()}).write("cgroup.subtree_control", "-"+c))
		}
	})
	if len(group.list("cgroup.controllers")) == 0 {
		t.Skip("NOT TRIED: this test needs a controller of version 2 that it may pass on")
	}
	inside := func(script string) string {
		cmd := exec.Command("sh", "-c", "echo $$ > "+group.Dir+"/cgroup.procs; "+script, os.Args[0])
		cmd.Env = append(os.Environ(), "CGROUP_TEST_INSIDE=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Contains(t, inside(`"$0" -test.run=^TestHandDown$; true`), "home true, again true, moved false, passes 0\n", "a shell is there, too")
	require.Contains(t, inside(`exec "$0" -test.run=^TestHandDown$`), fmt.Sprintf("home true, again true, moved true, passes %d\n", len(group.list("cgroup.controllers"))))
}

func contentOf(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}
