package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What brokers that have nothing to say send each other (rules S2, K4): in a sync interval each sends each other one a message
// and gets an answer. A few run, whose clocks name all of a larger city; so what is measured is a message, and how many there are
// follows.
func TestFigureIdle(t *testing.T) {
	ofOneGoroutine(t)
	for _, n := range []int{10, 30, 100, 300, 1000} {
		c := NewCore(1, 5, coreConfig())
		names := append([]string(nil), c.Names()...)
		for len(names) < n {
			names = append(names, fmt.Sprintf("b%d", len(names)))
		}
		disks := lasting(t, names, n, true)
		for _, name := range c.Names() {
			c.Kill(name)
			c.nodes[name].disk = disks[name]
			c.Start(name)
		}
		c.Run(5 * time.Minute)
		require.True(t, c.sameClocks())
		require.Len(t, c.clockOf(t, "b0"), n)
		c.Sent = Traffic{}
		const while = 5 * time.Minute
		c.Run(while)
		require.Empty(t, c.Wrong())
		each := float64(c.Sent.Bytes) / float64(c.Sent.Messages)
		of := float64(c.Sent.Messages) / float64(len(c.Names())*(len(c.Names())-1)) / while.Seconds() // a broker sends, or is answered by, one other
		t.Logf("%4d brokers: %6.0f bytes a message or answer, %7.2f kB a second a broker", n, each, of*float64(n-1)*each/1000)
	}
}
