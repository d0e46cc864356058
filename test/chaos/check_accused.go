package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// checkAccused reads in the brokers' logs whom they take for a liar: nobody here is one, and no fault makes a broker look like one, so that each
// such line is wrong (rules H2, H3). Without -city nothing is signed, and there are none.
func (w *world) checkAccused(r *report) {
	for _, b := range w.brokers {
		said, err := accusations(b.Log)
		if err != nil {
			r.problem("reading the log of %s: %v", b.Name, err)
		}
		for _, text := range said {
			r.problem("%s accuses somebody: %s", b.Name, text)
		}
	}
}

// accusations are the lines of a log that say that a member has signed two histories, or written in another's name.
func accusations(path string) (said []string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it never ran
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Msg, What string }
		if !bytes.Contains(lines.Bytes(), []byte("FOR")) || json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		if strings.HasPrefix(line.Msg, "FORK: ") || strings.HasPrefix(line.Msg, "FORGED: ") {
			said = append(said, line.Msg+": "+line.What)
		}
	}
	return said, lines.Err()
}
