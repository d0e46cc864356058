package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process in real groups of this kernel, each below the one of this test.
func TestLimitsOfRealGroups(t *testing.T) {
	root := os.DirFS("/")
	if os.Getenv("CGROUP_TEST_INSIDE") != "" {
		l := Read(root)
		fmt.Printf("memory %d, available %t, cpu %d\n", l.Memory, l.Available > 256<<20 && l.Available < 512<<20, l.CPU)
		return
	}
	var script, wantMemory, wantCPU = "", int64(0), int64(0)
	for _, g := range groups(root, "memory", "cpu") {
		dir := filepath.Join("/", g.dir, fmt.Sprintf("ucp-test-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
		set := func(name, value string) bool {
			return os.WriteFile(filepath.Join(dir, name), []byte(value), 0) == nil
		}
		if set("memory.max", "512M") || set("memory.limit_in_bytes", "512M") {
			wantMemory = 512 << 20
		}
		if set("cpu.max", "50000 100000") || set("cpu.cfs_quota_us", "50000") {
			wantCPU = 500
		}
		script += "echo $$ > " + dir + "/cgroup.procs; "
	}
	if wantMemory == 0 || wantCPU == 0 {
		t.Skip("NOT TRIED: this test makes control groups with limits, for which it must own those that it is in")
	}
	inside := exec.Command("sh", "-c", script+`exec "$0" -test.run=^TestLimitsOfRealGroups$`, os.Args[0])
	inside.Env = append(os.Environ(), "CGROUP_TEST_INSIDE=1")
	out, err := inside.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), fmt.Sprintf("memory %d, available true, cpu %d\n", wantMemory, wantCPU))
}
