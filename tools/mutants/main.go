// Command mutants breaks the code on purpose, one rule at a time, and demands that a test
// goes red: a rule that no test misses is one that somebody will simplify away.
//
//	go run ./tools/mutants [name ...]
//
// A name is how those begin that are to be tried, or with a slash at its end the directory that they break: A1, broker/.
//
// Nothing in the tree is touched: each mutation is laid over the sources with the
// -overlay flag of the go command. All of them take some minutes. docs/testing.md
// has the table.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutant is one way to break the code. Old stands in the file exactly once. The files rules_a.go and so on have those of the rules
// A1, A2 and so on.
type mutant struct {
	name     string // the rule, and what of it is left out
	file     string
	old, new string
	pkg, run string // the tests of which one must go red
}

const (
	stories   = "TestStories"
	schedules = "TestCoreSchedules"
)

var mutants = slices.Concat(rulesA, rulesB, rulesC, rulesD, rulesE, rulesF, rulesG, rulesH, rulesI, rulesJ, rulesK, rulesL, rulesM, rulesP, rulesR, rulesS, rulesT, rulesX, directories, plans, others)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(names []string) error {
	dir, err := os.MkdirTemp("", "ucp-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var alive []string
	var untried []error // one that does not apply or compile hides nothing of the others
	for _, m := range mutants {
		if len(names) > 0 && !slices.ContainsFunc(names, m.among) {
			continue
		}
		red, err := m.try(dir)
		if err != nil {
			fmt.Printf("%-42s NOT TRIED\n", m.name)
			untried = append(untried, fmt.Errorf("%s: %w", m.name, err))
			continue
		}
		if len(red) == 0 {
			alive = append(alive, m.name)
			red = []string{"SURVIVED " + m.pkg}
		}
		fmt.Printf("%-42s %s\n", m.name, strings.Join(red, ", "))
	}
	if len(alive) > 0 {
		untried = append(untried, fmt.Errorf("no test noticed: %s", strings.Join(alive, "; ")))
	}
	return errors.Join(untried...)
}

// among reports whether an argument of the command asks for this one.
func (m mutant) among(arg string) bool {
	return strings.HasPrefix(m.name, arg) || strings.HasSuffix(arg, "/") && strings.HasPrefix(m.file, arg)
}

// panicked finds a test that had failed before the rest of it ran into the void.
var panicked = regexp.MustCompile(`panic: Fail in goroutine after (\S+) has completed`)

var failure = regexp.MustCompile(`--- FAIL: (\S+)`)

// try runs the tests on the broken code, and returns those that went red.
func (m mutant) try(dir string) (red []string, err error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("%s holds the text to be changed %d times, not once: %q", m.file, n, m.old)
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return nil, err
	}
	broken := filepath.Join(dir, "broken.go")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		return nil, err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return nil, err
	}
	args := append([]string{"test", "-overlay", list, "-vet=off", "-timeout", "5m", "-run", m.run}, strings.Fields(m.pkg)...)
	test := exec.Command("go", args...)
	test.Env = append(os.Environ(), "RAPID_NOFAILFILE=true") // else a property that fails leaves its case in the tree
	out, err := test.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	all := failure.FindAllStringSubmatch(string(out), -1)
	for i, f := range all {
		parent := i+1 < len(all) && strings.HasPrefix(all[i+1][1], f[1]+"/")
		if !parent && !slices.Contains(red, f[1]) {
			red = append(red, f[1])
		}
	}
	switch {
	case len(red) > 4:
		red = append(red[:4], fmt.Sprintf("and %d more", len(red)-4))
	case len(red) == 0 && panicked.Match(out):
		red = []string{string(panicked.FindSubmatch(out)[1])}
	case len(red) == 0:
		return nil, fmt.Errorf("%w:\n%s", err, out)
	}
	return red, nil
}
