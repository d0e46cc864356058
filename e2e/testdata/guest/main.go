// Guest is a job for the end-to-end tests: it does what its first argument says.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

func main() {
	switch os.Args[1] {
	case "echo": // stdin to stdout, a word to stderr, the given exit code
		_, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
		fmt.Fprint(os.Stderr, "done\n")
		var code int
		_, err = fmt.Sscan(os.Args[2], &code)
		check(err)
		os.Exit(code)
	case "copy": // one file to another
		b, err := os.ReadFile(os.Args[2])
		check(err)
		check(os.WriteFile(os.Args[3], b, 0o644))
	case "sleep":
		d, err := time.ParseDuration(os.Args[2])
		check(err)
		time.Sleep(d)
		fmt.Println("attempt", os.Getenv("UCP_ATTEMPT"))
	case "reverse": // a variable, backwards, so that it is not in the output as it is
		text := []byte(os.Getenv(os.Args[2]))
		slices.Reverse(text)
		fmt.Println(string(text))
	case "loop":
		for i := 0; ; i++ {
		}
	case "eat":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
}
