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
		l, ctx := newLoading(), t.Context()
		leave, err := l.enter(ctx, "m", nil)
		require.NoError(t, err)

		entered := make(chan func(bool), 2)
		for range 2 {
			go func() {
				leave, err := l.enter(ctx, "m", nil)
				require.NoError(t, err)
				entered <- leave
			}()
		}
		synctest.Wait()
		require.Empty(t, entered, "both wait for the first")
		other, err := l.enter(ctx, "another", nil)
		require.NoError(t, err)
		other(true)

		leave(false) // it failed: the next one tries
		synctest.Wait()
		require.Len(t, entered, 1)
		second := <-entered
		second(true)
		second(false) // only the first call counts
		synctest.Wait()
		require.Len(t, entered, 1)
		(<-entered)(false)
		again, err := l.enter(ctx, "m", nil)
		require.NoError(t, err, "known now: nobody waits")
		again(false)
	})
}

func TestWaitingForACompilationCanBeStopped(t *testing.T) {
	l := newLoading()
	_, err := l.enter(t.Context(), "m", nil)
	require.NoError(t, err)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errStopped)
	_, err = l.enter(ctx, "m", nil)
	require.ErrorIs(t, err, errStopped)
}

func TestLoadingForgetsInTime(t *testing.T) {
	l := newLoading()
	for i := range maxKnown + 10 {
		leave, err := l.enter(t.Context(), job.Digest(strconv.Itoa(i)), nil)
		require.NoError(t, err)
		leave(true)
	}
	require.LessOrEqual(t, len(l.known), maxKnown)
}
