package main

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

func text(t *testing.T, c api.Content) string {
	r, err := c()
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

// A file that grows while it is read is taken as it was at first, each time.
func TestAnInputThatGrows(t *testing.T) {
	inFolder(t, map[string]string{"log": "one\n"})
	s := &sources{}
	c, err := s.open("--input log", "log")
	require.NoError(t, err)
	require.Equal(t, "one\n", text(t, c))
	f, err := os.OpenFile("log", os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("two\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "one\n", text(t, c))
}

// What can be read but once is copied, and each opening gives the same; so with files that say that they are empty, as
// those of /proc do.
func TestAnInputThatIsReadOnce(t *testing.T) {
	inFolder(t, nil)
	t.Setenv("TMPDIR", t.TempDir())
	require.NoError(t, syscall.Mkfifo("pipe", 0o600))
	written := make(chan error, 1)
	go func() { written <- os.WriteFile("pipe", []byte("through a pipe"), 0) }()
	s := &sources{in: strings.NewReader("ours")}
	c, err := s.open("--stdin", "pipe")
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.Equal(t, "through a pipe", text(t, c))
	again, err := s.open("--stdin", "pipe")
	require.NoError(t, err)
	require.Equal(t, "through a pipe", text(t, again))
	if _, err := os.Stat("/proc/version"); err == nil {
		c, err := s.open("--input v", "/proc/version")
		require.NoError(t, err)
		require.Contains(t, text(t, c), "Linux")
	}
	c, err = s.open("--input s", "-")
	require.NoError(t, err)
	require.Equal(t, "ours", text(t, c))
	c, err = s.open("--input s", "-")
	require.NoError(t, err, "the same use again, for another broker")
	require.Equal(t, "ours", text(t, c))
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.NotEmpty(t, left)
	s.close()
	left, err = os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// A mark that an editor has put before a text is no part of it.
func TestAByteOrderMarkIsSkipped(t *testing.T) {
	b, s := newFakeBroker(t)
	b.blobs[digestOf(emptyModule)] = []byte(emptyModule)
	inFolder(t, map[string]string{"job": "\ufeff" + `{"module":"` + digestOf(emptyModule) + `"}`, "a.yaml": "\ufeffname: of-the-file\n"})
	require.Equal(t, ran{0, "j1\n", ""}, s.run("job", "submit", "job", "--id", "j1"))
	require.Equal(t, []string{"application/json"}, b.types)
	settings, err := readConfig("a.yaml", []string{"name"})
	require.NoError(t, err)
	require.Equal(t, "of-the-file", settings[0].values[0])
}

// Where another broker is asked for the submission than for the upload, it gets the files, too.
func TestFilesAreSentAgainToAnotherBroker(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	lost := false
	b.execute = func(id string, _ job.Spec) api.Job { return succeeded(id) }
	b.before = func(method, path string) {
		if !lost && method == "PUT" && strings.HasPrefix(path, "/v1/jobs/") {
			lost, b.blobs = true, map[string][]byte{}
		}
	}
	require.Zero(t, s.run("run", "m.wasm").code)
	require.True(t, lost)
	require.Equal(t, 2, b.count("PUT /v1/blobs/"))
}

// A variable of ours that nobody reads is a slip of the pen, and is said to be one.
func TestUnknownVariables(t *testing.T) {
	b, s := newFakeBroker(t)
	b.status.Name = "a"
	s.env["UCP_DATADIR"], s.env["UCP_DATA_DIR"], s.env["UCP_JOB_ID"], s.env["UCP_XYZ"], s.env["OTHER"] = "x", "x", "x", "x", "x"
	require.Equal(t, "ucp: the variable UCP_DATADIR means nothing to ucp; did you mean UCP_DATA_DIR?\nucp: the variable UCP_XYZ means nothing to ucp\n", s.run("members").errOut)
}
