//go:build !race

// The types of every mutant are checked, which takes a minute under the race detector and finds no races.

package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every mutation still finds the text that it changes, and what it leaves still compiles: code moves on, and a mutation
// that changes nothing, or breaks the build, proves nothing. Whether a test notices takes minutes: make mutants.
func TestMutantsApply(t *testing.T) {
	packages := listed(t)
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join("..", "..", m.file))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), m.old), "%s: %s", m.name, m.file)
		require.NotEqual(t, m.old, m.new, m.name)
		path, err := filepath.Abs(filepath.Join("..", "..", m.file))
		require.NoError(t, err)
		assert.NoError(t, packages.check(path, strings.Replace(string(text), m.old, m.new, 1)), m.name)
	}
}

// The check of types does find what does not compile.
func TestBrokenMutantsAreFound(t *testing.T) {
	packages := listed(t)
	path, err := filepath.Abs("main.go")
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, packages.check(path, string(text)))
	require.ErrorContains(t, packages.check(path, string(text)+"\nvar _ = nowhere\n"), "undefined: nowhere")
}

// packages are the project's own packages, and what the compiler has exported of all that they import.
type packages struct {
	fset    *token.FileSet
	files   map[string][]string // by directory: what is compiled
	imports types.Importer
	parsed  map[string]*ast.File
}

// listed asks the go command for them.
func listed(t *testing.T) *packages {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	require.NoError(t, err)
	p := &packages{token.NewFileSet(), map[string][]string{}, nil, map[string]*ast.File{}}
	exported := map[string]string{}
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one struct {
			ImportPath, Dir, Export string
			GoFiles                 []string
		}
		err := in.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		exported[one.ImportPath] = one.Export
		p.files[one.Dir] = one.GoFiles
	}
	p.imports = importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exported[path]) })
	return p
}

// check compiles a package as far as its types, with another text of one file.
func (p *packages) check(path, text string) error {
	changed, err := parser.ParseFile(p.fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	files := []*ast.File{changed}
	for _, name := range p.files[filepath.Dir(path)] {
		other := filepath.Join(filepath.Dir(path), name)
		if other == path {
			continue
		}
		if p.parsed[other] == nil {
			if p.parsed[other], err = parser.ParseFile(p.fset, other, nil, parser.SkipObjectResolution); err != nil {
				return err
			}
		}
		files = append(files, p.parsed[other])
	}
	_, err = (&types.Config{Importer: p.imports}).Check(filepath.Dir(path), p.fset, files, nil)
	return err
}
