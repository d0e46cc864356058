package wasi

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"
)

// pageModule is (module (memory (export "m") 1)).
const pageModule = "\x00asm\x01\x00\x00\x00" + "\x05\x03\x01\x00\x01" + "\x07\x05\x01\x01m\x02\x00"

// top is the descriptor of "/".
const top = 3

// guest calls the functions as a program does, with paths and buffers in a real memory of one page.
type guest struct {
	t   require.TestingT
	dir string // its "/" on the machine
	out bytes.Buffer
	p   *Program
	mem api.Memory
}

func newGuest(t *testing.T) *guest {
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	t.Cleanup(func() { rt.Close(ctx) })
	m, err := rt.Instantiate(ctx, []byte(pageModule))
	require.NoError(t, err)
	g := &guest{t: t, dir: t.TempDir(), mem: m.ExportedMemory("m")}
	g.p = NewProgram(Stdio{Out: &g.out, Err: &g.out}, 1<<40, func() (*os.Root, error) { return os.OpenRoot(g.dir) })
	t.Cleanup(func() { g.p.Close() })
	return g
}

// Where in memory things lie. The first path is at 0, the second at 4096.
const (
	result = 8192
	buffer = 16384
	room   = 32768
)

// do calls a function. A string among the arguments is a path, which stands for two: where, and how long.
func (g *guest) do(name string, args ...any) errno {
	c := call{Program: g.p, mem: g.mem}
	at := uint32(0)
	for _, a := range args {
		switch a := a.(type) {
		case string:
			require.True(g.t, g.mem.WriteString(at, a))
			c.args = append(c.args, uint64(at), uint64(len(a)))
			at += 4096
		case int:
			c.args = append(c.args, uint64(a))
		case uint32:
			c.args = append(c.args, uint64(a))
		case rights:
			c.args = append(c.args, uint64(a))
		}
	}
	for _, f := range functions {
		if f.name == name {
			require.Len(g.t, c.args, len(f.args), name)
			return f.do(&c)
		}
	}
	require.FailNow(g.t, "no function", name)
	return 0
}

func (g *guest) ok(name string, args ...any) {
	require.Equal(g.t, ok, g.do(name, args...), "%s %v", name, args)
}

func (g *guest) result() uint32 {
	v, _ := g.mem.ReadUint32Le(result)
	return v
}

// open returns the descriptor of a path, or why there is none.
func (g *guest) open(dir uint32, path string, how int, r rights) (uint32, errno) {
	e := g.do("path_open", dir, followLinks, path, how, r, 0, 0, result)
	return g.result(), e
}

func (g *guest) opened(path string, how int, r rights) uint32 {
	fd, e := g.open(top, path, how, r)
	require.Equal(g.t, ok, e, path)
	return fd
}

// entryOf is an entry as a program reads it.
type entryOf struct {
	name string
	ino  uint64
	typ  byte
}

// list reads a directory through a buffer of some size, as a libc does: an entry that was cut is asked for again.
func (g *guest) list(fd uint32, size int, between func()) []entryOf {
	var out []entryOf
	cookie := 0
	for {
		g.ok("fd_readdir", fd, buffer, size, cookie, result)
		used := int(g.result())
		b, _ := g.mem.Read(buffer, uint32(used))
		for len(b) >= 24 && len(b) >= 24+int(le.Uint32(b[16:])) {
			n := 24 + int(le.Uint32(b[16:]))
			out = append(out, entryOf{string(b[24:n]), le.Uint64(b[8:]), b[20]})
			cookie = int(le.Uint64(b))
			b = b[n:]
		}
		if used < size {
			return out
		}
		if between != nil {
			between()
		}
	}
}

func (g *guest) write(name, content string) {
	require.NoError(g.t, os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o600))
}

func (g *guest) inode(path string) uint64 {
	g.ok("path_filestat_get", top, 0, path, buffer)
	ino, _ := g.mem.ReadUint64Le(buffer + 8)
	return ino
}

