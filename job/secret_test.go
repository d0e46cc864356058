package job

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A secret is a variable or, with a slash, a file, where nothing else is and nothing is kept.
func TestSecretsOfASpec(t *testing.T) {
	d := strings.Repeat("1", 64)
	complete := func(change func(s *Spec), names ...string) error {
		s := Spec{
			Driver: Process, Command: "sh", Env: map[string]string{"PLAIN": "x"}, Inputs: map[string]string{"in/a": d, "tree/": d},
			Outputs: []string{"results/", "out/log"}, Secrets: map[string]string{},
		}
		for _, name := range names {
			s.Secrets[name] = d
		}
		if change != nil {
			change(&s)
		}
		return s.Complete()
	}
	require.NoError(t, complete(nil, "PASSWORD", "password.txt", "./key", "keys/van-3", "in/b", "out/key"))
	for _, name := range []string{
		"", "A=B", "UCP_X", "PLAIN", "/abs", "../up", "./", "./.", "a//b", "a/./b", "././a", "a/../b", "dir/",
		"in/a", "./in", "in/a/b", "tree/x", "./tree", "results/key", "./results", "out/log", "out/log/x",
	} {
		err := complete(nil, name)
		require.Error(t, err, name)
		require.Contains(t, err.Error(), fmt.Sprintf("secrets[%q]", name))
	}
	require.Error(t, complete(nil, "./a/b", "a/b"), "one file twice")
	require.Error(t, complete(nil, "./a", "a/b"), "a file in a file")
	require.Error(t, complete(func(s *Spec) { s.Secrets["X"] = "seven dry wells" }), "in clear")
	var many []string
	for i := range maxSecrets + 1 {
		many = append(many, fmt.Sprintf("N%d", i))
	}
	require.NoError(t, complete(nil, many[1:]...))
	require.Error(t, complete(nil, many...))
}
