// Command guest is the wasm program that the executor's tests run: its first
// argument says what to do.
package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Println("hello")
		return
	}
	do := map[string]func([]string) error{
		"echo": echo, "cat": cat, "exit": exit, "env": env, "copy": copyFile, "tree": tree,
		"escape": escape, "files": files, "eat": eat, "loop": loop, "flood": flood, "sleep": sleep,
		"panic": func([]string) error { panic("as asked") }, "clock": clock, "late": late, "mkmany": mkmany,
		"tally": tally, "steps": steps, "failing": failing, "fill": fill,
	}[os.Args[1]]
	if do == nil {
		fail(fmt.Errorf("no command %q", os.Args[1]))
	}
	if err := do(os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "guest:", err)
	os.Exit(9)
}

func echo(a []string) error {
	fmt.Println(strings.Join(a, " "))
	fmt.Fprintln(os.Stderr, "to stderr")
	return nil
}

func cat([]string) error { _, err := io.Copy(os.Stdout, os.Stdin); return err }

func exit(a []string) error { n, _ := strconv.Atoi(a[0]); os.Exit(n); return nil }

func env([]string) error {
	all := os.Environ()
	sort.Strings(all)
	wd, err := os.Getwd()
	fmt.Println(strings.Join(os.Args, "|"), wd)
	fmt.Println(strings.Join(all, "\n"))
	return err
}

func copyFile(a []string) error {
	b, err := os.ReadFile(a[0])
	if err != nil {
		return err
	}
	return os.WriteFile(a[1], b, 0o644)
}

func tree([]string) error {
	return filepath.WalkDir("/", func(p string, d fs.DirEntry, err error) error {
		if err == nil {
			fmt.Println(p)
		}
		return err
	})
}

// escape tries every way out that WASI offers, and prints what it got hold of.
func escape(a []string) error {
	secret, up := a[0], strings.Repeat("../", 12)
	try := func(how, p string) {
		if b, err := os.ReadFile(p); err == nil {
			fmt.Printf("ESCAPED %s: %s\n", how, b)
		}
		if _, err := os.Stat(p); err == nil {
			fmt.Printf("ESCAPED %s: stat\n", how)
		}
		if err := os.WriteFile(p, []byte("pwned"), 0o644); err == nil {
			fmt.Printf("ESCAPED %s: write\n", how)
		}
	}
	try("absolute", secret)
	try("dotdot", up+secret)
	os.Mkdir("d", 0o755)
	try("dir dotdot", "d/../"+up+secret)
	for i, target := range []string{secret, up + secret, "../stdout", "d/../../stdout"} {
		link := fmt.Sprintf("link%d", i)
		if err := os.Symlink(target, link); err != nil {
			continue
		}
		try("symlink "+target, link)
	}
	os.Symlink(up, "top")
	try("through a linked directory", "top"+secret)
	if entries, err := os.ReadDir("top"); err == nil {
		fmt.Println("ESCAPED listing:", len(entries))
	}
	if err := os.Link(up+secret, "hard"); err == nil {
		fmt.Println("ESCAPED hard link")
	}
	if err := os.Rename("d", up+"var/pwned"); err == nil {
		fmt.Println("ESCAPED rename")
	}
	os.Symlink("..", "parent")
	if err := os.Rename("d", "parent/pwned"); err == nil {
		fmt.Println("ESCAPED rename through a link")
	}
	if err := os.Mkdir("parent/pwned", 0o755); err == nil {
		fmt.Println("ESCAPED mkdir")
	}
	if err := os.Remove("parent/stdout"); err == nil {
		fmt.Println("ESCAPED remove")
	}
	fmt.Println("done")
	return nil
}

