package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// guestVerb makes this program the job that brokers run.
const guestVerb = "guest"

// What guests do.
const (
	guestWorks = "work" // work TAG BYTES DURATION: keeps a core busy and holds memory
	guestTicks = "tick" // tick TAG DURATION: writes the time in ms every 20 ms, for so long of its own running
)

// guestMemory is more than a small Go program writes to: its runtime maps more, and
// the limit of a job counts that.
const guestMemory = 256 << 20

// tickEvery is the pause between two lines of a guest that ticks.
const tickEvery = 20 * time.Millisecond

func guest(args []string) int {
	if len(args) < 2 {
		return 64
	}
	d, err := time.ParseDuration(args[len(args)-1])
	if err != nil {
		return 64
	}
	switch {
	case args[0] == guestWorks && len(args) == 4:
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return 64
		}
		held := make([]byte, max(n, 1))
		for i := 0; i < n; i += 4096 { // a page that nothing was written to is not held
			held[i] = 1
		}
		for until := time.Now().Add(d); time.Now().Before(until); {
			held[0]++
		}
	case args[0] == guestTicks && len(args) == 3:
		for range d / tickEvery {
			fmt.Println(time.Now().UnixMilli())
			time.Sleep(tickEvery)
		}
	default:
		return 64
	}
	return 0
}

// guestLine is the command line of a guest.
func guestLine(args ...string) []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return append([]string{self, guestVerb}, args...)
}
