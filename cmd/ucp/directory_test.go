package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// echoTree lets jobs leave as results/ the directory that they were given as data/.
func echoTree(b *fakeBroker) {
	b.execute = func(id string, spec job.Spec) api.Job {
		j := succeeded(id)
		d := spec.Inputs["data/"]
		text := b.blobs[d]
		m, err := tree.Decode(text)
		if err != nil {
			return j
		}
		j.Outputs = map[string]job.Blob{"results/": {Digest: job.Digest(d), Size: int64(len(text))}}
		b.streams[id+"/outputs/results/"] = string(text)
		for _, e := range m.Entries {
			b.streams[id+"/outputs/results/"+job.PathText(e.Path)] = string(b.blobs[string(e.Digest)])
		}
		return j
	}
}

func TestRunWithDirectories(t *testing.T) {
	b, s := newFakeBroker(t)
	echoTree(b)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "in/a": "one", "in/sub/b": "two", "in/sub/c": "three", "in/sub/again": "two"})
	require.NoError(t, os.Mkdir("in/empty", 0o755))
	require.NoError(t, os.Symlink("sub/b", "in/link"))
	require.NoError(t, os.Chmod("in/a", 0o755))
	run := func(id string) ran {
		return s.run("run", "m.wasm", "--id", id, "--input", "data/=in", "--output", "results/", "--to", "out")
	}
	require.Zero(t, run("j1").code)
	require.Equal(t, "two", readFile(t, "out/results/link"))
	require.Equal(t, "three", readFile(t, "out/results/sub/c"))
	to, err := os.Readlink("out/results/link")
	require.NoError(t, err)
	require.Equal(t, "sub/b", to)
	require.DirExists(t, "out/results/empty")
	info, err := os.Stat("out/results/a")
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&0o100, "it is a program still")
	puts := b.count("PUT /v1/blobs")
	require.Equal(t, 5, puts, "the module, the manifest, and each content once")
	require.Zero(t, run("j2").code)
	require.Equal(t, puts, b.count("PUT /v1/blobs"), "all of it was there")

	require.Zero(t, s.run("job", "result", "j1", "--to", "again").code)
	require.Equal(t, "two", readFile(t, "again/results/sub/again"))
	require.Contains(t, s.run("job", "get", "j1").out, "results/ (a directory)")
	require.Contains(t, s.run("run", "m.wasm", "--input", "data=in").errOut, "in is a directory; to give all that is in it, write --input data/=in")
	require.Contains(t, s.run("run", "m.wasm", "--input", "data/=m.wasm").errOut, "m.wasm is no directory")
	for name, to := range map[string]string{"up": "../../m.wasm", "abs": "/etc/passwd"} {
		require.NoError(t, os.Symlink(to, filepath.Join("in", name)))
		require.Contains(t, run("j3").errOut, "in/"+name+" is a link that leads out of the directory")
		require.NoError(t, os.Remove(filepath.Join("in", name)))
	}
	require.Zero(t, b.count("PUT /v1/jobs/j3"))
}

// What a broker, or a job, says of a directory is not believed: nothing is written outside, nor through a link.
func TestResultsOfDirectoriesStayInside(t *testing.T) {
	sum := digestOf("evil")
	for name, entries := range map[string]string{
		"up":             `{"path":"../evil","mode":"0644","size":4,"sha256":"` + sum + `"}`,
		"absolute":       `{"path":"/tmp/evil","mode":"0644","size":4,"sha256":"` + sum + `"}`,
		"through a link": `{"path":"l","link":".."},{"path":"l/evil","mode":"0644","size":4,"sha256":"` + sum + `"}`,
		"a link out":     `{"path":"l","link":"../../evil"}`,
		"twice":          `{"path":"l","link":"x"},{"path":"l","mode":"0644","size":4,"sha256":"` + sum + `"}`,
	} {
		b, s := newFakeBroker(t)
		inFolder(t, nil)
		text := `{"manifest":1,"entries":[` + entries + `]}`
		j := succeeded("j1")
		j.Outputs = map[string]job.Blob{"results/": {Digest: job.Digest(digestOf(text)), Size: int64(len(text))}}
		b.jobs["j1"] = &j
		b.streams["j1/outputs/results/"] = text
		r := s.run("job", "result", "j1", "--to", "deep/out")
		require.Contains(t, r.errOut, "the manifest of the directory is not to be used", name)
		require.NotZero(t, r.code)
		require.Empty(t, written(t, "deep/out"), name)
	}
	b, s := newFakeBroker(t)
	echoTree(b)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "in/sub/b": "two", "elsewhere/b": "mine"})
	require.NoError(t, os.MkdirAll("out/results", 0o755))
	require.NoError(t, os.Symlink("../../elsewhere", "out/results/sub"))
	require.NotZero(t, s.run("run", "m.wasm", "--id", "j1", "--input", "data/=in", "--output", "results/", "--to", "out").code)
	require.Equal(t, "mine", readFile(t, "elsewhere/b"), "a link that lies in wait is not followed")

	b.streams["j1/outputs/results/sub/b"] = "tow"
	require.Contains(t, s.run("job", "result", "j1", "--to", "fresh").errOut, "the content is not what the job wrote")
	require.Empty(t, written(t, "fresh"))
}

func readFile(t *testing.T, path string) string {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// written lists the files and links below a directory.
func written(t *testing.T, dir string) (out []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	}))
	return out
}

func TestNamesThatDifferByCase(t *testing.T) {
	m := func(paths ...string) *tree.Manifest {
		out := &tree.Manifest{}
		for _, p := range paths {
			out.Entries = append(out.Entries, tree.Entry{Path: p})
		}
		return out
	}
	a, b := alikeButForCase(m("A", "b", "a/x", "a"))
	require.Equal(t, []string{"A", "a"}, []string{a, b})
	a, _ = alikeButForCase(m("a", "a/A", "b", "É", "è"))
	require.Empty(t, a)
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	_, err = root.Stat(strings.ToUpper(".ucp-case"))
	require.Error(t, err)
	require.NoError(t, root.WriteFile(".UCP-CASE", nil, 0o600))
	require.True(t, foldsCase(root, "."), "both names are there")
	require.NoError(t, root.Remove(".UCP-CASE"))
	require.False(t, foldsCase(root, "."), "not on this file system")
	require.True(t, foldsCase(root, "nowhere"))
}