// A libc that finds no inode for ".." asks for it by name, which no descriptor leads to, and scandir fails.
func TestEveryEntryHasAnInode(t *testing.T) {
	g := newGuest(t)
	g.ok("path_create_directory", top, "d")
	g.ok("path_create_directory", top, "d/e")
	g.write("d/a", "x")
	d := g.opened("d", openDirectory, 0)
	got := g.list(d, room, nil)
	slices.SortFunc(got, func(a, b entryOf) int { return strings.Compare(a.name, b.name) })
	require.Equal(t, []entryOf{
		{".", g.inode("d"), typeDirectory}, {"..", g.inode("."), typeDirectory},
		{"a", g.inode("d/a"), typeRegular}, {"e", g.inode("d/e"), typeDirectory},
	}, got)
	e := g.opened("d/e", openDirectory, 0)
	require.Equal(t, entryOf{"..", g.inode("d"), typeDirectory}, g.list(e, room, nil)[1])
	require.Equal(t, []entryOf{
		{".", g.inode("."), typeDirectory}, {"..", g.inode("."), typeDirectory}, {"d", g.inode("d"), typeDirectory},
	}, g.list(top, room, nil), "nothing is above /")

	require.Equal(t, eperm, g.do("path_filestat_get", d, 0, "..", buffer), "no way out of an opened directory")
	require.Equal(t, eperm, g.do("path_filestat_get", d, 0, "../d/a", buffer))
	g.ok("path_filestat_get", d, 0, "e/../a", buffer)

	g.ok("path_remove_directory", top, "d/e")
	require.Equal(t, enoent, g.do("fd_readdir", e, buffer, room, 0, result), "it was removed meanwhile")
}

