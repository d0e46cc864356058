package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// write lets a name of the fake broker stand for a blob that it holds.
func (b *fakeBroker) write(name string, d job.Digest, size int64, directory bool) *api.Data {
	if b.data == nil {
		b.data = map[string]*api.Data{}
	}
	x := b.data[name]
	if x == nil {
		x = &api.Data{Name: name}
		b.data[name] = x
	}
	n := len(x.Versions) + 1
	v := api.DataVersion{Version: fmt.Sprintf("a~1:%d", n), Digest: d, Size: size, Directory: directory, At: clock.At(asOf), Broker: "a"}
	x.Versions = append([]api.DataVersion{v}, x.Versions...)
	x.Latest, x.AsOf = &x.Versions[0], asOf
	return x
}

// named answers /v1/data/.
func (b *fakeBroker) named(w http.ResponseWriter, r *http.Request) {
	name, q := r.PathValue("name"), r.URL.Query()
	x := b.data[name]
	switch {
	case b.noData:
		b.fail(w, 404, api.CodeNotFound, "there is no "+r.Method+" "+r.URL.Path)
	case r.Method == http.MethodPut:
		d := job.Digest(q.Get("digest"))
		content, ok := b.blobs[string(d)]
		if !ok {
			b.fail(w, 422, api.CodeMissingBlobs, "upload first")
			return
		}
		if x != nil && q.Get("if") != "" && q.Get("if") != x.Latest.Version {
			b.fail(w, 409, api.CodeConflict, name+" stands for version "+x.Latest.Version+"; nothing was done")
			return
		}
		out := *b.write(name, d, int64(len(content)), q.Get("directory") == "1")
		out.New, out.Replicas = true, 3
		if b.degraded {
			out.Replicas, out.Degraded = 1, true
		}
		b.reply(w, 201, out)
	case name == "" || strings.HasSuffix(name, "/"):
		out := api.DataList{Data: []api.Data{}, AsOf: asOf}
		for _, key := range []string{"n/dir", "n/file", "n/new"} {
			if b.data[key] != nil && strings.HasPrefix(key, name) {
				out.Data = append(out.Data, *b.data[key])
			}
		}
		b.reply(w, 200, out)
	case x == nil || x.Latest == nil:
		b.fail(w, 404, api.CodeNotFound, "no data "+name+" is known here")
	case r.Method == http.MethodDelete:
		out := *x
		out.Removed, out.Replicas, out.Latest = len(x.Versions), 1, nil
		out.Degraded = true
		delete(b.data, name)
		b.reply(w, 200, out)
	case q.Get("versions") != "":
		b.reply(w, 200, x)
	default:
		v := x.Latest
		for i := range x.Versions {
			if x.Versions[i].Version == q.Get("version") {
				v = &x.Versions[i]
			}
		}
		content := b.blobs[string(v.Digest)]
		if p := q.Get("path"); p != "" {
			m, err := tree.Decode(content)
			if err != nil || m.Find(p) == nil {
				b.fail(w, 404, api.CodeNotFound, "no file "+p)
				return
			}
			content = b.blobs[string(m.Find(p).Digest)]
		}
		_, _ = w.Write(content)
	}
}

