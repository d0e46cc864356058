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
// them: the ID and the data of each goes to do, also of what has no data, such as a comment that keeps the connection alive. It ends
// with the stream, or with an error of do.
func readEvents(r io.Reader, do func(id string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	var data []byte
	id, some := "", false
	for lines.Scan() {
		line := lines.Bytes()
		if rest, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, bytes.TrimPrefix(rest, []byte(" "))...)
		}
		if rest, ok := bytes.CutPrefix(line, []byte("id:")); ok {
			id = string(bytes.TrimPrefix(rest, []byte(" ")))
		}
		if len(line) > 0 {
			some = true
			continue // perhaps another field, or a comment
		}
		if !some {
			continue
		}
		if err := do(id, data); err != nil {
			return err
		}
		data, id, some = nil, "", false
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the stream of events broke: %w", err)
	}
	return errors.New("the broker has ended the stream of events")
}