// Whatever the size of the buffer, and whatever is removed meanwhile, a listing tells each name that stays once.
func TestListingIsWhole(t *testing.T) {
	g := newGuest(t)
	const files = 40
	rapid.Check(t, func(rt *rapid.T) {
		g.t = rt
		want := []string{".", ".."}
		dir, err := os.MkdirTemp(g.dir, "d")
		require.NoError(rt, err)
		for i := range files {
			name := strings.Repeat("n", rapid.IntRange(1, 250).Draw(rt, "length")) + fmt.Sprint(i)
			want = append(want, name)
			require.NoError(rt, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
		fd := g.opened(filepath.Base(dir), openDirectory, 0)
		var gone []string
		got := g.list(fd, rapid.IntRange(24+255, 4000).Draw(rt, "buffer"), func() {
			if i := rapid.IntRange(2, 10*files).Draw(rt, "remove"); i < len(want) {
				if os.Remove(filepath.Join(dir, want[i])) == nil {
					gone = append(gone, want[i])
				}
			}
		})
		told := map[string]int{}
		for _, e := range got {
			told[e.name]++
		}
		for _, name := range want {
			if !slices.Contains(gone, name) {
				require.Equal(rt, 1, told[name], name)
			}
			require.LessOrEqual(rt, told[name], 1, name)
		}
		g.ok("fd_close", fd)
	})
}

// What a job may not do to its files, and what it may although package os does not.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		call string
		args []any
		want errno
	}{
		{"path_rename", []any{top, "empty", top, "empty2"}, ok},
		{"path_rename", []any{top, "full", top, "empty"}, ok},
		{"path_rename", []any{top, "empty", top, "full"}, enotempty},
		{"path_rename", []any{top, "empty/", top, "new/"}, ok},
		{"path_rename", []any{top, "empty", top, "f"}, enotdir},
		{"path_rename", []any{top, "f", top, "empty"}, eisdir},
		{"path_rename", []any{top, "f", top, "new/"}, enotdir},
		{"path_rename", []any{top, "f/", top, "new"}, enotdir},
		{"path_rename", []any{top, "none", top, "new"}, enoent},
		{"path_rename", []any{top, ".", top, "new"}, ebusy},
		{"path_rename", []any{top, "full/..", top, "new"}, ebusy},
		{"path_unlink_file", []any{top, "f"}, ok},
		{"path_unlink_file", []any{top, "todir"}, ok},
		{"path_unlink_file", []any{top, "full/"}, eisdir},
		{"path_unlink_file", []any{top, "full"}, eisdir},
		{"path_unlink_file", []any{top, "f/"}, enotdir},
		{"path_unlink_file", []any{top, "todir/"}, enotdir},
		{"path_unlink_file", []any{top, "none/"}, enoent},
		{"path_symlink", []any{"t", top, "l"}, ok},
		{"path_symlink", []any{"../../t", top, "l"}, ok},
		{"path_symlink", []any{"t", top, "l/"}, enoent},
		{"path_symlink", []any{"t", top, "f/"}, eexist},
		{"path_symlink", []any{"t", top, "f"}, eexist},
		{"path_symlink", []any{"/etc", top, "l"}, eperm},
		{"path_symlink", []any{"", top, "l"}, enoent},
		{"path_link", []any{top, 0, "f", top, "l"}, ok},
		{"path_link", []any{top, 0, "f", top, "l/"}, enoent},
		{"path_link", []any{top, 0, "f/", top, "l"}, enotdir},
		{"path_link", []any{top, 0, "f", top, "empty"}, eexist},
		{"path_link", []any{top, 0, "full", top, "l"}, eperm},
		{"path_link", []any{top, followLinks, "f", top, "l"}, einval},
		{"path_remove_directory", []any{top, "empty/"}, ok},
		{"path_remove_directory", []any{top, "full"}, enotempty},
		{"path_remove_directory", []any{top, "f"}, enotdir},
		{"path_remove_directory", []any{top, "todir"}, enotdir},
		{"path_remove_directory", []any{top, "empty/."}, einval},
		{"path_create_directory", []any{top, "new/"}, ok},
		{"path_create_directory", []any{top, "f"}, eexist},
		{"path_create_directory", []any{top, "none/new"}, enoent},
		{"path_filestat_get", []any{top, 0, "f/", buffer}, enotdir},
		{"path_filestat_get", []any{top, 0, "todir/", buffer}, ok},
		{"path_filestat_get", []any{top, 0, "", buffer}, enoent},
		{"path_filestat_get", []any{top, 0, "/f", buffer}, eperm},
		{"path_filestat_get", []any{top, 0, "f\x00", buffer}, einval},
		{"path_filestat_get", []any{top, 0, strings.Repeat("n", 256), buffer}, enametoolong},
		{"path_filestat_get", []any{1, 0, "f", buffer}, enotdir},
		{"path_filestat_get", []any{9, 0, "f", buffer}, ebadf},
		{"path_open", []any{top, 0, "tofile", 0, rightRead, 0, 0, result}, eloop},
		{"path_open", []any{top, followLinks, "tofile", 0, rightRead, 0, 0, result}, ok},
		{"path_open", []any{top, 0, "f", openDirectory, rightRead, 0, 0, result}, enotdir},
		{"path_open", []any{top, 0, "f/", 0, rightRead, 0, 0, result}, enotdir},
		{"path_open", []any{top, 0, "full", 0, rightWrite, 0, 0, result}, eisdir},
		{"path_open", []any{top, 0, "new/", openCreate, rightWrite, 0, 0, result}, eisdir},
		{"path_open", []any{top, 0, "new", openCreate | openDirectory, rightRead, 0, 0, result}, einval},
		{"path_open", []any{top, 0, "f", openCreate | openExclusive, rightWrite, 0, 0, result}, eexist},
		{"path_open", []any{top, followLinks, "dangling", openCreate | openExclusive, rightWrite, 0, 0, result}, eexist},
		{"path_open", []any{top, 0, "none", 0, rightRead, 0, 0, result}, enoent},
		{"fd_read", []any{top, buffer, 0, result}, eisdir},
		{"fd_seek", []any{top, 0, 0, result}, ebadf},
		{"sock_shutdown", []any{1, 0}, enotsock},
		{"sock_shutdown", []any{9, 0}, ebadf},
	} {
		t.Run(fmt.Sprint(c.call, c.args), func(t *testing.T) {
			g := newGuest(t)
			for _, d := range []string{"empty", "empty2", "full", "full/in"} {
				g.ok("path_create_directory", top, d)
			}
			g.write("f", "content")
			g.ok("path_symlink", "full", top, "todir")
			g.ok("path_symlink", "f", top, "tofile")
			g.ok("path_symlink", "nothing", top, "dangling")
			require.Equal(t, c.want, g.do(c.call, c.args...))
		})
	}
}

