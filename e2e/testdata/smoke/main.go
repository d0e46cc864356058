// Smoke does what the module of REC's test plans does (tests/wasi-smoke of github.com/umr-ds/resilient-edge-computing): it
// prints its arguments, the variable FOO, its stdin and a file, leaves another one, and ends with the exit code that EXIT says.
package main

import (
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	in, err := io.ReadAll(os.Stdin)
	check(err)
	data, err := os.ReadFile("infile.txt")
	if err != nil {
		data = []byte("<missing>")
	}
	say := func(name, value string) {
		_, err := os.Stdout.WriteString(name + "=" + value + "\n")
		check(err)
	}
	say("ARGS", strings.Join(os.Args, ","))
	say("ENV_FOO", os.Getenv("FOO"))
	say("STDIN", strings.ReplaceAll(string(in), "\n", `\n`))
	say("DATA_READ", strings.TrimSpace(string(data)))
	check(os.WriteFile("out.txt", []byte("hello-from-wasi"), 0o600))
	_, err = os.Stderr.WriteString("TO_STDERR\n")
	check(err)
	code, _ := strconv.Atoi(os.Getenv("EXIT"))
	os.Exit(code)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
