package executor

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// turnsOf returns turns where so many bytes of memory are free, and the modules that count as compiled.
func turnsOf(free int64) (*compileTurns, map[job.Digest]bool) {
	compiled := map[job.Digest]bool{}
	return newCompileTurns(func() int64 { return free }, func(d job.Digest) bool { return compiled[d] }), compiled
}

func TestOnlyOneCompilesAModule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, compiled := turnsOf(0)
		ctx := t.Context()
		leave, err := l.enter(ctx, "m", 1, nil)
		require.NoError(t, err)

		entered := make(chan func(), 2)
		for range 2 {
			go func() {
				leave, err := l.enter(ctx, "m", 1, nil)
				require.NoError(t, err)
				entered <- leave
			}()
		}
		synctest.Wait()
		require.Empty(t, entered, "both wait for the first")
		leave() // it failed: the next one tries
		synctest.Wait()
		require.Len(t, entered, 1)
		second := <-entered
		compiled["m"] = true
		second()
		second() // only the first call counts
		synctest.Wait()
		require.Len(t, entered, 1)
		(<-entered)()
		again, err := l.enter(ctx, "m", 1, nil)
		require.NoError(t, err, "the module is known now, so enter does not wait")
		again()
	})
}

func TestWaitingForACompilationCanBeStopped(t *testing.T) {
	l, _ := turnsOf(0)
	_, err := l.enter(t.Context(), "m", 1, nil)
	require.NoError(t, err)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errStopped)
	_, err = l.enter(ctx, "m", 1, nil)
	require.ErrorIs(t, err, errStopped)
}

// Different modules are compiled at once only where there is memory for all of them; one always is.
func TestCompilingTakesTurnsByMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := turnsOf(100 * compilerMemory)
		ctx := t.Context()
		large, err := l.enter(ctx, "large", 1000, nil)
		require.NoError(t, err, "more than there is, but nobody else compiles")
		var small func()
		go func() { small, _ = l.enter(ctx, "small", 60, nil) }()
		synctest.Wait()
		require.Nil(t, small)
		large()
		synctest.Wait()
		require.NotNil(t, small)
		other, err := l.enter(ctx, "other", 40, nil)
		require.NoError(t, err)
		var third func()
		go func() { third, _ = l.enter(ctx, "third", 1, nil) }()
		synctest.Wait()
		require.Nil(t, third)
		other()
		synctest.Wait()
		require.NotNil(t, third)
		third()
		small()
	})
}

// The memory of a turn counts once: by the turn itself, until its attempt is charged, and from then on by the account.
func TestMemoryOfATurnCountsOnce(t *testing.T) {
	m := newAccount(100 * compilerMemory)
	l := newCompileTurns(m.free, func(job.Digest) bool { return false })
	a := &attempt{}
	leave, err := l.enter(t.Context(), "first", 40, nil)
	require.NoError(t, err)
	ok, _ := m.put(a, charge{load: 40 * compilerMemory})
	require.True(t, ok)
	l.charged("first")
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.enter(stop, "too large beside it", 61, nil)
	require.ErrorIs(t, err, context.Canceled)
	second, err := l.enter(stop, "second", 60, nil)
	require.NoError(t, err, "60 of 100 are free")
	_, err = l.enter(stop, "third", 1, nil)
	require.ErrorIs(t, err, context.Canceled, "the second is not charged yet, and counts all the same")
	second()
	m.remove(a)
	leave()
}
