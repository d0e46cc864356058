package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
)

// progress is one line on a person's terminal that is written over and over, and
// leaves no trace. Without a terminal it does nothing: stderr then belongs to
// the job. It is locked because net/http may go on reading an upload for a
// moment after the answer came.
type progress struct {
	to      io.Writer // nil without a terminal
	columns int       // of the terminal

	mu   sync.Mutex
	last string
	over bool
}

func (c *cli) newProgress() *progress {
	if !c.terminal {
		return &progress{}
	}
	columns := c.width(c.err)
	if columns == 0 {
		columns = 80
	}
	return &progress{to: c.err, columns: columns}
}

const eraseLine = "\r\x1b[K"

func (p *progress) show(text string) {
	text = shorten(oneLine(text), max(p.columns-1, 20)) // a line that is full would begin another one, which stays
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to == nil || p.over || text == p.last {
		return
	}
	p.last = text
	fmt.Fprint(p.to, eraseLine+text)
}

// erase takes the line away until the next one is shown: something else is about to be written.
func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != nil && p.last != "" {
		p.last = ""
		fmt.Fprint(p.to, eraseLine)
	}
}

// aside writes lines of another kind, which stay, in place of the line.
func (p *progress) aside(to io.Writer, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != nil && p.last != "" {
		p.last = ""
		fmt.Fprint(p.to, eraseLine)
	}
	fmt.Fprint(to, text)
}

// clear takes the line away, for good.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.to != nil && p.last != "" {
		fmt.Fprint(p.to, eraseLine)
	}
}

// largeUpload is the size in bytes from which an upload shows how far it is.
const largeUpload = 4 << 20

// watch returns the same content, whose reading is shown as the upload of a
// file. Small files are not worth a line.
func (p *progress) watch(what string, b api.Blob, content api.Content) api.Content {
	if p.to == nil || b.Size < largeUpload {
		return content
	}
	return func() (io.ReadCloser, error) {
		r, err := content()
		if err != nil {
			return nil, err
		}
		return &watched{ReadCloser: r, p: p, what: what, size: b.Size}, nil
	}
}

// watched counts what is read of a file.
type watched struct {
	io.ReadCloser
	p          *progress
	what       string
	read, size int64
	shown      time.Time
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.read += int64(n)
	if now := time.Now(); now.Sub(w.shown) > 100*time.Millisecond {
		w.shown = now
		w.p.show(fmt.Sprintf("uploading %s: %d %% of %s", w.what, w.read*100/w.size, humanBytes(w.size)))
	}
	return n, err
}
