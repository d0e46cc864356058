package executor

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

func TestOnlyOneCompilesAModule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ctx := newCompileTurns(func() int64 { return 0 }), t.Context()
		leave, err := l.enter(ctx, "m", 1, nil)
		require.NoError(t, err)

		entered := make(chan func(bool), 2)
		for range 2 {
			go func() {
				leave, err := l.enter(ctx, "m", 1, nil)
				require.NoError(t, err)
				entered <- leave
			}()
		}
		synctest.Wait()
		require.Empty(t, entered, "both wait for the first")
		leave(false) // it failed: the next one tries
		synctest.Wait()
		require.Len(t, entered, 1)
		second := <-entered
		second(true)
		second(false) // only the first call counts
		synctest.Wait()
		require.Len(t, entered, 1)
		(<-entered)(false)
		again, err := l.enter(ctx, "m", 1, nil)
		require.NoError(t, err, "the module is known now, so enter does not wait")
		again(false)
	})
}

func TestWaitingForACompilationCanBeStopped(t *testing.T) {
	l := newCompileTurns(func() int64 { return 0 })
	_, err := l.enter(t.Context(), "m", 1, nil)
	require.NoError(t, err)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errStopped)
	_, err = l.enter(ctx, "m", 1, nil)
	require.ErrorIs(t, err, errStopped)
}

func TestKnownModulesAreBounded(t *testing.T) {
	l := newCompileTurns(func() int64 { return 0 })
	for i := range maxKnown + 10 {
		leave, err := l.enter(t.Context(), job.Digest(strconv.Itoa(i)), 1, nil)
		require.NoError(t, err)
		leave(true)
	}
	require.LessOrEqual(t, len(l.known), maxKnown)
}

// Different modules are compiled at once only where there is memory for all of them; one always is.
func TestCompilingTakesTurnsByMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ctx := newCompileTurns(func() int64 { return 100 * compilerMemory }), t.Context()
		large, err := l.enter(ctx, "large", 1000, nil)
		require.NoError(t, err, "more than there is, but nobody else compiles")
		var small func(bool)
		go func() { small, _ = l.enter(ctx, "small", 60, nil) }()
		synctest.Wait()
		require.Nil(t, small)
		large(true)
		synctest.Wait()
		require.NotNil(t, small)
		other, err := l.enter(ctx, "other", 40, nil)
		require.NoError(t, err)
		var third func(bool)
		go func() { third, _ = l.enter(ctx, "third", 1, nil) }()
		synctest.Wait()
		require.Nil(t, third)
		other(false)
		synctest.Wait()
		require.NotNil(t, third)
		third(true)
		small(true)
	})
}
