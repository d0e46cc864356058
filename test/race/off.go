//go:build !race

// Package race tells tests whether the race detector is there. It slows everything down tenfold and takes memory of its own, and
// finds nothing where there is one goroutine: what is long, or measures, leaves itself out under it, and scripts/test.sh runs that
// without it.
package race

// Enabled reports whether this program was built with the race detector.
const Enabled = false
