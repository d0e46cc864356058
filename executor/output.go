package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/urban-compute/ucp/job"
)

// output keeps what a job writes to stdout or stderr, up to job.MaxOutput bytes. The file is made when the first
// byte is written, so a job that writes nothing costs no file.
type output struct {
	mu      sync.Mutex
	path    string
	mkdir   func() error // makes the file's directory
	f       *os.File
	kept    int64
	dropped int64
	err     error // the first failure to keep a byte
	goesOn  bool  // behind what is in the file: an attempt that goes on where it, or another one, was
}

// Write implements io.Writer. Bytes beyond the limit are accepted and dropped: too much output is truncated, it
// does not make the job fail.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	if o.goesOn && o.f == nil {
		if o.err = o.reopen(); o.err != nil {
			return 0, o.err
		}
	}
	keep := p
	if free := max(job.MaxOutput-o.kept, 0); int64(len(p)) > free {
		keep = p[:free]
	}
	o.dropped += int64(len(p) - len(keep))
	if len(keep) == 0 {
		return len(p), nil
	}
	if o.err = o.put(keep); o.err != nil {
		return 0, o.err
	}
	o.kept += int64(len(keep))
	return len(p), nil
}

// reopen goes on behind what is in the file, if it is there.
func (o *output) reopen() error {
	o.goesOn = false
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	o.f, o.kept = f, info.Size()
	return nil
}

func (o *output) put(p []byte) error {
	if o.f == nil {
		if err := o.mkdir(); err != nil {
			return err
		}
		f, err := os.OpenFile(o.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		o.f = f
	}
	_, err := o.f.Write(p)
	return err
}

// close closes the file, after a note if the output was truncated, and returns the first failure to keep what
// the job wrote.
func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil {
		return o.err
	}
	if o.dropped > 0 && o.err == nil && o.kept <= job.MaxOutput { // or it has such a note, of an earlier start
		_, o.err = fmt.Fprintf(o.f, "\n[ucp: cut after %d bytes; %d more were dropped]\n", o.kept, o.dropped)
	}
	if err := o.f.Close(); o.err == nil {
		o.err = err
	}
	o.f = nil
	return o.err
}
