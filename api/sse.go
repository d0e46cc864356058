package api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxEvent bounds one line of a stream of events (rule L11).
const maxEvent = 1 << 20

// readEvents reads server-sent events (WHATWG HTML, section 9.2), as far as brokers make
// them: the data of each goes to do. It ends with the stream, or with an error of do.
func readEvents(r io.Reader, do func(data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if rest, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, bytes.TrimPrefix(rest, []byte(" "))...)
			continue
		}
		if len(line) > 0 || len(data) == 0 {
			continue // another field, a comment that keeps the connection alive
		}
		if err := do(data); err != nil {
			return err
		}
		data = nil
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the stream of events broke: %w", err)
	}
	return errors.New("the broker has ended the stream of events")
}