// A program cannot make absolute links, so the machine makes them here. No function may follow them, nor any path.
func TestNoWayOut(t *testing.T) {
	outside := t.TempDir()
	g := newGuest(t)
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("gold"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(g.dir, "abs")))
	rel, err := filepath.Rel(g.dir, outside)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(rel, filepath.Join(g.dir, "rel")))
	g.write("mine", "")
	g.ok("path_create_directory", top, "sub")
	require.NoError(t, os.Symlink("../mine", filepath.Join(g.dir, "sub", "up")))

	for _, p := range []string{"abs/secret", "rel/secret", "../" + filepath.Base(outside) + "/secret", "abs/../abs/secret", "rel//secret", "abs/", "rel/."} {
		for _, follow := range []int{0, followLinks} {
			for _, how := range []int{0, openDirectory, openCreate, openCreate | openTruncate} {
				for _, r := range []rights{0, rightRead, rightRead | rightWrite} {
					require.NotZero(t, g.do("path_open", top, follow, p, how, r, 0, 0, result), p)
				}
			}
			require.NotZero(t, g.do("path_filestat_get", top, follow, p, buffer), p)
			require.NotZero(t, g.do("path_filestat_set_times", top, follow, p, 1, 1, 5), p)
			require.NotZero(t, g.do("path_link", top, follow, p, top, "stolen"), p)
		}
		require.NotZero(t, g.do("path_unlink_file", top, p), p)
		require.NotZero(t, g.do("path_rename", top, p, top, "stolen"), p)
		require.NotZero(t, g.do("path_rename", top, "mine", top, p), p)
		require.NotZero(t, g.do("path_link", top, 0, "mine", top, p+"2"), p)
		require.NotZero(t, g.do("path_symlink", "mine", top, p+"/2"), p)
		require.NotZero(t, g.do("path_create_directory", top, p+"/2"), p)
		require.NotZero(t, g.do("path_remove_directory", top, p), p)
		require.NotZero(t, g.do("path_readlink", top, p, buffer, room, result), p)
	}
	sub := g.opened("sub", openDirectory, 0)
	_, e := g.open(sub, "up", 0, rightRead)
	require.Equal(t, eperm, e, "an opened directory is not left by a link either, even where it leads to a file of the job")
	g.opened("sub/up", 0, rightRead)

	b, err := os.ReadFile(filepath.Join(outside, "secret"))
	require.NoError(t, err)
	require.Equal(t, "gold", string(b))
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := os.Stat(outside)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), info.ModTime(), time.Hour, "its times are as they were")
}

// The step that the kernel takes is one within the directory that os.Root has opened.
func TestTheLastStepStays(t *testing.T) {
	g := newGuest(t)
	g.ok("path_create_directory", top, "d")
	root, e := g.p.top.root()
	require.Equal(t, ok, e)
	for name, want := range map[string]string{"f": "f", "d/f": "f", "d": "d", "d/.": ".", "d/..": ".", ".": "."} {
		dir, base, e := at(root, name)
		require.Equal(t, ok, e, name)
		require.Equal(t, want, base, name)
		dir.Close()
	}
	_, _, e = at(root, "..")
	require.Equal(t, eperm, e)
	_, _, e = at(root, "d/../../x")
	require.Equal(t, eperm, e)
}

