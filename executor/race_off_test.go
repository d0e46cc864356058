//go:build !race

package executor

// raceEnabled is whether the race detector watches, which takes memory of its own.
const raceEnabled = false
