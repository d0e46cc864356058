package identity

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// enrol makes a city with a member in a folder.
func enrol(t *testing.T, f Folder) *Member {
	root := keyOf(t, 1)
	key, err := f.Key()
	require.NoError(t, err)
	city := FoundCity(root.Public())
	m := &Member{key, must(root.Admit(city.City(), "a", key.Public(), Broker, epoch, 0)), city}
	require.NoError(t, f.Keep(m))
	return m
}

// A member is the same over all starts, and nobody else can read its key.
func TestFolder(t *testing.T) {
	f := Folder(filepath.Join(t.TempDir(), "identity"))
	_, err := f.Member()
	require.ErrorIs(t, err, ErrNoIdentity)
	m := enrol(t, f)
	again, err := f.Member()
	require.NoError(t, err)
	require.Equal(t, m, again)

	files, err := os.ReadDir(string(f))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		info, err := file.Info()
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}

	require.NoError(t, os.Chmod(filepath.Join(string(f), keyFile), 0o644))
	_, err = f.Member()
	require.ErrorContains(t, err, "can be read by others")
	require.NoError(t, os.Chmod(filepath.Join(string(f), keyFile), 0o600))

	// Another key in its place is no member, and is not kept as one.
	require.NoError(t, os.Remove(filepath.Join(string(f), keyFile)))
	other, err := f.Key()
	require.NoError(t, err)
	require.NotEqual(t, m.Key.Public(), other.Public())
	_, err = f.Member()
	require.ErrorContains(t, err, "not the one that was admitted")
	require.ErrorContains(t, f.Keep(m), "holds another key")

	require.NoError(t, os.WriteFile(filepath.Join(string(f), keyFile), make([]byte, maxKeyFile+1), 0o600))
	_, err = f.Key()
	require.ErrorContains(t, err, "at most")
	require.NoError(t, os.WriteFile(filepath.Join(string(f), keyFile), []byte("x"), 0o600))
	_, err = f.Key()
	require.ErrorContains(t, err, "damaged")
}

// A passphrase keeps an authority's key from who has the file.
func TestPassphrase(t *testing.T) {
	f := Folder(t.TempDir())
	_, err := f.Authority("")
	require.ErrorIs(t, err, fs.ErrNotExist)
	k, err := f.key(authorityFile, "four words are enough", 2)
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(string(f), authorityFile))
	require.NoError(t, err)
	require.NotContains(t, string(text), string(k.private.Seed()))
	_, err = f.Authority("")
	require.ErrorIs(t, err, ErrLocked)
	_, err = f.Authority("four words")
	require.ErrorIs(t, err, ErrPassphrase)
	again, err := f.Authority("four words are enough")
	require.NoError(t, err)
	require.Equal(t, k.private, again.private)
	_, err = f.NewAuthority("")
	require.ErrorIs(t, err, ErrLocked, "a key is never replaced")

	plain := Folder(t.TempDir())
	k, err = plain.NewAuthority("")
	require.NoError(t, err)
	again, err = plain.Authority("")
	require.NoError(t, err)
	require.Equal(t, k.private, again.private)
	require.NotContains(t, []string{k.String(), k.GoString()}, string(k.private))
}
