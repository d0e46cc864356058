package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// block is a block of commands in a page, below a heading.
type block struct {
	page, heading string
	line          int
	lines         []string
}

// name is how docs/testing.md calls the blocks below a heading.
func (b *block) name() string {
	return strings.TrimPrefix(b.page, "../../") + ", " + b.heading
}

// docPages are the pages whose commands are checked; those that are written from the code are not among them.
func docPages(t *testing.T) (out []string) {
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "docs/model/*.md", "examples/*/*.md", "clients/*/*.md"} {
		pages, err := filepath.Glob("../../" + pattern)
		require.NoError(t, err)
		out = append(out, pages...)
	}
	require.Greater(t, len(out), 20)
	return out
}

// begins is how a line of a shell begins in these pages.
var begins = regexp.MustCompile(`^(\w+=\S* )*(ucp|bin/ucp|sudo|make|go|docker|kubectl|skopeo|curl|pip|cargo|rustc|rustup|clang|apt-get|mkdir|kill|until|scripts/\S+|examples/\S+\.sh|rsync) `)

// blocksOf are the blocks of commands of a page: indented by four blanks, or in fences that say sh or console.
func blocksOf(t *testing.T, page string) (out []block) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	heading, fence, b := "", "", block{}
	flush := func() {
		if slices.ContainsFunc(b.lines, func(l string) bool { return begins.MatchString(l + " ") }) {
			out = append(out, b)
		}
		b = block{}
	}
	add := func(i int, line string) {
		if len(b.lines) == 0 {
			b = block{page: page, heading: heading, line: i + 1}
		}
		b.lines = append(b.lines, line)
	}
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case fence != "" && strings.HasPrefix(line, "```"):
			flush()
			fence = ""
		case fence == "```sh":
			add(i, line)
		case fence == "```console":
			if _, typed, found := strings.Cut(line, "$ "); found && regexp.MustCompile(`^[a-z]*\$ `).MatchString(line) {
				add(i, typed)
			}
		case fence != "":
		case strings.HasPrefix(line, "```"):
			flush()
			fence = line
		case strings.HasPrefix(line, "    "):
			add(i, line[4:])
		default:
			if flush(); strings.HasPrefix(line, "#") {
				heading = strings.TrimLeft(line, "# ")
			}
		}
	}
	return out
}

// words are the commands of a line of a shell, each in its words: enough of a shell for what documents say.
func words(line string) (out [][]string) {
	var command []string
	word, quote, begun := "", rune(0), false
	end := func() {
		if begun {
			command = append(command, word)
		}
		word, begun = "", false
	}
	next := func() {
		if end(); len(command) > 0 {
			out = append(out, command)
		}
		command = nil
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == '#' && !begun:
			next()
			return out
		case r == ' ' || r == '\t':
			end()
		case strings.ContainsRune(";&|()`", r):
			next()
		default:
			word, begun = word+string(r), true
		}
	}
	next()
	return out
}

// before are words that may stand before a command.
var before = []string{"sudo", "exec", "until", "while", "if", "do", "then", "time", "nice", "!", "$", "go", "run"}

// ucpArgs are the arguments of ucp in a command, nil where it is another one. Redirections are left out.
func ucpArgs(command []string) (args []string, is bool) {
	for i, word := range command {
		switch {
		case word == "ucp" || strings.HasSuffix(word, "/ucp"):
			for _, arg := range command[i+1:] {
				if regexp.MustCompile(`^[0-9]*[<>]`).MatchString(arg) {
					break
				}
				args = append(args, arg)
			}
			return args, true
		case slices.Contains(before, word), regexp.MustCompile(`^\w+=`).MatchString(word):
		default:
			return nil, false
		}
	}
	return nil, false
}

