package main

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Bounds of a word, in letters: shorter ones say little, what is longer is no
// word (and must not fill the memory).
const minWord, maxWord = 3, 64

// stop lists words that are in every message.
var stop = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`the and for are with that this was not but you have from our all has can they there who will
		der die das und ist nicht ein eine den dem des mit von auf für sich wir sie ich auch als bei nach noch nur oder aus`) {
		m[w] = true
	}
	return m
}()

// Counter counts words, in lower case.
type Counter map[string]int

// Word is a word and how often it came.
type Word struct {
	Word  string
	Count int
}

// Read counts the words of r.
func (c Counter) Read(r io.Reader) error {
	in := bufio.NewReader(r)
	var word []rune
	for {
		ch, _, err := in.ReadRune()
		if err == nil && (unicode.IsLetter(ch) || unicode.IsDigit(ch)) {
			if len(word) <= maxWord {
				word = append(word, unicode.ToLower(ch))
			}
			continue
		}
		c.add(word)
		word = word[:0]
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c Counter) add(word []rune) {
	if len(word) < minWord || len(word) > maxWord {
		return
	}
	if w := string(word); !stop[w] {
		c[w]++
	}
}

// Top returns the n most frequent words; equally frequent ones by the alphabet.
func (c Counter) Top(n int) []Word {
	all := make([]Word, 0, len(c))
	for w, k := range c {
		all = append(all, Word{w, k})
	}
	slices.SortFunc(all, func(a, b Word) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Word, b.Word))
	})
	return all[:min(n, len(all))]
}
