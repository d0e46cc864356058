package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Who looks into it afterwards: what was ordered, that the logs are whole, and that one line of them is true.
func TestAudit(t *testing.T) {
	b := startCluster(t, 2)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	require.Zero(t, b[0].ucp("emergency", "declare", "--type", "flood", "--level", "low", "--id", "f1").code)
	require.Zero(t, b[0].ucp("strategy", "set", "priority").code)
	list := result{}
	eventually(t, time.Minute, "both orders are in the log", func() bool {
		list = b[0].ucp("audit", "list")
		require.Zero(t, list.code, list.stderr)
		return strings.Contains(list.stdout, "priority")
	})
	require.Regexp(t, `\d +20\S+ \S+  declare +f1 +127.0.0.1  201 +low flood\n`, list.stdout)
	r := b[1].ucp("audit", "copy", "--all", "--dir", dir)
	require.Zero(t, r.code, r.stderr)
	for _, a := range b {
		require.FileExists(t, file(a.name+".audit"))
	}
	n1, n2 := file(b[0].name+".audit"), file(b[1].name+".audit")
	r = b[0].ucp("audit", "verify", n1, n2)
	require.Zero(t, r.code, r.stderr+r.stdout)
	require.Contains(t, r.stdout, "NOT CERTAIN: ", "what was ordered a moment ago nobody else has seen")
	eventually(t, 3*time.Minute, "the other one has seen the log, whose copy is missing now", func() bool { // each is shown once a minute
		require.Zero(t, b[1].ucp("audit", "copy", "--all", "--dir", dir).code)
		return strings.Contains(b[0].ucp("audit", "verify", n2).stdout, "NOT CERTAIN: no copy of the log of "+b[0].name)
	})
	r = b[0].ucp("audit", "copy", "--dir", dir)
	require.Zero(t, r.code, "a copy goes on from the one before: %s", r.stderr)

	var listed struct {
		Key     string
		Entries []struct {
			Index int
			What  string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(b[0].ucp("audit", "list", "-o", "json", n1).stdout), &listed))
	index := ""
	for _, e := range listed.Entries {
		if e.What == "declare" {
			raw, err := json.Marshal(e.Index)
			require.NoError(t, err)
			index = string(raw)
		}
	}
	r = b[0].ucp("audit", "proof", n1, index)
	require.Zero(t, r.code, r.stderr)
	require.Less(t, len(r.stdout), 1024)
	proof := r.stdout
	require.NoError(t, os.WriteFile(file("proof"), []byte(proof), 0o600))
	r = b[0].ucp("audit", "check", file("proof"), listed.Key)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "declare f1 by 127.0.0.1")
	require.NoError(t, os.WriteFile(file("proof"), []byte(strings.Replace(proof, `"f1"`, `"f2"`, 1)), 0o600))
	require.Equal(t, 1, b[0].ucp("audit", "check", file("proof"), listed.Key).code)

	// Somebody changes a copy.
	text, err := os.ReadFile(n1)
	require.NoError(t, err)
	changed := strings.Replace(string(text), `"which":"f1"`, `"which":"f2"`, 1)
	require.NotEqual(t, string(text), changed)
	require.NoError(t, os.WriteFile(n1, []byte(changed), 0o600))
	r = b[0].ucp("audit", "verify", n1, n2)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stdout, "WRONG: "+n1)
	r = b[0].ucp("audit", "copy", "--dir", dir)
	require.Equal(t, 1, r.code, "what is wrong is kept for who looks into it")
	require.Contains(t, r.stderr, "move it away")
}
