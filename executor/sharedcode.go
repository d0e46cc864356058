package executor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/job"
)

// Workers share the machine code of a module. The engine reads it from its cache into memory of its own, so that each
// worker would have a copy, of about four times the module. A worker that has loaded a module therefore writes the code to a
// file, unless an earlier one has, and maps that file in place of the copy: the pages are the kernel's cache of the file,
// there once for all workers, only as far as they are used, and can be dropped when memory is short.
//
// The engine has no interface for that. Its version is pinned, what is used of its structure is looked at by its names, and
// where one of them is missing the copy stays. The tests fail then.

// codeName is the file of a module's code in its entry of the cache. It is empty where the engine does not tell where its code is.
const codeName = "code"

// codeFile is where the code of a module is kept.
func codeFile(cacheDir string, d job.Digest) string {
	return filepath.Join(entryDir(cacheDir, d), codeName)
}

// engineVersion returns the version of the engine that this program was built with.
func engineVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/tetratelabs/wazero" {
				return m.Version
			}
		}
	}
	return "unknown"
}

// shareCode makes a module's code that of a file, and returns its size. No code of the module may run meanwhile.
func shareCode(code wazero.CompiledModule, file string) (size int64, err error) {
	own := machineCode(code)
	if len(own) == 0 {
		return 0, errors.Join(errors.New("this version of the engine does not tell where its code is"), writeCode(nil, file))
	}
	err = mapOver(own, file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errOtherCode) {
		if err = writeCode(own, file); err == nil {
			err = mapOver(own, file)
		}
	}
	if err != nil {
		return 0, err
	}
	return int64(len(own)), nil
}

var errOtherCode = errors.New("the file holds other code")

// mapOver maps a file in place of code that is the same.
func mapOver(code []byte, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != int64(len(code)) {
		return errOtherCode
	}
	kept, err := unix.Mmap(int(f.Fd()), 0, len(code), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("mapping %s: %w", file, err)
	}
	same := bytes.Equal(kept, code) // a power failure may have damaged it
	if err := unix.Munmap(kept); err != nil {
		return fmt.Errorf("unmapping %s: %w", file, err)
	}
	if !same {
		return errOtherCode
	}
	_, err = unix.MmapPtr(int(f.Fd()), 0, unsafe.Pointer(&code[0]), uintptr(len(code)), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("mapping %s as code: %w", file, err)
	}
	return nil
}

// writeCode writes the file whole, or not at all: one that is mapped must never change.
func writeCode(code []byte, file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(code)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// machineCode returns the memory in which the engine has the code of a module, nil if it can't be told.
func machineCode(code wazero.CompiledModule) []byte {
	module := field(reflect.ValueOf(code), "module")
	all := field(field(reflect.ValueOf(code), "compiledEngine"), "compiledModules")
	if module.Kind() != reflect.Pointer || all.Kind() != reflect.Map {
		return nil
	}
	for entries := all.MapRange(); entries.Next(); {
		compiled := field(entries.Value(), "compiledModule")
		if of := field(compiled, "module"); of.Kind() != reflect.Pointer || of.Pointer() != module.Pointer() {
			continue
		}
		if b := field(field(compiled, "executables"), "executable"); b.Kind() == reflect.Slice && b.Type().Elem().Kind() == reflect.Uint8 {
			return unsafe.Slice((*byte)(b.UnsafePointer()), b.Len())
		}
	}
	return nil
}

// dropBodies forgets the functions of a module as they were before it was compiled, which the engine keeps and does not need.
func dropBodies(code wazero.CompiledModule) {
	functions := field(field(reflect.ValueOf(code), "module"), "CodeSection")
	if functions.Kind() != reflect.Slice {
		return
	}
	for i := range functions.Len() {
		if body := field(functions.Index(i), "Body"); body.Kind() == reflect.Slice && body.CanAddr() {
			reflect.NewAt(body.Type(), body.Addr().UnsafePointer()).Elem().SetZero()
		}
	}
}

// field returns a field of a structure, behind whatever pointers and interfaces; the zero Value if there is none.
func field(v reflect.Value, name string) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}
