// Command primes counts the primes below a number, for hours if it has to: an example of a job that goes on from where another
// broker was. It keeps what it needs in one small file, and exits with code 85 from time to time, which says that the file is
// whole; then it is started again, here or elsewhere. Nothing in it knows of brokers.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// state is what the program needs to go on.
type state struct {
	Next   uint64 `json:"next"`   // the first number that was not looked at
	Primes uint64 `json:"primes"` // how many were found below it
	Starts int    `json:"starts"` // how often the program was started for this
}

func main() {
	below := flag.Uint64("below", 1_000_000, "count the primes below this `number`")
	block := flag.Uint64("block", 10_000, "look at so many numbers at a time")
	pause := flag.Duration("pause", 0, "wait so long after each block, to take longer than it has to")
	every := flag.Duration("every", 0, "exit with code 85 after so `long`, to have a checkpoint kept; 0 is never")
	file := flag.String("state", "state/primes.json", "what is needed to go on")
	flag.Parse()
	if err := run(*file, *below, *block, *pause, *every); err != nil {
		fmt.Fprintln(os.Stderr, "primes:", err)
		os.Exit(1)
	}
}

func run(file string, below, block uint64, pause, every time.Duration) error {
	s, err := read(file)
	if err != nil {
		return err
	}
	s.Starts++
	fmt.Printf("start %d: going on at %d\n", s.Starts, s.Next)
	for began := time.Now(); s.Next < below; {
		s.count(min(s.Next+block, below))
		fmt.Printf("%d primes below %d\n", s.Primes, s.Next)
		time.Sleep(pause)
		if every > 0 && time.Since(began) >= every && s.Next < below {
			if err := s.write(file); err != nil {
				return err
			}
			os.Exit(85)
		}
	}
	fmt.Printf("done: %d primes below %d, after %d starts\n", s.Primes, below, s.Starts)
	return nil
}

// count looks at the numbers up to end.
func (s *state) count(end uint64) {
	for ; s.Next < end; s.Next++ {
		if isPrime(s.Next) {
			s.Primes++
		}
	}
}

func isPrime(n uint64) bool {
	for d := uint64(2); d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

// read reads what is there; at the very first start that is nothing.
func read(file string) (s state, err error) {
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return s, nil
	} else if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

// write puts the state in the place of the one before, in one step: who is killed in the middle of it has the one or the other.
func (s *state) write(file string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
