package executor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Live is what an attempt that runs here has written so far to its stdout or stderr.
type Live struct {
	path string
	// Over is closed when the attempt has ended: nothing is written any more.
	Over <-chan struct{}
}

// Output looks up what an attempt writes; ok is false when it does not run here, or no longer.
func (e *Executor) Output(key, attempt string, stderr bool) (l Live, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.tasks[taskID{key, attempt}]
	if a == nil {
		return Live{}, false
	}
	name := stdoutName
	if stderr {
		name = stderrName
	}
	return Live{path: filepath.Join(a.dir, name), Over: a.over}, true
}

// Open opens the file that the attempt writes to, nil while it has written nothing. Whoever has it open can read all
// that is written to it, also after the attempt has ended and its directory is gone. The caller closes it.
func (l Live) Open() (*os.File, error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was written
	}
	return f, err
}
