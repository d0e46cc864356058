package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// guestVerb makes this program the job that brokers run: guest FILE PAUSE CODE.
const guestVerb = "guest"

// guest notes its start in FILE, copies "input" to stdout if it has one, takes its
// time, notes its end and exits with CODE.
func guest(args []string) int {
	if len(args) != 3 {
		return 64
	}
	pause, err := time.ParseDuration(args[1])
	if err != nil {
		return 64
	}
	code, err := strconv.Atoi(args[2])
	if err != nil {
		return 64
	}
	if err := note(args[0], "start"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 74
	}
	if f, err := os.Open("input"); err == nil {
		_, err := io.Copy(os.Stdout, f)
		f.Close()
		if err != nil {
			return 74
		}
	}
	time.Sleep(pause)
	if err := note(args[0], "end"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 74
	}
	return code
}

// note appends one line; a single write to a file opened for appending is not torn
// by others.
func note(path, what string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "%s %d %s %s\n", what, time.Now().UnixNano(), os.Getenv("UCP_ATTEMPT"), here); err != nil {
		return err
	}
	return f.Close()
}

// attempt is one run of a job, by its own notes.
type attempt struct {
	broker     string
	token      string // its fencing token
	start, end time.Time
}

// attempts reads the notes of a job, in the order of the starts; none is no error.
func attempts(path, disks string) ([]attempt, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []attempt
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 4 {
			return nil, fmt.Errorf("%s: %q is no note", path, line)
		}
		ns, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		at := time.Unix(0, ns)
		if f[0] == "start" {
			rel, err := filepath.Rel(disks, f[3])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			broker, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
			out = append(out, attempt{broker: broker, token: f[2], start: at})
			continue
		}
		for i := range out {
			if out[i].token == f[2] && out[i].end.IsZero() {
				out[i].end = at
				break
			}
		}
	}
	return out, nil
}
