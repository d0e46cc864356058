package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A module is signed, by one and by another, and verified; what was changed since is not.
func TestModule(t *testing.T) {
	_, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "text": "hello"})
	public := strings.TrimSpace(s.run("module", "key", "pumps.key").out)
	require.Regexp(t, `^pumps\+[0-9a-f]{8}\+`, public)
	info, err := os.Stat("pumps.key")
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.Equal(t, exitError, s.run("module", "key", "pumps.key").code, "a key is not replaced")
	other := strings.TrimSpace(s.run("module", "key", "--name", "maps", "other").out)
	require.Regexp(t, `^maps\+`, other)

	require.Equal(t, ran{exitError, "", "ucp: m.wasm: nobody has signed it\n"}, s.run("module", "verify", "m.wasm"))
	require.Equal(t, ran{0, "", ""}, s.run("module", "sign", "--key", "pumps.key", "m.wasm"))
	require.Equal(t, ran{0, "", ""}, s.run("module", "sign", "--key", "other", "m.wasm", "--to", "both.wasm"))
	require.Equal(t, public[:14]+"  valid\n", s.run("module", "verify", "--key", public, "m.wasm").out)
	require.Regexp(t, `(?s)maps\+\w+ +valid.*pumps\+\w+ +not verified`, s.run("module", "verify", "--key", other, "both.wasm").out)
	require.Equal(t, ran{exitError, "", "ucp: m.wasm: none of these keys has signed it\n"}, s.run("module", "verify", "--key", other, "m.wasm"))
	require.Contains(t, s.run("module", "verify", "m.wasm").out, "not verified: no --key of it was given")

	b, err := os.ReadFile("m.wasm")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("bad.wasm", append(b, "\x00\x02\x01x"...), 0o644))
	require.Equal(t, ran{exitError, "", "ucp: bad.wasm: its signature of pumps is not valid: the module was changed since, or is another one\n"}, s.run("module", "verify", "--key", public, "bad.wasm"))
	require.Contains(t, s.run("module", "sign", "--key", "pumps.key", "text").errOut, "not a WebAssembly module")
	require.Contains(t, s.run("module", "sign", "--key", "text", "m.wasm").errOut, "text is no key")
	require.Contains(t, s.run("module", "verify", "--key", "x", "m.wasm").errOut, "this is no public key")
}
