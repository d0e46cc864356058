package executor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A countdown counts exactly the time in which it was not paused. (The time is virtual.)
func TestPausedCountdownDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := newCountdown(10 * time.Second)
		time.Sleep(4 * time.Second)
		c.pause()
		c.pause()
		time.Sleep(time.Hour)
		c.pause()
		select {
		case <-c.timer.C:
			t.Fatal("it ran while it was paused")
		default:
		}
		c.run(false) // has no effect
		c.run(true)
		time.Sleep(time.Second)
		c.run(true) // a second call has no effect
		<-c.timer.C
		require.Equal(t, time.Hour+10*time.Second, time.Since(begin))
	})
}

// A countdown that ran out unnoticed before it was paused fires when it continues.
func TestCountdownPausedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountdown(time.Second)
		time.Sleep(2 * time.Second)
		c.pause()
		select {
		case <-c.timer.C:
			t.Fatal("it fired while it was paused")
		default:
		}
		c.run(true)
		<-c.timer.C
	})
}
