package node

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/executor"
)

// A socket is for its owner only; what a killed process has left is replaced, and nothing else.
func TestListenSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenSocket(path, DefaultSocketMode)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	_, err = listenSocket(path, DefaultSocketMode)
	require.ErrorContains(t, err, "another process answers there")
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	l, err = listenSocket(path, 0o660)
	require.NoError(t, err)
	info, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o660), info.Mode().Perm())
	require.NoError(t, l.Close())
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err = listenSocket(path, DefaultSocketMode)
	require.ErrorContains(t, err, "is no socket")
	_, err = listenSocket(strings.Repeat("/long", 30), DefaultSocketMode)
	require.ErrorContains(t, err, "at most 103 bytes")
}

// A broker that trusts its own user runs no jobs as that.
func TestJobsAreNotTrusted(t *testing.T) {
	own := &api.Sandbox{Missing: map[string]string{executor.WallUsers: "not root"}}
	n := &Node{cfg: Config{TrustLocal: true, AllowProcess: true}}
	require.ErrorContains(t, n.checkTrust(own), "native jobs run as this broker's own user (not root)")
	require.NoError(t, n.checkTrust(&api.Sandbox{Holds: []string{executor.WallUsers}}))
	n.cfg.AllowProcess = false
	require.NoError(t, n.checkTrust(own))
	n.cfg.AllowProcess, n.cfg.TrustLocal = true, false
	require.NoError(t, n.checkTrust(own))
}
