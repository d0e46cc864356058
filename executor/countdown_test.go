package executor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// In virtual time: what a countdown counts is exactly the time in which it ran.
func TestCountdownStandsStill(t *testing.T) {
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
			t.Fatal("it ran while it stood still")
		default:
		}
		c.run(false) // not yet
		c.run(true)
		time.Sleep(time.Second)
		c.run(true) // twice is once
		<-c.timer.C
		require.Equal(t, time.Hour+10*time.Second, time.Since(begin))
	})
}

// A module that is loaded while its job is suspended: its own time begins when it
// goes on.
func TestCountdownSetWhileStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountdown(time.Second)
		c.pause()
		c.set(5 * time.Second)
		time.Sleep(time.Minute)
		begin := time.Now()
		c.run(true)
		<-c.timer.C
		require.Equal(t, 5*time.Second, time.Since(begin))
	})
}

// It ran out, unnoticed, and is then paused: it rings when it goes on.
func TestCountdownPausedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountdown(time.Second)
		time.Sleep(2 * time.Second)
		c.pause()
		select {
		case <-c.timer.C:
			t.Fatal("a stale ring")
		default:
		}
		c.run(true)
		<-c.timer.C
	})
}
