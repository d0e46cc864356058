package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/executor"
)

// DefaultSocketMode is who may open a Unix socket of a broker: its own user, and root.
const DefaultSocketMode fs.FileMode = 0o600

// maxSocketPath is the length of the longest path that a socket can have on all systems, in bytes.
const maxSocketPath = 103

// listenSocket listens on a Unix socket. One that an earlier process has left is replaced; one at which somebody answers, and a
// file that is no socket, are not.
func listenSocket(path string, mode fs.FileMode) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s: the path of a socket has at most %d bytes", path, maxSocketPath)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there, and is no socket", path)
	default:
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			return nil, errors.Join(fmt.Errorf("%s: another process answers there", path), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// checkTrust refuses to trust this broker's own user where native jobs run as that: they would be operators.
func (n *Node) checkTrust(walls *api.Sandbox) error {
	if !n.cfg.TrustLocal || !n.cfg.AllowProcess || walls == nil {
		return nil
	}
	if why, missing := walls.Missing[executor.WallUsers]; missing {
		return fmt.Errorf("--trust-local: native jobs run as this broker's own user (%s), and would be operators: leave out --allow-process, or run the broker so that each job is a user of its own", why)
	}
	return nil
}
