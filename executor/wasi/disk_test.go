package wasi

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/sys"
	"pgregory.net/rapid"
)

// measure returns what lies in the guest's directory, and in files without a name that it holds open.
func (g *guest) measure() (contents, names int64) {
	seen := map[inode]bool{}
	add := func(info fs.FileInfo) {
		st := sys.NewStat_t(info)
		if id := (inode{st.Dev, st.Ino}); info.Mode().IsRegular() && !seen[id] {
			seen[id] = true
			contents += (info.Size() + 4095) / 4096 * 4096
		}
	}
	require.NoError(g.t, filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == g.dir {
			return err
		}
		info, err := d.Info()
		if err == nil {
			names++
			add(info)
		}
		return err
	}))
	for _, d := range g.p.fds {
		if d != nil && d.file != nil {
			info, err := d.file.Stat()
			require.NoError(g.t, err)
			add(info)
		}
	}
	return contents, names
}

// Law: whatever a program does, what is counted is what lies in its directory, and never more than it may have.
func TestQuotaIsExact(t *testing.T) {
	g := newGuest(t)
	rapid.Check(t, func(t *rapid.T) {
		g.t = t
		g.p.Close()
		for _, e := range must(os.ReadDir(g.dir))(t) {
			require.NoError(t, os.RemoveAll(filepath.Join(g.dir, e.Name())))
		}
		g.write("input", "0123456789")
		const limit = 20 * block
		g.p = NewProgram(Stdio{Out: &g.out, Err: &g.out}, limit, func() (*os.Root, error) { return os.OpenRoot(g.dir) })
		contentsBefore, namesBefore := g.measure()
		path := rapid.SampledFrom([]string{"a", "b", "d", "d/a", "d/e", "l", "input"})
		size := rapid.SampledFrom([]int{0, 1, 100, block - 1, block, block + 1, 3 * block})
		fd := rapid.IntRange(4, 6)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"open", "open", "open", "write", "write", "pwrite", "seek", "set size", "allocate", "close", "unlink", "rmdir", "mkdir", "rename", "link", "symlink", "renumber"}).Draw(t, "what") {
			case "open":
				flags := rapid.SampledFrom([]int{0, flagAppend}).Draw(t, "flags")
				g.do("path_open", top, followLinks, path.Draw(t, "path"), rapid.SampledFrom([]int{0, openCreate, openCreate, openCreate | openTruncate, openTruncate, openCreate | openExclusive}).Draw(t, "how"), rightRead|rightWrite|rightSeek|rightAllocate|rightSetSize, 0, flags, result)
			case "write":
				g.vector(0, buffer, size.Draw(t, "size"))
				g.do("fd_write", fd.Draw(t, "fd"), 0, 1, result)
			case "pwrite":
				g.vector(0, buffer, size.Draw(t, "size"))
				g.do("fd_pwrite", fd.Draw(t, "fd"), 0, 1, size.Draw(t, "at"), result)
			case "seek":
				g.do("fd_seek", fd.Draw(t, "fd"), size.Draw(t, "offset"), 2, result)
			case "set size":
				g.do("fd_filestat_set_size", fd.Draw(t, "fd"), size.Draw(t, "size"))
			case "allocate":
				g.do("fd_allocate", fd.Draw(t, "fd"), size.Draw(t, "offset"), size.Draw(t, "size"))
			case "close":
				g.do("fd_close", fd.Draw(t, "fd"))
			case "renumber":
				g.do("fd_renumber", fd.Draw(t, "fd"), fd.Draw(t, "to"))
			case "unlink":
				g.do("path_unlink_file", top, path.Draw(t, "path"))
			case "rmdir":
				g.do("path_remove_directory", top, path.Draw(t, "path"))
			case "mkdir":
				g.do("path_create_directory", top, path.Draw(t, "path"))
			case "rename":
				g.do("path_rename", top, path.Draw(t, "from"), top, path.Draw(t, "to"))
			case "link":
				g.do("path_link", top, 0, path.Draw(t, "from"), top, path.Draw(t, "to"))
			case "symlink":
				g.do("path_symlink", path.Draw(t, "target"), top, path.Draw(t, "path"))
			}
			contents, names := g.measure()
			if g.p.OverDisk() {
				require.LessOrEqual(t, contents-contentsBefore, int64(limit))
				return // it is stopped
			}
			require.Equal(t, contents-contentsBefore, g.p.disk.contents, "contents")
			require.Equal(t, names-namesBefore, g.p.disk.names, "names")
		}
	})
	g.t = t
}

func must[T any](v T, err error) func(require.TestingT) T {
	return func(t require.TestingT) T { require.NoError(t, err); return v }
}

// vector puts one vector into memory: where, and how many.
func (g *guest) vector(at uint32, where, size int) {
	require.True(g.t, g.mem.WriteUint32Le(at, uint32(where)))
	require.True(g.t, g.mem.WriteUint32Le(at+4, uint32(size)))
}

// Each way to take more of the disk than is allowed is refused, and remembered; all that is allowed can be had.
func TestQuotaIsEnforced(t *testing.T) {
	for name, more := range map[string]func(g *guest, full uint32) errno{
		"write": func(g *guest, fd uint32) errno { g.vector(0, buffer, 1); return g.do("fd_write", fd, 0, 1, result) },
		"pwrite": func(g *guest, fd uint32) errno {
			g.vector(0, buffer, 2)
			return g.do("fd_pwrite", fd, 0, 1, 2*block-1, result)
		},
		"far away": func(g *guest, fd uint32) errno {
			g.vector(0, buffer, 2)
			return g.do("fd_pwrite", fd, 0, 1, 1<<61, result)
		},
		"set size": func(g *guest, fd uint32) errno { return g.do("fd_filestat_set_size", fd, 2*block+1) },
		"allocate": func(g *guest, fd uint32) errno { return g.do("fd_allocate", fd, 0, 2*block+1) },
		"names": func(g *guest, _ uint32) errno {
			g.ok("path_create_directory", top, "d")
			_, e := g.open(top, "one more", openCreate, rightWrite)
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t)
			g.p.disk.limit = 2 * block
			fd := g.opened("f", openCreate, rightWrite|rightSeek|rightSetSize|rightAllocate)
			g.vector(0, buffer, 2*block)
			g.ok("fd_write", fd, 0, 1, result)
			require.False(t, g.p.OverDisk())
			require.Equal(t, edquot, more(g, fd))
			require.True(t, g.p.OverDisk())
		})
	}
}
