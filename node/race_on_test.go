//go:build race

package node

// raceDetector makes memory larger: what measures it runs without (scripts/test.sh).
const raceDetector = true
