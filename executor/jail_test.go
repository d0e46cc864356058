package executor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
)

// A guest cannot make absolute links, so the host makes them here. No method may follow them.
func TestJailFollowsNoLinkOut(t *testing.T) {
	outside, inside := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("gold"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(inside, "abs")))
	rel, err := filepath.Rel(inside, outside)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(rel, filepath.Join(inside, "rel")))
	require.NoError(t, os.WriteFile(filepath.Join(inside, "mine"), nil, 0o600))
	root, err := os.OpenRoot(inside)
	require.NoError(t, err)
	defer root.Close()
	j := &jail{open: func() (*os.Root, error) { return root, nil }}

	for _, p := range []string{"abs/secret", "rel/secret", "../" + filepath.Base(outside) + "/secret", "abs/../abs/secret", "rel//secret"} {
		for _, flag := range []experimentalsys.Oflag{experimentalsys.O_RDONLY, experimentalsys.O_RDWR, experimentalsys.O_RDWR | experimentalsys.O_CREAT | experimentalsys.O_TRUNC} {
			f, errno := j.OpenFile(p, flag, 0o600)
			require.NotZero(t, errno, p)
			require.Nil(t, f)
		}
		_, errno := j.Stat(p)
		require.NotZero(t, errno, p)
		_, errno = j.Lstat(p)
		require.NotZero(t, errno, p)
		require.NotZero(t, j.Unlink(p), p)
		require.NotZero(t, j.Rename(p, "stolen"), p)
		require.NotZero(t, j.Rename("mine", p), p)
		require.NotZero(t, j.Link(p, "stolen"), p)
		require.NotZero(t, j.Link("mine", p+"2"), p)
		require.NotZero(t, j.Symlink("mine", p+"2"), p)
		require.NotZero(t, j.Mkdir(p+"2", 0o700), p)
		require.NotZero(t, j.Rmdir(p), p)
		require.NotZero(t, j.Chmod(p, 0o777), p)
		require.NotZero(t, j.Utimens(p, 0, 0), p)
		_, errno = j.Readlink(p)
		require.NotZero(t, errno, p)
	}
	require.Equal(t, experimentalsys.EPERM, j.Symlink("/etc/passwd", "abs2"))
	b, err := os.ReadFile(filepath.Join(outside, "secret"))
	require.NoError(t, err)
	require.Equal(t, "gold", string(b))
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestJailErrors(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	j := &jail{open: func() (*os.Root, error) { return root, nil }}
	require.Zero(t, j.Mkdir("d", 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600))
	require.Zero(t, j.Symlink("f", "l"))

	require.Equal(t, experimentalsys.EISDIR, j.Unlink("d"))
	require.Equal(t, experimentalsys.ENOTDIR, j.Unlink("f/"))
	require.Equal(t, experimentalsys.ENOTDIR, j.Rmdir("f"))
	require.Equal(t, experimentalsys.EEXIST, j.Mkdir("f", 0o700))
	_, errno := j.Stat("f/")
	require.Equal(t, experimentalsys.ENOTDIR, errno)
	_, errno = j.OpenFile("f", experimentalsys.O_DIRECTORY, 0)
	require.Equal(t, experimentalsys.ENOTDIR, errno)
	_, errno = j.OpenFile("l", experimentalsys.O_NOFOLLOW, 0)
	require.Equal(t, experimentalsys.ELOOP, errno)
	_, errno = j.OpenFile("none", experimentalsys.O_RDONLY, 0)
	require.Equal(t, experimentalsys.ENOENT, errno)
	d, errno := j.OpenFile("d", experimentalsys.O_RDONLY, 0)
	require.Zero(t, errno)
	_, errno = d.Read(make([]byte, 1))
	require.Equal(t, experimentalsys.EISDIR, errno)
	require.Zero(t, d.Close())
	require.Zero(t, d.Close())
}
