//go:build race

package sim

// raceDetector slows all down tenfold. What is long and has one goroutine, or none, runs
// in full without it: scripts/test.sh does both.
const raceDetector = true
