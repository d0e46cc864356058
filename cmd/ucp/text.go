package main

import "strings"

// aligned lays rows out in columns, two spaces between them. What came from outside may not break out of its cell.
func aligned(rows [][]string) (lines []string) {
	var widths []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(oneLine(cell))))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r {
			cell = oneLine(cell)
			line.WriteString(cell)
			if i < len(r)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-len([]rune(cell))+2))
			}
		}
		lines = append(lines, line.String())
	}
	return lines
}

// wrapped breaks a text into lines of at most so many characters, between words where it can.
func wrapped(text string, columns int) (lines []string) {
	columns = max(columns, 20)
	line := []rune{}
	for _, word := range strings.Fields(text) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > columns {
			lines, line = append(lines, string(line)), line[:0]
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for len(line)+len(w) > columns {
			n := columns - len(line)
			lines, line, w = append(lines, string(line)+string(w[:n])), line[:0], w[n:]
		}
		line = append(line, w...)
	}
	if len(line) > 0 {
		lines = append(lines, string(line))
	}
	return lines
}