// A file and a directory go in by a name, and come out as they were.
func TestDataPutAndGet(t *testing.T) {
	b, s := newFakeBroker(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "today.csv")
	require.NoError(t, os.WriteFile(file, []byte("1,2\n"), 0o600))
	require.Equal(t, ran{0, "n/file is 4 B; 3 brokers hold it\n", ""}, s.run("data", "put", "n/file", file))
	require.Equal(t, ran{0, "1,2\n", ""}, s.run("data", "get", "n/file"))
	to := filepath.Join(dir, "out") + "/"
	require.Equal(t, ran{0, to + ": 4 B\n", ""}, s.run("data", "get", "n/file", "--to", to))
	got, err := os.ReadFile(filepath.Join(to, "file"))
	require.NoError(t, err)
	require.Equal(t, "1,2\n", string(got))

	s.stdin = "from stdin"
	require.Zero(t, s.run("data", "put", "n/file", "-").code)
	require.Equal(t, ran{0, "from stdin", ""}, s.run("data", "get", "n/file"))
	require.Equal(t, ran{0, "1,2\n", ""}, s.run("data", "get", "n/file", "--version", "a~1:1"))
	require.Equal(t, ran{1, "", "ucp: n/file has no version a~1:9; see `ucp data list n/file`\n"}, s.run("data", "get", "n/file", "--version", "a~1:9"))
	require.Equal(t, ran{1, "", "ucp: n/file stands for version a~1:2; nothing was done\n"}, s.run("data", "put", "n/file", file, "--if", "a~1:1"))

	tiles := filepath.Join(dir, "tiles")
	require.NoError(t, os.MkdirAll(filepath.Join(tiles, "a", "empty"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(tiles, "a", "t.png"), []byte("png"), 0o600))
	require.Contains(t, s.run("data", "put", "n/dir", tiles).out, "n/dir is a directory; 3 brokers hold it")
	require.Equal(t, ran{1, "", "ucp: n/dir is a directory: say with --to into which one here\n"}, s.run("data", "get", "n/dir"))
	back := filepath.Join(dir, "back")
	require.Zero(t, s.run("data", "get", "n/dir", "--to", back).code)
	got, err = os.ReadFile(filepath.Join(back, "a", "t.png"))
	require.NoError(t, err)
	require.Equal(t, "png", string(got))
	require.DirExists(t, filepath.Join(back, "a", "empty"))

	require.Contains(t, s.run("data", "put", "n/file", filepath.Join(dir, "none")).errOut, "no such file")
	// Whoever's data are at too few brokers is told how to find out later at how many they are.
	b.degraded = true
	require.Equal(t, "n/few is 4 B; one broker holds it, fewer than --replicas\nothers take it as they can; how many hold it later says: ucp data put n/few "+file+" --if a~1:1\n", s.run("data", "put", "n/few", file).out)
	b.degraded = false
	require.Equal(t, ran{1, "", "ucp: no data n/other is known here\n"}, s.run("data", "get", "n/other"))
	require.Contains(t, s.run("data", "get", "n/file", "-o", "json").errOut, "-o json goes with --to")

	// What is no name is refused here: a broker's router would make another path of it.
	for _, verb := range [][]string{{"put", "n//file", file}, {"get", "n//file"}, {"rm", "n//file"}, {"watch", "n//file"}, {"list", "n//file"}} {
		r := s.run(append([]string{"data"}, verb...)...)
		require.Equal(t, 1, r.code, verb)
		require.Contains(t, r.errOut, `ucp: name "n//file": "" is no part of a name; use at most 64 letters`, verb)
	}
	require.Contains(t, s.run("data", "get", "/abs").errOut, "no part of a name")
	require.Equal(t, ran{1, "", "ucp: n/ stands for all names below it; see `ucp data list n/`\n"}, s.run("data", "get", "n/"))
}

// Names and versions are listed, a name is followed, and removed.
func TestDataListWatchAndRemove(t *testing.T) {
	b, s := newFakeBroker(t)
	require.Equal(t, ran{0, "no data\n", ""}, s.run("data", "list"))
	b.write("n/file", job.Digest(strings.Repeat("a", 64)), 2048, false)
	b.write("n/file", job.Digest(strings.Repeat("b", 64)), 4096, false)
	b.data["n/file"].Versions[1].RemovedAt, b.data["n/file"].Versions[1].RemovedBy = clock.At(asOf), "b"
	require.Equal(t, ran{0, `
NAME    SIZE   WRITTEN                      AT  JOB  VERSIONS
n/file  4 KiB  2026-01-31 15:04:05.000 UTC  a   -    1
`[1:], ""}, s.run("data", "list", "n/"))
	require.Equal(t, ran{0, `
VERSION  SIZE          WRITTEN                      AT  JOB  SHA-256
a~1:2    4 KiB         2026-01-31 15:04:05.000 UTC  a   -    bbbbbbbbbbbb
a~1:1    removed by b  2026-01-31 15:04:05.000 UTC  a   -    -
`[1:], ""}, s.run("data", "list", "n/file"))
	require.Equal(t, s.run("data", "list", "n/"), s.run("data", "list", "n"), "a prefix without its slash")
	require.Equal(t, ran{1, "", "ucp: no data m is known here\n"}, s.run("data", "list", "m"))
	require.Equal(t, ran{0, "n/file: 4 KiB, written 2026-01-31 15:04:05.000 UTC at a, version a~1:2\n", ""}, s.run("data", "watch", "n/file", "--count", "1"))
	require.Contains(t, s.run("data", "watch", "n/file", "--count", "1", "-o", "json").out, `"version":"a~1:2"`)

	require.Equal(t, ran{1, "n/file: 2 versions are removed; one broker knows, fewer than --replicas\n", "ucp: no data n/file is known here\n"}, s.run("data", "rm", "n/file", "n/file"))
	require.Equal(t, ran{0, "no data\n", ""}, s.run("data", "list"))
	b.noData = true
	require.Equal(t, ran{1, "", "ucp: this broker is of an earlier version, which keeps no named data; ask another with --addr\n"}, s.run("data", "watch", "n/file"))
}
