package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// wanted is set where a whole release is made and tried, which takes minutes: make release-test. It may name the directory of one that was
// made.
const wanted = "UCP_RELEASE_TEST"

// made is a release of the commit that is checked out, which all tests share.
type made struct{ out string }

var theRelease struct {
	once sync.Once
	made made
	err  error
	dir  string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if theRelease.dir != "" {
		_ = os.RemoveAll(theRelease.dir)
	}
	os.Exit(code)
}

// theOne makes it, or takes the one that a test before has made.
func theOne(t *testing.T) made {
	t.Helper()
	if os.Getenv(wanted) == "" {
		t.Skip("a whole release is made by `make release-test`")
	}
	theRelease.once.Do(func() {
		theRelease.dir, theRelease.err = os.MkdirTemp("", "ucp-release-test-")
		if theRelease.err != nil {
			return
		}
		if theRelease.made.out = os.Getenv(wanted); filepath.IsAbs(theRelease.made.out) {
			return
		}
		theRelease.made.out = filepath.Join(theRelease.dir, "dist")
		theRelease.err = run(context.Background(), source, theRelease.made.out, strings.Split(platforms, ","))
	})
	require.NoError(t, theRelease.err)
	return theRelease.made
}

// file is the one file of the release with a name that ends so.
func (m made) file(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.out, pattern))
	require.NoError(t, err)
	require.Len(t, found, 1, pattern)
	return found[0]
}

// unpacked is what an archive of a release holds, below its directory.
func (m made) unpacked(t *testing.T, pattern string) string {
	t.Helper()
	dir := t.TempDir()
	command(t, "tar", "-xzf", m.file(t, pattern), "-C", dir, "--strip-components=1")
	return dir
}

// command runs a program, which has to succeed, and returns what it printed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v\n%s%s", name, args, out, stderr.Bytes())
	return string(out)
}

// The same commit gives the same bytes, wherever it lies.
func TestTheSameBytesAgain(t *testing.T) {
	first := theOne(t)
	dir := t.TempDir()
	again := made{filepath.Join(dir, "dist")}
	t.Setenv("TMPDIR", dir)
	t.Setenv("GOFLAGS", "-buildvcs=false") // what somebody's environment says changes nothing
	t.Setenv("GOAMD64", "v3")
	require.NoError(t, run(t.Context(), source, again.out, strings.Split(platforms, ",")))
	one, err := os.ReadFile(first.file(t, mark))
	require.NoError(t, err)
	other, err := os.ReadFile(again.file(t, mark))
	require.NoError(t, err)
	require.Equal(t, string(one), string(other))
	require.Equal(t, 4+4+2*2+3, strings.Count(string(one), "\n"), "archives and contents for four systems, packages for two, images for two and one for both:\n%s", one)
	cmd := exec.Command("sha256sum", "--check", "--strict", mark)
	cmd.Dir = first.out
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// The program says which version it is, and that of its files is the same. It needs nothing of the machine.
func TestBinaries(t *testing.T) {
	m := theOne(t)
	var said struct {
		Version, Revision string
		Modified          bool
	}
	require.NoError(t, json.Unmarshal([]byte(command(t, filepath.Join(m.unpacked(t, "*_linux_amd64.tar.gz"), "ucp"), "version", "-o", "json")), &said))
	require.NotEqual(t, "dev", said.Version)
	m.file(t, "ucp_"+strings.TrimPrefix(said.Version, "v")+"_linux_amd64.tar.gz")
	require.False(t, said.Modified)
	require.True(t, strings.HasPrefix(command(t, "git", "-C", source, "rev-parse", "HEAD"), said.Revision), said.Revision)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		dir := m.unpacked(t, "*_linux_"+arch+".tar.gz")
		f, err := elf.Open(filepath.Join(dir, "ucp"))
		require.NoError(t, err)
		require.Equal(t, machine, f.Machine)
		for _, p := range f.Progs {
			require.NotEqual(t, elf.PT_INTERP, p.Type, "it is static")
		}
		require.NoError(t, f.Close())
		for _, name := range []string{"LICENSE", "LICENSES-OF-OTHERS", "man/ucp-run.1.gz", "completion/zsh"} {
			require.FileExists(t, filepath.Join(dir, name))
		}
	}
}

// What a binary is made of is listed as the binary itself says it, and the licence of each part goes with it.
func TestContents(t *testing.T) {
	m := theOne(t)
	dir := m.unpacked(t, "*_linux_arm64.tar.gz")
	text, err := os.ReadFile(m.file(t, "*_linux_arm64.cdx.json"))
	require.NoError(t, err)
	var bom struct {
		BOMFormat, SpecVersion string
		Components             []struct{ Name, Version, PURL string }
	}
	require.NoError(t, json.Unmarshal(text, &bom))
	require.Equal(t, "CycloneDX 1.6", bom.BOMFormat+" "+bom.SpecVersion)
	listed := map[string]string{}
	for _, c := range bom.Components {
		listed[c.Name] = c.Version
	}
	licences, err := os.ReadFile(filepath.Join(dir, "LICENSES-OF-OTHERS"))
	require.NoError(t, err)
	modules := 0
	for line := range strings.Lines(command(t, "go", "version", "-m", filepath.Join(dir, "ucp"))) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "dep" {
			require.Equal(t, f[2], listed[f[1]], f[1])
			require.Contains(t, string(licences), "\n"+f[1]+" "+f[2]+": ")
			modules++
		}
	}
	require.Greater(t, modules, 30)
	require.Len(t, listed, modules+2, "the modules, the standard library, and the dashboard's library")
	require.Contains(t, listed, "lit-html")
}
