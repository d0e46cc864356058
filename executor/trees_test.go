package executor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// putTree stores a directory, and returns the digest of its manifest.
func (r *rig) putTree(files map[string]string, more ...tree.Entry) job.Digest {
	dir := r.t.TempDir()
	for name, content := range files {
		require.NoError(r.t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(r.t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	for _, e := range more {
		if e.Dir {
			require.NoError(r.t, os.Mkdir(filepath.Join(dir, e.Path), 0o755))
		} else {
			require.NoError(r.t, os.Symlink(e.Link, filepath.Join(dir, e.Path)))
		}
	}
	root, err := os.OpenRoot(dir)
	require.NoError(r.t, err)
	defer root.Close()
	m, err := tree.Walk(root, ".", tree.Walker{Store: func(name string) (job.Blob, error) {
		b, err := root.ReadFile(name)
		return job.Blob{Digest: r.put(b), Size: int64(len(b))}, err
	}})
	require.NoError(r.t, err)
	text, err := m.Encode()
	require.NoError(r.t, err)
	return r.put(text)
}

// kept reads the manifest of an output.
func (r *rig) kept(res job.Result, name string) *tree.Manifest {
	b, ok := res.Outputs[name]
	require.True(r.t, ok, "%v", res.Outputs)
	m, err := tree.Decode([]byte(r.read(&b)))
	require.NoError(r.t, err)
	return m
}

// paths lists what a manifest holds, with what stands in its files.
func (r *rig) paths(m *tree.Manifest) (out []string) {
	for _, e := range m.Entries {
		switch {
		case e.Dir:
			out = append(out, e.Path+"/")
		case e.Link != "":
			out = append(out, e.Path+" -> "+e.Link)
		default:
			out = append(out, e.Path+": "+r.read(&job.Blob{Digest: e.Digest, Size: e.Size}))
		}
	}
	return out
}

func TestDirectories(t *testing.T) {
	r := newRig(t, native)
	in := r.putTree(map[string]string{"a.txt": "one", "sub/b.txt": "two"}, tree.Entry{Path: "empty", Dir: true}, tree.Entry{Path: "link", Link: "sub/b.txt"})

	task := r.sh("cat data/link && mkdir -p out/empty out/sub && cp -r data/. out/sub/ && printf x > out/tool && chmod 755 out/tool && ln -s sub/a.txt out/short")
	task.Spec.Inputs = map[string]string{"data/": string(in)}
	task.Spec.Outputs = []string{"out/"}
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Empty(t, res.Reason)
	require.Equal(t, "two", r.read(res.Stdout))
	m := r.kept(res, "out/")
	require.Equal(t, []string{"empty/", "short -> sub/a.txt", "sub/", "sub/a.txt: one", "sub/empty/", "sub/link -> sub/b.txt", "sub/sub/", "sub/sub/b.txt: two", "tool: x"}, r.paths(m))
	require.Equal(t, fs.FileMode(0o755), m.Find("tool").Mode)

	// A module has the same, and what it keeps may be what it was given.
	task = r.wasm("copy", "/data/link", "data/empty/copied")
	task.Spec.Inputs = map[string]string{"data/": string(in)}
	task.Spec.Outputs = []string{"data/"}
	res = r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, "%s %s", res.Reason, r.read(res.Stderr))
	require.Equal(t, []string{"a.txt: one", "empty/", "empty/copied: two", "link -> sub/b.txt", "sub/", "sub/b.txt: two"}, r.paths(r.kept(res, "data/")))
}

// TestDirectoryOfMany has more files than a result could name, and more inputs than a spec.
func TestDirectoryOfMany(t *testing.T) {
	r := newRig(t, native)
	files := map[string]string{}
	for i := range 2 * job.MaxOutputFiles {
		files[fmt.Sprintf("tiles/%04d.with-a-name-of-some-length", i)] = "tile"
	}
	task := r.sh("cp -r in out")
	task.Spec.Inputs = map[string]string{"in/": string(r.putTree(files))}
	task.Spec.Outputs = []string{"out/"}
	task.Spec.Disk = 4 << 20 // 1,024 names of its own, and what it was given does not count
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Len(t, r.kept(res, "out/").Files(), 1)
	require.Len(t, r.kept(res, "out/").Entries, len(files)+1)
}

func TestDirectoryThatIsNone(t *testing.T) {
	r := newRig(t, native)
	for name, d := range map[string]job.Digest{
		"no manifest":        r.put([]byte("hello")),
		"one that climbs":    r.put([]byte(`{"manifest":1,"entries":[{"path":"../x","dir":true}]}`)),
		"a link that climbs": r.put([]byte(`{"manifest":1,"entries":[{"path":"x","link":"../../y"}]}`)),
	} {
		task := r.sh("exit 0")
		task.Spec.Inputs = map[string]string{"data/": string(d)}
		res := r.run(task)
		require.Equal(t, job.Failed, res.Outcome, name)
		require.True(t, res.Permanent, "it is that on every broker")
		require.Contains(t, res.Reason, "input data/ is no directory", name)
	}
	task := r.sh("touch out")
	task.Spec.Outputs = []string{"out/"}
	res := r.run(task)
	require.Equal(t, job.Failed, res.Outcome)
	require.Equal(t, "output out/ is no directory", res.Reason)
	task = r.sh("ln -s nothing g")
	task.Spec.Outputs = []string{"g"}
	require.Equal(t, "output g is a link to nothing", r.run(task).Reason)
	task = r.sh("ln -s nothing g; exit 9")
	task.Spec.Outputs = []string{"g"}
	require.Equal(t, `exit code 9; not among the outputs: "g" (output g is a link to nothing)`, r.run(task).Reason)
	task = r.sh("exit 0")
	task.Spec.Outputs = []string{"none/"}
	require.Equal(t, "its program ended well, but left no output none/", r.run(task).Reason)
}

// TestDirectoryLeavesOut what would lead out of it, and says so.
func TestDirectoryLeavesOut(t *testing.T) {
	r := newRig(t, native)
	task := r.sh("mkdir out && ln -s /etc/passwd out/abs && ln -s ../.. out/up && mkfifo out/pipe && echo 1 > out/file")
	task.Spec.Outputs = []string{"out/"}
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	for _, name := range []string{`"out/abs" (a link that leads out of the directory)`, `"out/up"`, `"out/pipe" (no file, link or directory)`} {
		require.Contains(t, res.Reason, name)
	}
	require.Equal(t, []string{"file: 1\n"}, r.paths(r.kept(res, "out/")))
}
