// Command words prints the most frequent words of files or of stdin. It is an
// example of a job on text.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
}

func run() error {
	top := flag.Int("top", 10, "how many words to print")
	flag.Parse()
	if *top < 0 {
		return fmt.Errorf("-top %d: must not be negative", *top)
	}
	c := Counter{}
	if flag.NArg() == 0 {
		if err := c.Read(os.Stdin); err != nil {
			return fmt.Errorf("reading stdin: %w", err)
		}
	}
	for _, name := range flag.Args() {
		if err := c.readFile(name); err != nil {
			return err
		}
	}
	for _, w := range c.Top(*top) {
		fmt.Printf("%7d %s\n", w.Count, w.Word)
	}
	return nil
}

func (c Counter) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.Read(f); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}
