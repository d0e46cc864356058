package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What brokers tell, each from its own sight, across midnight: n3 is away when the flood is
// declared, news of jobs comes twice, and late.
var streams = map[string]string{
	"n1": `{"at":"2026-01-31T23:59:58Z","broker":"n1","kind":"job","id":"map","what":"pending","text":"map is pending"}
{"at":"2026-01-31T23:59:58.5Z","broker":"n1","kind":"job","id":"map","what":"running","place":"n1","text":"map is running at n1"}
{"at":"2026-02-01T00:00:00.25Z","broker":"n1","kind":"emergency","id":"flood-1","what":"declared","text":"flood-1: flood, level high, for all brokers, until 2026-02-02 00:00:00 UTC: pumps first"}
{"at":"2026-02-01T00:00:00.25Z","broker":"n1","kind":"preemption","id":"map","what":"suspended","place":"n1","for":"pumps","text":"map makes room"}
{"at":"2026-02-01T00:00:00.27Z","broker":"n1","kind":"job","id":"map","what":"suspended","place":"n1","text":"map is suspended at n1"}
{"at":"2026-02-01T00:00:00.3Z","broker":"n1","kind":"job","id":"pumps","what":"running","place":"n1","text":"pumps is running at n1"}
{"at":"2026-02-01T00:00:07Z","broker":"n1","kind":"emergency","id":"flood-1","what":"cleared","text":"flood-1 is cleared"}
{"at":"2026-02-01T00:00:07.01Z","broker":"n1","kind":"job","id":"map","what":"running","place":"n1","text":"map is running at n1"}
{"at":"2026-02-01T00:00:08Z","broker":"n1","kind":"job","id":"map","what":"succeeded","place":"n1","text":"map has succeeded at n1"}
`,
	"n2": `{"at":"2026-01-31T23:59:58.6Z","broker":"n2","kind":"job","id":"map","what":"running","place":"n1","text":"map is running at n1"}
{"at":"2026-02-01T00:00:00.26Z","broker":"n2","kind":"emergency","id":"flood-1","what":"declared","text":"flood-1: flood, level high"}
{"at":"2026-02-01T00:00:08.1Z","broker":"n2","kind":"job","id":"map","what":"succeeded","place":"n1","text":"map has succeeded at n1"}
`,
	"n3": `{"at":"2026-02-01T00:00:05Z","broker":"n3","kind":"emergency","id":"flood-1","what":"declared","text":"flood-1: flood, level high"}
`,
}

const told = `
  seconds  broker  what happened
     0.50  n1      map starts

     2.25  n1      EMERGENCY flood-1: flood, high: pumps first
                      (n2 10 ms later)
     2.25  n1      map stands still for pumps
     2.30  n1      pumps starts
     7.00  n3      learns that flood-1 was declared

     9.00  n1      EMERGENCY OVER: flood-1 is cleared
     9.01  n1      map goes on
    10.00  n1      map is done

    10 ms  from the declaration until every broker that was up knew
    50 ms  from the declaration until the first urgent job ran (pumps at n1)
    10 ms  from the clear until a job that had made room ran again (map at n1)
`

// Who starts again: what ran at a broker that was killed, elsewhere or there; what went back into the queue. Not what is
// queued for a moment and runs on, as when it passes to another owner.
func TestTimelineStartsAgain(t *testing.T) {
	event := func(second int, kind, id, what, place string) string {
		return fmt.Sprintf(`{"at":"2026-01-31T10:00:%02dZ","broker":"n1","kind":%q,"id":%q,"what":%q,"place":%q,"for":"pumps","text":"%[3]s"}`+"\n", second, kind, id, what, place)
	}
	require.Equal(t, strings.TrimPrefix(`
  seconds  broker  what happened
     0.00  n1      map starts
     1.00  n1      pumps starts
     4.00  n1      map goes back into the queue for pumps
     6.00  n1      map starts again

     7.00  n1      n1
    10.00  n1      map, pumps start again

`, "\n"), tell(t, map[string]string{"n1": event(0, "job", "map", "running", "n1") + event(1, "job", "pumps", "running", "n1") +
		event(2, "job", "pumps", "queued", "n1") + event(3, "job", "pumps", "running", "n1") + event(3, "job", "map", "running", "n1") +
		event(4, "preemption", "map", "requeued", "n1") + event(5, "job", "map", "queued", "n1") + event(6, "job", "map", "running", "n1") +
		event(7, "demo", "n1", "killed", "") +
		event(10, "job", "map", "running", "n1") + event(10, "job", "pumps", "running", "n1")}))
}

// The demo's story: each thing once, in the order in which it happened.
func TestTimeline(t *testing.T) { require.Equal(t, strings.TrimPrefix(told, "\n"), tell(t, streams)) }

// tell tells the story of some streams of events, by the name of the broker.
func tell(t *testing.T, streams map[string]string) string {
	dir := t.TempDir()
	for name, text := range streams {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	cmd := exec.Command("sh", "-c", `awk -f ../scripts/timeline.awk -v pass=sort "$0"/* | LC_ALL=C sort -s -n -k 1,1 |
		awk -f ../scripts/timeline.awk -v pass=tell -v urgent='^pumps'`, dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
