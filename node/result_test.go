package node

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// leaver is a runner whose jobs leave a file, and a directory.
type leaver struct {
	instant
	blobs executor.Blobs
	t     *testing.T
	file  string // the name of the file
}

func (l leaver) put(text string) job.Blob {
	b, err := l.blobs.Put(context.Background(), strings.NewReader(text))
	if err != nil {
		l.t.Error(err)
	}
	return b
}

func (l leaver) Start(task executor.Task) {
	one, two := l.put("one"), l.put("two")
	m := &tree.Manifest{Entries: []tree.Entry{
		{Path: "A", Link: "sub/tool"}, {Path: "a", Mode: 0o644, Digest: one.Digest, Size: one.Size}, {Path: "empty", Dir: true},
		{Path: "sub", Dir: true}, {Path: "sub/tool", Mode: 0o755, Digest: two.Digest, Size: two.Size}, {Path: "\xff", Mode: 0o600, Digest: two.Digest, Size: two.Size},
	}}
	text, err := m.Encode()
	if err != nil {
		l.t.Error(err)
	}
	out := l.put("out")
	now := clock.At(time.Now())
	go l.report(executor.Update{Key: task.Key, Attempt: task.Attempt, Result: &job.Result{
		Outcome: job.Succeeded, Started: now, Finished: now, Stdout: &out, Outputs: map[string]job.Blob{"results/": l.put(string(text)), l.file: one},
	}})
}

// Parts of what a job has left can be asked for, so that a download goes on where it broke off: of its stdout, its outputs, and files
// of a directory among these.
func TestPartsOfOutputs(t *testing.T) {
	n := startNode(t, Config{Replicas: 1, Runner: func(c RunnerConfig) (Runner, error) { return leaver{instant{c.Report}, c.Blobs, t, "file"}, nil }})
	status, body := request(t, n, "PUT", "/v1/jobs/j?wait=1m", []byte(`{"command":"x","outputs":["results/","file"]}`))
	require.Equal(t, 2, status/100, body)
	for path, text := range map[string]string{"stdout": "out", "outputs/file": "one", "outputs/results/sub/tool": "two"} {
		whole := `"` + digest([]byte(text)) + `"`
		status, body := request(t, n, "GET", "/v1/jobs/j/"+path, nil, "Range", "bytes=1-", "If-Range", whole)
		require.Equal(t, http.StatusPartialContent, status, path)
		require.Equal(t, text[1:], body)
		status, body = request(t, n, "GET", "/v1/jobs/j/"+path, nil, "Range", "bytes=1-", "If-Range", `"another"`)
		require.Equal(t, http.StatusOK, status, path)
		require.Equal(t, text, body)
	}
}

// resultOf runs a job and fetches its result.
func resultOf(t *testing.T, file, format string) (status int, body string) {
	n := startNode(t, Config{Replicas: 1, Runner: func(c RunnerConfig) (Runner, error) { return leaver{instant{c.Report}, c.Blobs, t, file}, nil }})
	status, body = request(t, n, "PUT", "/v1/jobs/j", []byte(`{"command":"x","outputs":["results/","file"]}`))
	require.Equal(t, 2, status/100, body)
	return request(t, n, "GET", "/v1/jobs/j/result?wait=1m&format="+format, nil)
}

// packed is what both kinds of archive hold, in their order: nothing comes behind a link that might pass through it.
var packed = []string{
	"stdout 0644 out", "outputs/file 0644 one", "outputs/results/ dir", "outputs/results/a 0644 one", "outputs/results/empty/ dir",
	"outputs/results/sub/ dir", "outputs/results/sub/tool 0755 two", "outputs/results/\xff 0600 two", "outputs/results/A -> sub/tool",
}

func TestResultAsZip(t *testing.T) {
	status, body := resultOf(t, "file", "zip")
	require.Equal(t, http.StatusOK, status, body)
	z, err := zip.NewReader(bytes.NewReader([]byte(body)), int64(len(body)))
	require.NoError(t, err, "Go finds nothing in it that climbs out")
	var got []string
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		got = append(got, line(f.Name, f.Mode(), string(content)))
	}
	require.Equal(t, packed, got)
}

func TestResultAsTar(t *testing.T) {
	status, body := resultOf(t, `back\\slash`, "tar")
	require.Equal(t, http.StatusOK, status, body)
	from := tar.NewReader(strings.NewReader(body))
	var got []string
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(from)
		require.NoError(t, err)
		got = append(got, line(h.Name, h.FileInfo().Mode(), string(content)+h.Linkname))
	}
	want := append([]string{packed[0], `outputs/back\slash 0644 one`}, packed[2:]...)
	require.Equal(t, want, got)
}

// A backslash is a slash to some programs that unpack zips: `..\..\x` would climb out there.
func TestResultThatNoZipHolds(t *testing.T) {
	status, body := resultOf(t, `..\\..\\x`, "zip")
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, "?format=tar")
	status, body = resultOf(t, "file", "rar")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "zip")
}

func line(name string, mode fs.FileMode, content string) string {
	switch {
	case mode.IsDir():
		return name + " dir"
	case mode&fs.ModeSymlink != 0:
		return name + " -> " + content
	}
	return fmt.Sprintf("%s %04o %s", name, mode.Perm(), content)
}
