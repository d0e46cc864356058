package broker

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// As many disks as hold copies are restored at once, from copies on which a job is unfinished that c has seen end, and has
// forgotten. Of so many nothing is promised but that it does not wait for good (rule F3): a and b find out that it lives, and c takes it
// in again, which may be the only one that can run it, or own it.
func TestWhatOneHasForgottenComesToItAgain(t *testing.T) {
	for _, at := range []string{"a", "c"} { // who owns it
		for _, apart := range []string{"restart a; meet; pass 5s; restart b; cut a b; meet; pass 10s", "cut a c; cut b c; restart a; restart b; meet; pass 65s"} {
			s := &story{t: t, w: newWorld()}
			tell := func(lines string) (said string) {
				for _, line := range strings.Split(lines, "; ") {
					said = s.do(t, parse(t, line))
				}
				return said
			}
			tell("numbered; cluster a b c retention=20s; submit " + at + " j1 need=chem; settle; pass 65s; backup a; backup b; cancel a j1; pass 150s")
			tell("crash a; crash b; restore a; restore b; " + apart + "; heal; meet; pass 5m")
			require.NotEmpty(t, s.w.nodes["c"].b.withID("j1"), "%s, %s", at, apart)
			tell("crash c; restart c label=chem:1; meet; pass 15s")
			require.Len(t, s.w.nodes["c"].running, 1, "%s, %s", at, apart)

			// What has ended is not covered by what was held before that (see TestFaultsOfTwo).
			s.w.errors = slices.DeleteFunc(s.w.errors, func(what string) bool { return strings.Contains(what, " covers ") })
			require.Empty(t, s.w.errors)
			stats := s.w.nodes["a"].b.stats.Recreated + s.w.nodes["b"].b.stats.Recreated
			require.LessOrEqual(t, stats, uint64(2), "it is written once or twice")
			require.Positive(t, stats)
		}
	}
}

// A lie that a job was forgotten makes a holder create it again at most once a minute, and no more than a record has creations.
func TestLiesCreateLittle(t *testing.T) {
	s := &story{t: t, w: newWorld()}
	do := func(line string) string { return s.do(t, parse(t, line)) }
	do("cluster a b c")
	do("pass 10s")
	do("submit c j1 need=nowhere")
	do("pass 70s")
	a := s.w.nodes["a"].b
	for range 120 {
		do("claim b a j1")
		do("pass 1s")
	}
	require.Positive(t, a.stats.Recreated)
	require.LessOrEqual(t, a.stats.Recreated, uint64(2))
	for range 30 {
		do("claim b a j1")
		do("pass 65s")
	}
	require.Less(t, a.stats.Recreated, uint64(job.MaxCreated))
	require.Len(t, a.withID("j1"), 1)
	require.Empty(t, s.w.errors)
}
