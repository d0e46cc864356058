// Package story is what the stories of several packages share: transcripts in testdata that a
// person can read, each a few brokers to whom things happen, in the manner of etcd raft's
// interaction tests (github.com/cockroachdb/datadriven). Each package says what its commands
// do. After a change `go test ./PACKAGE -run Stories -rewrite` writes down what is answered now.
package story

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/urban-compute/ucp/test/race"
)

// Run tells every story of the package under test, testdata/*.txt, in a subtest of its own.
// Begin makes the world of one, and returns what carries out its commands; the output is
// compared line by line, without regard to newlines at its end.
func Run(t *testing.T, begin func(*testing.T) func(*testing.T, *datadriven.TestData) string) {
	if race.Enabled {
		t.Skip("a story has no goroutine, and is told without the race detector: scripts/test.sh")
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in testdata: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			do := begin(t)
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				return strings.TrimRight(do(t, d), "\n") + "\n"
			})
		})
	}
}

// Command finds what the present command of a story does. One that is not there ends the test.
func Command[C any](t *testing.T, d *datadriven.TestData, commands map[string]C) C {
	do, ok := commands[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	return do
}
