package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// peakMemory is the most memory that a broker has had resident, in bytes.
func (a *agent) peakMemory() int {
	a.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Cmd.Process.Pid))
	require.NoError(a.t, err)
	_, after, found := strings.Cut(string(b), "VmHWM:")
	require.True(a.t, found)
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(a.t, err)
	return kib << 10
}

// ask sends a request as it is told to, and returns the status and the answer.
func (a *agent) ask(method, path, body string, header ...string) (int, string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.http+path, strings.NewReader(body))
	require.NoError(a.t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := client.Do(r)
	require.NoError(a.t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(a.t, err)
	return res.StatusCode, string(answer)
}

// What a client, a page of the web and a stranger may send to a real broker costs it nothing, changes nothing, and is refused
// by name.
func TestDoors(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	a := startAgent(t, "a", dir)
	const js, yaml = "application/json", "application/yaml"
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	const work, flood = `{"module":"` + "m" + `"}`, `{"type":"flood","level":"critical"}`
	before := 0
	if runtime.GOOS == "linux" {
		before = a.peakMemory()
	}
	for name, x := range map[string]struct {
		path, body string
		header     []string
		status     int
		says       string
	}{
		"aliases":            {"/v1/jobs", bomb, []string{"Content-Type", yaml}, 400, "anchors, aliases and merge keys"},
		"brackets":           {"/v1/jobs", strings.Repeat("[", 16<<10), []string{"Content-Type", yaml}, 400, "more than 32 deep"},
		"a page's text":      {"/v1/jobs", work, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		"a page":             {"/v1/jobs", work, []string{"Content-Type", js, "Sec-Fetch-Site", "cross-site"}, 403, "page of another site"},
		"an old browser":     {"/v1/emergencies", flood, []string{"Content-Type", js, "Origin", "http://evil.example"}, 403, "page of another site"},
		"another name":       {"/v1/emergencies", flood, []string{"Content-Type", js, "Host", "evil.example"}, 403, "not called"},
		"a page's emergency": {"/v1/emergencies", flood, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		"packed":             {"/v1/jobs", work, []string{"Content-Type", js, "Content-Encoding", "gzip"}, 415, "gzip"},
		"a key twice":        {"/v1/jobs", `{"command":"x","command":"y"}`, []string{"Content-Type", js}, 400, `\"command\" occurs twice`},
		"other letters":      {"/v1/jobs", `{"Command":"x"}`, []string{"Content-Type", js}, 400, `unknown field \"Command\"`},
		"a newline":          {"/v1/jobs", `{"driver":"process","command":"x","labels":{"a":"b\nc"}}`, []string{"Content-Type", js}, 422, "newline"},
	} {
		began := time.Now()
		status, answer := a.ask("POST", x.path, x.body, x.header...)
		require.Equal(t, x.status, status, "%s: %s", name, answer)
		require.Contains(t, answer, x.says, name)
		require.Less(t, time.Since(began), 10*time.Second, name)
	}

	for i := range 530 + 400 {
		conn, err := net.Dial("tcp", a.http)
		require.NoError(t, err)
		defer conn.Close()
		path := "/v1/jobs"
		if i >= 530 {
			path = "/broker/sync-metadata"
		}
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{", path) // it may have been turned away
	}
	status, answer := a.ask("GET", "/healthz", "")
	require.Equal(t, 200, status, answer)
	eventually(t, time.Minute, "bodies that do not come on are not waited for", func() bool {
		status, _ := a.ask("GET", "/v1/members", "")
		return status == 200
	})
	if runtime.GOOS == "linux" {
		require.Less(t, a.peakMemory()-before, 128<<20, "all of that has not cost 128 MiB")
	}

	// A blob that is there already, with its body and the end of the connection, is answered.
	blob, err := os.ReadFile(wordsModule)
	require.NoError(t, err)
	for _, want := range []int{201, 200} {
		status, answer = a.ask("PUT", fmt.Sprintf("/v1/blobs/%x", sha256.Sum256(blob)), string(blob)) // each on a connection of its own
		require.Equal(t, want, status, answer)
	}

	require.Equal(t, "no jobs\n", a.ucp("job", "list").stdout)
	require.Contains(t, a.ucp("emergency", "list").stdout, "no emergencies")
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s has %v: it is nobody else's", path, info.Mode())
		return nil
	}))
}
