package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guestVerb makes this program the job that brokers run: guest FILE PAUSE CODE CPU KEY.
const guestVerb = "guest"

// noKey stands for no exclusive key.
const noKey = "-"

// guestTick is how often a guest notes that it goes on. Where notes are missing it
// stood still.
const guestTick = 200 * time.Millisecond

// guest notes its start in FILE, copies "input" to stdout if it has one, takes its
// time, notes meanwhile that it goes on, notes its end and exits with CODE. CPU and KEY
// are what it was given, for the notes.
func guest(args []string) int {
	if len(args) != 5 {
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
	here, err := os.Getwd()
	if err == nil {
		err = note(args[0], "start", os.Getenv("UCP_ATTEMPT"), here, args[3], args[4])
	}
	if err != nil {
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
	for until := time.Now().Add(pause); err == nil && time.Now().Before(until); {
		time.Sleep(min(guestTick, time.Until(until)))
		err = note(args[0], "on")
	}
	if err == nil {
		err = note(args[0], "end")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 74
	}
	return code
}

// note appends one line; a single write to a file opened for appending is not torn
// by others.
func note(path, what string, more ...string) error {
	// The next attempt may be another user's, which could not even open it, had this one been killed before a chmod.
	before := syscall.Umask(0)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	syscall.Umask(before)
	if err != nil {
		return err
	}
	line := append([]string{what, fmt.Sprint(time.Now().UnixNano()), fmt.Sprint(os.Getpid())}, more...)
	if _, err := f.WriteString(strings.Join(line, " ") + "\n"); err != nil {
		return err
	}
	return f.Close()
}

// attempt is one run of a job, by its own notes.
type attempt struct {
	broker     string
	token      string // its fencing token
	start, end time.Time
	cpu        int64
	key        string
	noted      []time.Time // all its notes, the first is its start
	pid        string
}

// attempts reads the notes of a job, in the order of the starts; it is not an error when there are none.
func attempts(path, disks string) ([]*attempt, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) || path == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*attempt
	running := map[string]*attempt{} // by process; a number that comes again is a new one
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "start" && len(f) != 7 {
			return nil, fmt.Errorf("%s: %q is not a note", path, line)
		}
		ns, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		at := time.Unix(0, ns)
		if f[0] == "start" {
			a, err := started(f, disks)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			out = append(out, a)
			running[a.pid] = a
			a.start = at
		}
		a := running[f[2]]
		if a == nil {
			return nil, fmt.Errorf("%s: %q belongs to no start", path, line)
		}
		a.noted = append(a.noted, at)
		if f[0] == "end" {
			a.end = at
		}
	}
	return out, nil
}

// started reads the note of a start.
func started(f []string, disks string) (*attempt, error) {
	rel, err := filepath.Rel(disks, f[4])
	if err != nil {
		return nil, err
	}
	cpu, err := strconv.ParseInt(f[5], 10, 64)
	if err != nil {
		return nil, err
	}
	broker, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	return &attempt{broker: broker, pid: f[2], token: f[3], cpu: cpu, key: f[6]}, nil
}

// evident are the times in which the run surely went on: between notes that are as
// close as they are when nothing holds it up.
func (a *attempt) evident() (out []stretch) {
	for i := 1; i < len(a.noted); i++ {
		from, to := a.noted[i-1], a.noted[i]
		if to.Sub(from) > 2*guestTick {
			continue
		}
		if n := len(out); n > 0 && out[n-1].to.Equal(from) {
			out[n-1].to = to
		} else {
			out = append(out, stretch{from, to})
		}
	}
	return out
}

// stretch is a time.
type stretch struct{ from, to time.Time }