// says checks a command line of ucp as ucp would read it. In prose a part may be left out: what comes behind `...`, and arguments.
func says(args []string, prose bool) error {
	root := newShell(nil).cli(nil, nil).rootCommand()
	if i := slices.Index(args, "..."); i >= 0 {
		args, prose = args[:i], true
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() && cmd.HasParent() && cmd.Name() != "agent" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return noSuchVerb(cmd, rest[0])
	}
	if !cmd.HasParent() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return noSuchVerb(cmd, rest[0])
	}
	if prose {
		return flagsExist(cmd, rest)
	}
	if slices.Contains(rest, "--help") {
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// flagsExist checks the names of flags alone.
func flagsExist(cmd *cobra.Command, args []string) error {
	cmd.InitDefaultHelpFlag()
	for _, arg := range args {
		if arg == "--" {
			return nil
		}
		name, _, _ := strings.Cut(strings.TrimRight(arg, ".,)]"), "=")
		switch long, is := strings.CutPrefix(strings.TrimLeft(name, "["), "--"); {
		case is && cmd.Flags().Lookup(long) == nil && cmd.InheritedFlags().Lookup(long) == nil:
			return fmt.Errorf("`%s` has no flag --%s", cmd.CommandPath(), long)
		}
	}
	return nil
}

// exists checks what a command names that is not ucp: a target of the Makefile, a script, a package of Go. Of anything else nothing is known.
func exists(command []string, makefile string) error {
	for len(command) > 0 && (command[0] == "sudo" || regexp.MustCompile(`^\w+=`).MatchString(command[0])) {
		command = command[1:]
	}
	switch {
	case len(command) == 0:
		return nil
	case command[0] == "make":
		for _, target := range command[1:] {
			if !strings.HasPrefix(target, "-") && !strings.ContainsAny(target, "=.") && !strings.Contains(makefile, "\n"+target+":") {
				return fmt.Errorf("the Makefile has no target %s", target)
			}
		}
	case strings.HasPrefix(command[0], "scripts/"), strings.HasPrefix(command[0], "examples/"):
		_, err := os.Stat("../../" + command[0])
		return err
	case command[0] == "go" && slices.Contains([]string{"test", "run", "build"}, command[1]):
		for _, dir := range command[2:] {
			if _, err := os.Stat("../../" + dir); err != nil && strings.HasPrefix(dir, "./") {
				return err
			}
		}
	}
	return nil
}

// What README and docs tell to type is there: of ucp each verb, flag and value of a block, and each verb and flag that prose names; and
// targets of make, scripts and packages.
func TestCommandsInDocsExist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	blocks, spans := 0, 0
	check := func(page string, line int, text string, prose bool) {
		for _, command := range words(text) {
			args, is := ucpArgs(command)
			err := exists(command, string(makefile))
			if is {
				err = says(args, prose)
				if prose {
					spans++
				} else {
					blocks++
				}
			}
			if err != nil {
				t.Errorf("%s:%d: %s: %v", page, line, text, err)
			}
		}
	}
	span := regexp.MustCompile("`((?:ucp|make|scripts/\\S+) [a-z][^`\\\\]*)`")
	for _, page := range docPages(t) {
		for _, b := range blocksOf(t, page) {
			for i, line := range b.lines {
				check(page, b.line+i, line, false)
			}
		}
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for i, line := range strings.Split(string(text), "\n") {
			for _, m := range span.FindAllStringSubmatch(line, -1) {
				check(page, i+1, m[1], true)
			}
		}
	}
	require.Greater(t, blocks, 80)
	require.Greater(t, spans, 120)
}

// Each block of commands stands in the table "Command blocks" of docs/testing.md: which test runs it as it is typed, or why none
// does; and that test exists, as TestTestingDocNamesWhatExists sees.
func TestCommandBlocksAreAccountedFor(t *testing.T) {
	text, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	_, part, found := strings.Cut(string(text), "\n## Command blocks\n")
	require.True(t, found)
	part, _, _ = strings.Cut(part, "\n## ")
	listed := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+\.md), (.+?) \| (.+) \|$`).FindAllStringSubmatch(part, -1) {
		listed[m[1]+", "+strings.ReplaceAll(m[2], "`", "")] = m[3]
	}
	there := map[string]bool{}
	for _, page := range docPages(t) {
		for _, b := range blocksOf(t, page) {
			there[strings.ReplaceAll(b.name(), "`", "")] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if listed[name] == "" {
			t.Errorf("docs/testing.md, \"Command blocks\", lacks a row: | %s | which test runs it, or NOT RUN: why |", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if !there[name] {
			t.Errorf("docs/testing.md, \"Command blocks\": there is no block of commands in %s", name)
		}
		if strings.HasPrefix(listed[name], "NOT RUN") {
			t.Logf("%s: %s", name, listed[name])
		}
	}
}
