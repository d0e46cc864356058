package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The unit is one that systemd takes without a word, and leaves the broker the time that it needs.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(source, "deploy/systemd/ucp.service"))
	require.NoError(t, err)
	for _, line := range []string{
		"Type=notify", "User=ucp", "KillMode=mixed", "OOMPolicy=continue", "Delegate=cpu memory pids", "Restart=on-failure", "StateDirectory=ucp",
		"ExecStart=/usr/bin/ucp agent --config /etc/ucp/ucp.yaml", `ExecReload=/bin/sh -c "kill -HUP $MAINPID"`, "TimeoutStopSec=90",
	} {
		require.Contains(t, string(text), "\n"+line+"\n")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("NOT TESTED: what systemd thinks of the unit; systemd-analyze is not installed")
	}
	path := filepath.Join(t.TempDir(), "ucp.service")
	here := strings.Replace(string(text), "ExecStart=/usr/bin/ucp ", "ExecStart=/bin/true ", 1) // it has to be there
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(here, "man:ucp-agent(1)", "man:true(1)", 1)), 0o600))
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), path, "no warnings")
	out, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	overall := regexp.MustCompile(`Overall exposure level for ucp.service: ([0-9.]+)`).FindSubmatch(out)
	require.NotNil(t, overall, "%s", out)
	t.Logf("exposure %s of 10", overall[1])
	require.LessOrEqual(t, number(t, string(overall[1])), mostExposed, "%s", out)
}

// The recipe of the packages is one that its maker takes, and every file that it names from the source is there.
func TestRecipe(t *testing.T) {
	stage := t.TempDir()
	for _, path := range []string{"linux_amd64/ucp", "man/ucp.1.gz", "completion/bash", "completion/zsh", "completion/fish", "copyright"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(stage, path)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(stage, path), nil, 0o600))
	}
	r := &release{root: source, stage: stage, version: "1.2.3"}
	for _, kind := range packagers {
		info, err := r.packageInfo(kind, "amd64")
		require.NoError(t, err)
		found := map[string]string{}
		for _, c := range info.Contents {
			found[c.Destination] = c.Type
		}
		require.Equal(t, "config|noreplace", found["/etc/ucp/ucp.yaml"], kind)
		require.Contains(t, found, "/usr/bin/ucp", kind)
		require.Contains(t, found, "/usr/share/man/man1/ucp.1.gz", kind)
		require.NotContains(t, found, "/var/lib/ucp/", kind, "data are not of the package, which may be removed")
		for _, script := range []string{info.Scripts.PostInstall, info.Scripts.PreRemove, info.Scripts.PostRemove} {
			out, err := exec.Command("sh", "-n", script).CombinedOutput()
			require.NoError(t, err, "%s %s", script, out)
		}
	}
}
