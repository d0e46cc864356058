package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// That a job runs is told also where its time was not over when it was looked at: it was started again meanwhile, as by a new owner
// that keeps the attempt, or the clock was put back.
func TestWhatStartsLaterIsLookedAtAgain(t *testing.T) {
	s := &story{t: t, w: newWorld()}
	do := func(line string) string { return s.do(t, parse(t, line)) }
	do("cluster a b")
	do("watch b")
	do("submit a j1")
	require.Contains(t, do("settle"), "b tells: j1 is starting at a")
	b := s.w.nodes["b"].b
	b.startings.timers = timers{}
	b.startings.timers.add(rounded(b.now.Add(time.Second)), b.withID("j1")[0])
	require.Equal(t, "ok", do("pass 1400ms"))
	require.Equal(t, "b tells: j1 is running at a", do("pass 200ms"))
}