func TestTimesOfALink(t *testing.T) {
	g := newGuest(t)
	g.write("f", "")
	g.ok("path_symlink", "f", top, "l")
	modified := func(name string) int64 {
		info, err := os.Lstat(filepath.Join(g.dir, name))
		require.NoError(t, err)
		return info.ModTime().UnixNano()
	}
	g.ok("path_filestat_set_times", top, 0, "l", 0, 12345, 4)
	require.EqualValues(t, 12345, modified("l"))
	require.NotEqualValues(t, 12345, modified("f"))
	g.ok("path_filestat_set_times", top, followLinks, "l", 0, 23456, 4)
	require.EqualValues(t, 23456, modified("f"))
	fd := g.opened("f", 0, rightRead)
	g.ok("path_rename", top, "f", top, "moved")
	g.ok("fd_filestat_set_times", fd, 0, 34567, 4)
	require.EqualValues(t, 34567, modified("moved"), "an open file has times, whatever its name is")
	require.Equal(t, einval, g.do("fd_filestat_set_times", fd, 0, 0, 4|8), "both that time, and now")
}

// say writes words to a descriptor.
func (g *guest) say(fd uint32, words string) errno {
	g.mem.WriteString(buffer, words)
	g.mem.WriteUint32Le(result+64, buffer)
	g.mem.WriteUint32Le(result+68, uint32(len(words)))
	return g.do("fd_write", fd, result+64, 1, result)
}

func TestRenumber(t *testing.T) {
	g := newGuest(t)
	f := g.opened("f", openCreate, rightWrite)
	require.Equal(t, ebadf, g.do("fd_renumber", f, 77), "a number that nothing has")
	require.Equal(t, ebadf, g.do("fd_renumber", 77, f))
	g.ok("fd_renumber", f, f)
	g.ok("fd_renumber", f, 1)
	require.Equal(t, ebadf, g.say(f, "lost"))
	require.Equal(t, ok, g.say(1, "kept"))
	d := g.opened(".", openDirectory, 0)
	g.ok("fd_renumber", d, top)
	require.Equal(t, ebadf, g.do("fd_prestat_get", top, result), "what was there from the start is gone")
	g.opened("f", 0, rightRead)
	b, err := os.ReadFile(filepath.Join(g.dir, "f"))
	require.NoError(t, err)
	require.Equal(t, "kept", string(b))
	require.Empty(t, g.out.String())
}

func TestRights(t *testing.T) {
	g := newGuest(t)
	g.write("f", "content")
	rightsOf := func(fd uint32) rights {
		g.ok("fd_fdstat_get", fd, buffer)
		r, _ := g.mem.ReadUint64Le(buffer + 8)
		return rights(r)
	}
	r := g.opened("f", 0, rightRead)
	require.Equal(t, rightRead, rightsOf(r)&(rightRead|rightWrite))
	require.Equal(t, ebadf, g.say(r, "x"))
	require.Equal(t, ebadf, g.do("fd_filestat_set_size", r, 0))
	w := g.opened("f", 0, rightRead|rightWrite)
	require.Equal(t, ok, g.say(w, "x"))
	g.ok("fd_fdstat_set_rights", w, rightRead, 0)
	require.Equal(t, rightRead, rightsOf(w))
	require.Equal(t, ebadf, g.say(w, "x"), "it was given up")
	require.Equal(t, enotcapable, g.do("fd_fdstat_set_rights", w, rightRead|rightWrite, 0), "nothing is gained again")
	g.ok("fd_fdstat_set_rights", top, dirRights, fileRights&^rightWrite)
	require.Zero(t, rightsOf(g.opened("f", 0, rightRead|rightWrite))&rightWrite, "what is opened in it has no more")
}

