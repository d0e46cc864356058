package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An rpm is whole, says what it is, has its files, marks its settings as such, and its scripts are what they are to be.
func TestRPM(t *testing.T) {
	m := theOne(t)
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("NOT TESTED: rpm is not installed (apt-get install rpm)")
	}
	for arch, named := range map[string]string{"amd64": "x86_64", "arm64": "aarch64"} {
		file := m.file(t, "*."+named+".rpm")
		require.Contains(t, command(t, "rpm", "-K", "--nosignature", file), "digests OK", arch)
		info := command(t, "rpm", "-qp", "--queryformat", "%{NAME} %{ARCH} %{LICENSE} %{BUILDHOST}", file)
		require.Equal(t, "ucp "+named+" Apache-2.0 localhost", info)
		files := strings.Fields(command(t, "rpm", "-qpl", file))
		for _, path := range []string{
			"/usr/bin/ucp", "/etc/ucp/ucp.yaml", "/usr/lib/systemd/system/ucp.service", "/usr/share/man/man1/ucp-run.1.gz",
			"/usr/share/bash-completion/completions/ucp", "/usr/share/zsh/site-functions/_ucp", "/usr/share/doc/ucp/copyright",
		} {
			require.Contains(t, files, path)
		}
		for _, path := range files {
			require.False(t, strings.HasPrefix(path, "/var"), "%s: data are not of the package, which may be removed", path)
		}
		require.Equal(t, "/etc/ucp/ucp.yaml\n", command(t, "rpm", "-qpc", file))
		require.Contains(t, command(t, "rpm", "-qp", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]", file), "-rwxr-xr-x /usr/bin/ucp\n")
		require.Contains(t, command(t, "rpm", "-qp", "--requires", file), "shadow-utils")
		scripts := command(t, "rpm", "-qp", "--scripts", file)
		for _, words := range []string{"preinstall scriptlet", "useradd --system", "try-restart ucp.service", "disable --now ucp.service"} {
			require.Contains(t, scripts, words)
		}
		require.NotContains(t, scripts, "rm -rf")
	}
}
