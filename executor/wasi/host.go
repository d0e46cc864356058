package wasi

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// call is one call of a function by a program: its arguments, and the program's memory.
type call struct {
	*Program
	mem  api.Memory
	args []uint64
}

func (c *call) i32(n int) uint32 { return uint32(c.args[n]) }
func (c *call) u64(n int) uint64 { return c.args[n] }
func (c *call) fd(n int) int32   { return int32(c.args[n]) }

// bytes returns a view of the program's memory, given by two arguments from the nth on: where, and how many.
func (c *call) bytes(n int) ([]byte, errno) { return c.at(c.i32(n), c.i32(n+1)) }

func (c *call) at(where, size uint32) ([]byte, errno) {
	b, inside := c.mem.Read(where, size)
	if !inside {
		return nil, efault
	}
	return b, ok
}

// path returns a path, given by two arguments from the nth on.
func (c *call) path(n int) (string, errno) {
	b, e := c.bytes(n)
	return string(b), e
}

// put32 writes a result to where the nth argument points.
func (c *call) put32(n int, v uint32) errno {
	if !c.mem.WriteUint32Le(c.i32(n), v) {
		return efault
	}
	return ok
}

func (c *call) put64(n int, v uint64) errno {
	if !c.mem.WriteUint64Le(c.i32(n), v) {
		return efault
	}
	return ok
}

// functions lists what is replaced, each with the types of its arguments: i is 32 bits wide, l 64.
var functions = []struct {
	name, args string
	do         func(*call) errno
}{
	{"fd_advise", "illi", (*call).fdAdvise},
	{"fd_allocate", "ill", (*call).fdAllocate},
	{"fd_close", "i", (*call).fdClose},
	{"fd_datasync", "i", (*call).fdSync},
	{"fd_fdstat_get", "ii", (*call).fdFdstatGet},
	{"fd_fdstat_set_flags", "ii", (*call).fdFdstatSetFlags},
	{"fd_fdstat_set_rights", "ill", (*call).fdFdstatSetRights},
	{"fd_filestat_get", "ii", (*call).fdFilestatGet},
	{"fd_filestat_set_size", "il", (*call).fdFilestatSetSize},
	{"fd_filestat_set_times", "illi", (*call).fdFilestatSetTimes},
	{"fd_pread", "iiili", (*call).fdPread},
	{"fd_prestat_dir_name", "iii", (*call).fdPrestatDirName},
	{"fd_prestat_get", "ii", (*call).fdPrestatGet},
	{"fd_pwrite", "iiili", (*call).fdPwrite},
	{"fd_read", "iiii", (*call).fdRead},
	{"fd_readdir", "iiili", (*call).fdReaddir},
	{"fd_renumber", "ii", (*call).fdRenumber},
	{"fd_seek", "ilii", (*call).fdSeek},
	{"fd_sync", "i", (*call).fdSync},
	{"fd_tell", "ii", (*call).fdTell},
	{"fd_write", "iiii", (*call).fdWrite},
	{"path_create_directory", "iii", (*call).pathCreateDirectory},
	{"path_filestat_get", "iiiii", (*call).pathFilestatGet},
	{"path_filestat_set_times", "iiiilli", (*call).pathFilestatSetTimes},
	{"path_link", "iiiiiii", (*call).pathLink},
	{"path_open", "iiiiillii", (*call).pathOpen},
	{"path_readlink", "iiiiii", (*call).pathReadlink},
	{"path_remove_directory", "iii", (*call).pathRemoveDirectory},
	{"path_rename", "iiiiii", (*call).pathRename},
	{"path_symlink", "iiiii", (*call).pathSymlink},
	{"path_unlink_file", "iii", (*call).pathUnlinkFile},
	{"poll_oneoff", "iiii", (*call).pollOneoff},
	{"sock_accept", "iii", (*call).sock},
	{"sock_recv", "iiiiii", (*call).sock},
	{"sock_send", "iiiii", (*call).sock},
	{"sock_shutdown", "ii", (*call).sock},
}

// Instantiate gives modules of a runtime WASI preview 1. A module must be instantiated with a program's context.
func Instantiate(ctx context.Context, rt wazero.Runtime) error {
	b := rt.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	for _, f := range functions {
		params := make([]api.ValueType, len(f.args))
		for i, c := range f.args {
			params[i] = api.ValueTypeI32
			if c == 'l' {
				params[i] = api.ValueTypeI64
			}
		}
		do := f.do
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			c := call{Program: ctx.Value(programKey{}).(*Program), mem: m.Memory(), args: stack}
			stack[0] = uint64(do(&c))
			if c.disk.over {
				_ = m.CloseWithExitCode(ctx, stoppedOverDisk)
				panic(sys.NewExitError(stoppedOverDisk)) // is how the engine ends a program
			}
		}), params, []api.ValueType{api.ValueTypeI32}).Export(f.name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("setting up WASI preview 1: %w", err)
	}
	return nil
}

var le = binary.LittleEndian