func TestAppend(t *testing.T) {
	g := newGuest(t)
	g.write("f", "one ")
	g.ok("path_open", top, 0, "f", 0, rightWrite, 0, flagAppend, result)
	fd := g.result()
	require.Equal(t, ok, g.say(fd, "two "))
	g.ok("fd_fdstat_set_flags", fd, 0)
	g.ok("fd_seek", fd, 0, 0, result)
	require.Equal(t, ok, g.say(fd, "1"))
	require.Equal(t, einval, g.do("fd_fdstat_set_flags", fd, flagSync))
	b, err := os.ReadFile(filepath.Join(g.dir, "f"))
	require.NoError(t, err)
	require.Equal(t, "1ne two ", string(b))
}

// poll waits for what is subscribed: a clock as (id, nanoseconds, flags), or a descriptor to read from or to write to.
func (g *guest) poll(subs ...[4]uint64) (kinds []byte, errs []errno) {
	for i, s := range subs {
		b := make([]byte, subscriptionSize)
		le.PutUint64(b, uint64(i))
		b[8] = byte(s[0])
		le.PutUint32(b[16:], uint32(s[1]))
		if s[0] == subscribeClock {
			le.PutUint64(b[24:], s[2])
			le.PutUint16(b[40:], uint16(s[3]))
		}
		g.mem.Write(uint32(buffer+i*subscriptionSize), b)
	}
	g.ok("poll_oneoff", buffer, buffer, len(subs), result) // events may overwrite subscriptions
	for i := range g.result() {
		b, _ := g.mem.Read(buffer+i*eventSize, eventSize)
		kinds, errs = append(kinds, b[10]), append(errs, errno(le.Uint16(b[8:])))
		require.EqualValues(g.t, subs[le.Uint64(b)][0], b[10], "user data says which")
	}
	return kinds, errs
}

func TestPoll(t *testing.T) {
	g := newGuest(t)
	synctest.Test(t, func(t *testing.T) {
		second := uint64(time.Second)
		start := time.Now()
		kinds, _ := g.poll([4]uint64{subscribeClock, 1, 3 * second, 0}, [4]uint64{subscribeClock, 0, 2 * second, 0}, [4]uint64{subscribeClock, 1, 4 * second, 0})
		require.Equal(t, []byte{subscribeClock}, kinds, "the first that is due")
		require.Equal(t, 2*time.Second, time.Since(start))
		g.poll([4]uint64{subscribeClock, 0, uint64(start.UnixNano()) + 5*second, 1})
		require.Equal(t, 5*time.Second, time.Since(start))
		g.poll([4]uint64{subscribeClock, 0, uint64(start.UnixNano()), 1})
		require.Equal(t, 5*time.Second, time.Since(start), "that is over")

		kinds, errs := g.poll([4]uint64{subscribeClock, 1, second, 0}, [4]uint64{subscribeRead, 0}, [4]uint64{subscribeWrite, 1}, [4]uint64{subscribeWrite, 77})
		require.Equal(t, []byte{subscribeRead, subscribeWrite, subscribeWrite}, kinds, "they need no waiting")
		require.Equal(t, []errno{ok, ok, ebadf}, errs)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, einval, g.do("poll_oneoff", buffer, buffer, 0, result))
	})
}

// Whatever a program passes, no function panics.
func TestNonsense(t *testing.T) {
	g := newGuest(t)
	g.p.sleep = func(time.Duration) {}
	rapid.Check(t, func(rt *rapid.T) {
		page := rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(rt, "memory")
		g.mem.Write(0, page)
		arg := rapid.OneOf(
			rapid.Uint64Range(0, 64), rapid.Uint64Range(0, 8), rapid.Uint64Range(65000, 65536),
			rapid.SampledFrom([]uint64{math.MaxUint64, math.MaxInt64, math.MaxUint32, math.MaxInt32, 1 << 31}),
		)
		for range 20 {
			f := rapid.SampledFrom(functions).Draw(rt, "function")
			c := call{Program: g.p, mem: g.mem}
			for _, a := range f.args {
				v := arg.Draw(rt, "argument")
				if a == 'i' {
					v = uint64(uint32(v))
				}
				c.args = append(c.args, v)
			}
			require.LessOrEqual(rt, f.do(&c), enotcapable, f.name)
		}
	})
}
