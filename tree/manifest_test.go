package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

const sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"

// file is an entry of a manifest as people write it.
func file(path string) string {
	return fmt.Sprintf(`{"path":%q,"mode":"0644","size":5,"sha256":%q}`, path, sum)
}
func dir(path string) string      { return fmt.Sprintf(`{"path":%q,"dir":true}`, path) }
func link(path, to string) string { return fmt.Sprintf(`{"path":%q,"link":%q}`, path, to) }

func manifest(entries ...string) []byte {
	return []byte(`{"manifest":1,"entries":[` + strings.Join(entries, ",") + `]}`)
}

func TestDecode(t *testing.T) {
	m, err := Decode(manifest(dir("a"), file("a/x"), dir("a/y"), link("b", "a/x"), file(`c\xff`), file("é\\\\")))
	require.NoError(t, err)
	require.Equal(t, "c\xff", m.Entries[4].Path)
	require.Equal(t, `é\`, m.Entries[5].Path)
	require.Equal(t, []job.Digest{sum}, m.Files(), "each once")
	require.True(t, m.Find("a/y").Dir)
	require.Nil(t, m.Find("a/z"))
	text, err := m.Encode()
	require.NoError(t, err)
	again, err := Decode(text)
	require.NoError(t, err)
	require.Equal(t, m, again)
	none, err := Decode(manifest())
	require.NoError(t, err)
	require.Empty(t, none.Entries)
}

// TestNothingClimbsOut are manifests that would write outside, or twice to one place, or that are too large.
func TestNothingClimbsOut(t *testing.T) {
	deep := make([]string, MaxDepth+1)
	for i := range deep {
		deep[i] = dir(strings.TrimSuffix(strings.Repeat("d/", i+1), "/"))
	}
	many := make([]string, MaxEntries+1)
	for i := range many {
		many[i] = dir(fmt.Sprintf("%06d", i))
	}
	large := make([]string, 70)
	for i := range large {
		large[i] = strings.Replace(file(fmt.Sprintf("%03d", i)), `"size":5`, fmt.Sprintf(`"size":%d`, job.MaxBlob), 1)
	}
	for name, c := range map[string]struct {
		entries []string
		want    string
	}{
		"up":                            {[]string{file("../x")}, "stays inside"},
		"only up":                       {[]string{dir("..")}, "stays inside"},
		"up within":                     {[]string{dir("a"), file("a/../../x")}, "stays inside"},
		"itself":                        {[]string{dir(".")}, "stays inside"},
		"absolute":                      {[]string{file("/etc/passwd")}, "absolute"},
		"no name":                       {[]string{file("")}, "1 to 1024 bytes"},
		"an empty name":                 {[]string{dir("a"), file("a//b")}, "stays inside"},
		"a zero byte":                   {[]string{`{"path":"a\u0000b","dir":true}`}, "1 to 1024 bytes"},
		"twice":                         {[]string{file("a"), file("a")}, "there twice"},
		"a file and a directory":        {[]string{file("a"), dir("a"), file("a/b")}, "there twice"},
		"not sorted":                    {[]string{file("b"), file("a")}, "not sorted"},
		"below a file":                  {[]string{file("a"), file("a/b")}, "in no directory"},
		"below a link":                  {[]string{dir("a"), link("b", "a"), file("b/x")}, "in no directory"},
		"below what is not there":       {[]string{file("a/b")}, "in no directory"},
		"a link up":                     {[]string{link("a", "..")}, "leads out"},
		"a link further up":             {[]string{dir("a"), link("a/b", "../../x")}, "leads out"},
		"an absolute link":              {[]string{link("a", "/etc")}, "absolute path"},
		"a link down and up":            {[]string{dir("a"), link("b", "a/../../x")}, "not a clean path"},
		"a link by way of another link": {[]string{dir("a"), dir("a/b"), link("c", "a/b"), link("d", "c/../../x")}, "not a clean path"},
		"a file that is a link":         {[]string{`{"path":"a","link":"b","size":5}`}, "say one of them"},
		"a link that is a directory":    {[]string{`{"path":"a","link":"b","dir":true}`}, "say one of them"},
		"a device":                      {[]string{`{"path":"a","device":"8:0"}`}, "unknown"},
		"a set-user-ID program":         {[]string{strings.Replace(file("a"), "0644", "4755", 1)}, "permissions in octal"},
		"a mode in letters":             {[]string{strings.Replace(file("a"), "0644", "rwx", 1)}, "permissions in octal"},
		"no digest":                     {[]string{`{"path":"a","mode":"0644","size":5}`}, "not a SHA-256"},
		"a digest that is a path":       {[]string{strings.Replace(file("a"), sum, "../../../../etc/passwd", 1)}, "not a SHA-256"},
		"no size":                       {[]string{`{"path":"a","mode":"0644"}`}, "needs its size"},
		"a negative size":               {[]string{strings.Replace(file("a"), `"size":5`, `"size":-5`, 1)}, "at most"},
		"a file beyond the limit":       {[]string{strings.Replace(file("a"), `"size":5`, fmt.Sprintf(`"size":%d`, job.MaxBlob+1), 1)}, "at most"},
		"files beyond the limit":        {large, "64 GiB"},
		"too deep":                      {deep, "deep"},
		"too many":                      {many, "65537 entries"},
		"a long name":                   {[]string{file(strings.Repeat("x", 256))}, "more than 255 bytes"},
		"another field":                 {[]string{`{"path":"a","dir":true,"owner":0}`}, "owner"},
		"a lone backslash":              {[]string{`{"path":"a\\b","dir":true}`}, "lone backslash"},
	} {
		_, err := Decode(manifest(c.entries...))
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := Decode([]byte(`{"manifest":2,"entries":[]}`))
	require.ErrorContains(t, err, "version 2")
	_, err = Decode(make([]byte, MaxManifest+1))
	require.ErrorContains(t, err, "at most")
	_, err = (&Manifest{Entries: []Entry{{Path: "../x", Dir: true}}}).Encode()
	require.Error(t, err, "nobody writes what nobody reads")
}

// stored is a Store that reads files.
func stored(t *testing.T, root *os.Root) func(string) (job.Blob, error) {
	return func(name string) (job.Blob, error) {
		b, err := root.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, "hello", string(b))
		return job.Blob{Digest: sum, Size: int64(len(b))}, nil
	}
}

// fill makes a directory with all that may be in one.
func fill(t *testing.T, at string) {
	for _, d := range []string{"empty", "a/b/c"} {
		require.NoError(t, os.MkdirAll(filepath.Join(at, d), 0o755))
	}
	for _, f := range []string{"a.txt", "a/x", "a/b/c/\xff", "a/b/back\\slash"} {
		require.NoError(t, os.WriteFile(filepath.Join(at, f), []byte("hello"), 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(at, "program"), []byte("hello"), 0o755))
	for name, to := range map[string]string{"a/b/up": "../x", "here": "./a/", "nowhere": "a/none", "loop": "loop"} {
		require.NoError(t, os.Symlink(to, filepath.Join(at, name)))
	}
}

func TestWalkAndUnpack(t *testing.T) {
	from := t.TempDir()
	fill(t, filepath.Join(from, "data"))
	for name, to := range map[string]string{"out": "../..", "abs": "/etc", "round": "a/../a/x"} {
		require.NoError(t, os.Symlink(to, filepath.Join(from, "data", name)))
	}
	makePipe(t, filepath.Join(from, "data", "pipe"))
	root, err := os.OpenRoot(from)
	require.NoError(t, err)
	defer root.Close()
	left := map[string]string{}
	m, err := Walk(root, "data", Walker{Store: stored(t, root), Leave: func(name, what string) error { left[name] = what; return nil }})
	require.NoError(t, err)
	const out = "a link that leads out of the directory"
	require.Equal(t, map[string]string{"data/out": out, "data/abs": out, "data/round": out, "data/pipe": "no file, link or directory"}, left)
	text, err := m.Encode()
	require.NoError(t, err)
	m, err = Decode(text)
	require.NoError(t, err)

	to, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer to.Close()
	unpack := func() error {
		return m.Unpack(to, "deep/data", func(files []*Entry) error {
			for _, e := range files {
				require.NoError(t, to.WriteFile(e.At("deep/data"), []byte("hello"), e.Mode))
			}
			return nil
		})
	}
	require.NoError(t, unpack())
	again, err := Walk(to, "deep/data", Walker{Store: stored(t, to), Leave: func(name, what string) error { return fmt.Errorf("%s: %s", name, what) }})
	require.NoError(t, err)
	require.Equal(t, m, again, "what was unpacked is the same again")
	require.NoError(t, unpack(), "links and files are replaced")

	// A link that lies in wait where a directory belongs is not followed.
	require.NoError(t, to.RemoveAll("deep/data/a"))
	require.NoError(t, to.Mkdir("elsewhere", 0o755))
	require.NoError(t, to.Symlink("../../elsewhere", "deep/data/a"))
	require.ErrorContains(t, unpack(), "is no directory")
}

// FuzzDecode: what is read is safe, and is read the same again when it was written.
func FuzzDecode(f *testing.F) {
	for _, b := range [][]byte{manifest(), manifest(dir("a"), file("a/x"), link("b", "a/x")), manifest(file("../x")), manifest(link("a", "..")), []byte("{}")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		text, err := m.Encode()
		require.NoError(t, err)
		again, err := Decode(text)
		require.NoError(t, err)
		require.Equal(t, m, again)
		for i := range m.Entries {
			e := &m.Entries[i]
			require.True(t, filepath.IsLocal(e.Path), e.Path)
			if e.Link != "" {
				require.True(t, e.Link[0] != '/' && (filepath.IsLocal(filepath.Join(filepath.Dir(e.Path), e.Link)) || filepath.Join(filepath.Dir(e.Path), e.Link) == "."), e.Link)
			}
		}
	})
}
