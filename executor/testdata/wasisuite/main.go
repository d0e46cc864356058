// Command wasisuite runs a WebAssembly module under wasmtime, as the executor's TestWASITable asks it to:
//
//	wasisuite MODULE DIR [NAME=VALUE ...] -- [ARG ...]
//
// DIR is the module's "/"; empty is none. It is a module of its own, so that wasmtime is no dependency of ucp.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bytecodealliance/wasmtime-go/v37"
)

func main() {
	code, err := run(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	os.Exit(code)
}

func run(file, dir string, rest []string) (code int, err error) {
	split := slices.Index(rest, "--")
	if split < 0 {
		return 0, errors.New("no -- before the arguments of the module")
	}
	wasi := wasmtime.NewWasiConfig()
	wasi.InheritStdin()
	wasi.InheritStdout()
	wasi.InheritStderr()
	wasi.SetArgv(append([]string{filepath.Base(file)}, rest[split+1:]...))
	var names, values []string
	for _, e := range rest[:split] {
		name, value, _ := strings.Cut(e, "=")
		names, values = append(names, name), append(values, value)
	}
	wasi.SetEnv(names, values)
	if dir != "" {
		if err := wasi.PreopenDir(dir, "/", wasmtime.DIR_READ|wasmtime.DIR_WRITE, wasmtime.FILE_READ|wasmtime.FILE_WRITE); err != nil {
			return 0, err
		}
	}
	engine := wasmtime.NewEngine()
	module, err := wasmtime.NewModuleFromFile(engine, file)
	if err != nil {
		return 0, err
	}
	store := wasmtime.NewStore(engine)
	store.SetWasi(wasi)
	linker := wasmtime.NewLinker(engine)
	if err := linker.DefineWasi(); err != nil {
		return 0, err
	}
	instance, err := linker.Instantiate(store, module)
	if err != nil {
		return 0, err
	}
	_, err = instance.GetFunc(store, "_start").Call(store)
	var ended *wasmtime.Error
	if errors.As(err, &ended) {
		if status, ok := ended.ExitStatus(); ok {
			return int(status), nil
		}
	}
	return 0, err
}
