package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What README.md tells a newcomer to type works as it stands there, in its order, at the one broker that the first line starts.
func TestReadmeAsTyped(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(text), "\n## Use it\n")
	part, _, found := strings.Cut(after, "\nA cluster of real processes")
	require.True(t, found)
	lines := regexp.MustCompile(`(?m)^    (.+)$`).FindAllStringSubmatch(part, -1)
	require.Equal(t, "make build examples", strings.TrimSpace(strings.Split(lines[0][1], "#")[0]))
	require.Regexp(t, `^bin/ucp agent --name a .*&`, lines[1][1])

	a := startAgent(t, "a", t.TempDir())
	here := strings.NewReplacer("bin/ucp", ucpBinary, "bin/words.wasm", wordsModule, "go tool serf event", serfBinary+" event -rpc-addr="+a.rpc)
	require.Greater(t, len(lines), 20)
	require.NoError(t, os.MkdirAll("../bin", 0o755)) // as `make build` does
	for _, m := range lines[2:] {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", here.Replace(m[1]))
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "UCP_ADDR="+a.http)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", m[1], out)
	}
	eventually(t, time.Minute, "both emergencies are over, and all is well", func() bool {
		return strings.Contains(a.ucp("emergency", "list", "--active").stdout, "no emergencies") && strings.Contains(a.ucp().stdout, "Trust it?  yes")
	})
	require.Contains(t, a.ucp("emergency", "list").stdout, "flood-8")
	require.Equal(t, 0, a.ucp("job", "logs", "mine").code)
}