// files uses a file system as programs do.
func files([]string) error {
	check := func(what string, ok bool) {
		if !ok {
			fmt.Println("WRONG:", what)
		}
	}
	must := func(err error) {
		if err != nil {
			fmt.Println("FAILED:", err)
		}
	}
	must(os.MkdirAll("a/b/c", 0o755))
	must(os.WriteFile("a/b/one", []byte("one"), 0o644))
	must(os.Rename("a/b/one", "a/two"))
	f, err := os.OpenFile("a/two", os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteString("+more")
	must(err)
	must(f.Close())
	b, _ := os.ReadFile("a/two")
	check("append", string(b) == "one+more")
	f, err = os.OpenFile("a/two", os.O_RDWR, 0)
	must(err)
	_, err = f.WriteAt([]byte("ONE"), 0)
	must(err)
	must(f.Truncate(3))
	off, err := f.Seek(0, io.SeekEnd)
	must(err)
	check("seek", off == 3)
	p := make([]byte, 3)
	_, err = f.ReadAt(p, 0)
	check("read at", err == nil && string(p) == "ONE")
	must(f.Sync())
	when := time.Unix(1_000_000_000, 0)
	must(f.Close())
	must(os.Chtimes("a/two", when, when))
	st, err := os.Stat("a/two")
	must(err)
	check("times", st.ModTime().Equal(when) && st.Size() == 3)
	must(os.Symlink("two", "a/link"))
	b, _ = os.ReadFile("a/link")
	check("link inside", string(b) == "ONE")
	target, err := os.Readlink("a/link")
	check("readlink", err == nil && target == "two")
	must(os.Link("a/two", "a/hard"))
	check("rmdir of a full directory", os.Remove("a") != nil)
	_, err = os.ReadFile("a")
	check("reading a directory", err != nil)
	_, err = os.OpenFile("a/two", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	check("exclusive", errors.Is(err, fs.ErrExist))
	_, err = os.Stat("nothing")
	check("missing", errors.Is(err, fs.ErrNotExist))
	for i := range 300 {
		must(os.WriteFile(fmt.Sprintf("a/b/f%03d", i), nil, 0o644))
	}
	entries, err := os.ReadDir("a/b")
	must(err)
	check(fmt.Sprint("listing ", len(entries)), len(entries) == 301)
	must(os.RemoveAll("a"))
	fmt.Println("done")
	return nil
}

var held [][]byte

func eat(a []string) error {
	n, _ := strconv.Atoi(a[0])
	for range n {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		held = append(held, b)
	}
	fmt.Println("ate", len(held))
	return nil
}

func loop([]string) error {
	for x := uint32(1); ; x ^= x << 13 {
	}
}

// tally works, and says so, n times.
func tally(a []string) error {
	n, _ := strconv.Atoi(a[0])
	x := uint32(1)
	for i := range n {
		for range 1_000_000 {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
		}
		fmt.Println(i, x != 0)
	}
	return nil
}

// steps counts in state/n up to a number, each step after a pause. With exit it says after each third step that its file is whole, and
// with file it asks for a checkpoint and waits until that was taken.
func steps(a []string) error {
	n, _ := strconv.Atoi(a[0])
	pause, err := time.ParseDuration(a[1])
	if err != nil {
		return err
	}
	text, _ := os.ReadFile("state/n")
	k, _ := strconv.Atoi(string(text))
	fmt.Printf("from %d (%s)\n", k, os.Getenv("UCP_CHECKPOINT"))
	for k < n {
		time.Sleep(pause)
		k++
		if err := os.WriteFile("state/new", []byte(strconv.Itoa(k)), 0o600); err != nil {
			return err
		}
		if err := os.Rename("state/new", "state/n"); err != nil {
			return err
		}
		fmt.Println("step", k)
		switch {
		case k%3 != 0 || k >= n:
		case a[2] == "exit":
			os.Exit(85)
		case a[2] == "file":
			if err := os.WriteFile(".ucp-checkpoint", nil, 0o600); err != nil {
				return err
			}
			for err = nil; err == nil; _, err = os.Stat(".ucp-checkpoint") {
				time.Sleep(10 * time.Millisecond)
			}
			fmt.Println("kept", k)
		}
	}
	return nil
}

func flood(a []string) error {
	n, _ := strconv.Atoi(a[0])
	w := bufio.NewWriterSize(os.Stdout, 64<<10)
	for range n {
		w.WriteString("0123456789abcdef")
	}
	return w.Flush()
}

func sleep(a []string) error {
	d, err := time.ParseDuration(a[0])
	fmt.Println("sleeping")
	time.Sleep(d)
	fmt.Println("awake")
	return err
}

func clock([]string) error {
	t := time.Now()
	b := make([]byte, 16)
	_, err := rand.Read(b)
	fmt.Printf("%d %x\n", t.UnixMilli(), b)
	return err
}

func late([]string) error { return os.WriteFile("only/here", nil, 0o644) }

// failing leaves files, and fails.
func failing(a []string) error {
	if err := mkmany(a); err != nil {
		return err
	}
	return errors.New("as asked")
}

func mkmany(a []string) error {
	n, _ := strconv.Atoi(a[0])
	if err := os.Mkdir("many", 0o755); err != nil {
		return err
	}
	for i := range n {
		if err := os.WriteFile(fmt.Sprintf("many/%d", i), nil, 0o644); err != nil {
			return err
		}
	}
	return os.Symlink("0", "many/link")
}

// fill writes so many bytes to a file, whatever is said to it, and then waits for its end.
func fill(a []string) error {
	n, _ := strconv.Atoi(a[1])
	f, err := os.Create(a[0])
	if err != nil {
		return err
	}
	for part := make([]byte, 64<<10); n > 0; n -= len(part) {
		f.Write(part[:min(n, len(part))])
	}
	fmt.Println("filled")
	time.Sleep(time.Hour)
	return nil
}
