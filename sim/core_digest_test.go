package sim

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/test/race"
)

// digested is how many schedules have a recorded digest.
const digested = 300

// What clients are told, and what the disks hold in the end, are the same as they were
// when testdata/digests.txt was recorded: a change of the structure changes no behaviour.
// A change that is meant to alter behaviour records them again, with UCP_RECORD=1, and its
// commit says why they differ.
func TestCoreDigests(t *testing.T) {
	t.Parallel()
	if race.Enabled {
		t.Skip("a schedule has no goroutine")
	}
	got := make([]string, digested)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < digested; seed = next.Add(1) - 1 {
				got[seed] = Schedule(uint64(seed), coreConfig(), 0).Digest()
			}
		})
	}
	wg.Wait()
	path := filepath.Join("testdata", "digests.txt")
	if os.Getenv("UCP_RECORD") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(got, "\n")+"\n"), 0o644))
		t.Logf("recorded; all of them: %x", sha256.Sum256([]byte(strings.Join(got, "\n")+"\n")))
		return
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	want := strings.Fields(string(text))
	require.Len(t, want, digested)
	var differ []string
	for seed := range got {
		if got[seed] != want[seed] {
			differ = append(differ, fmt.Sprint(seed))
		}
	}
	require.Empty(t, differ, "these seeds behave otherwise than recorded")
}
