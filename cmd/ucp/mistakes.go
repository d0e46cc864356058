package main

import (
	"fmt"
	"strings"
)

// mistakes are all that is wrong with settings; it is never empty as an error.
type mistakes []error

// add adds one, or those that another check has found; nil is none.
func (m *mistakes) add(err error) {
	switch err := err.(type) {
	case nil:
	case mistakes:
		*m = append(*m, err...)
	default:
		*m = append(*m, err)
	}
}

// all is nil when there is none.
func (m mistakes) all() error {
	if len(m) == 0 {
		return nil
	}
	return m
}

// isMistakes reports whether an error lists mistakes, so that what is not among them is in order.
func isMistakes(err error) bool {
	_, ok := err.(mistakes)
	return ok
}

// Error implements error: one line for one, else a line for each.
func (m mistakes) Error() string {
	if len(m) == 1 {
		return m[0].Error()
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d mistakes:", len(m))
	for _, one := range m {
		fmt.Fprintf(&out, "\n  %v", one)
	}
	return out.String()
}

// Unwrap returns each.
func (m mistakes) Unwrap() []error { return m }
