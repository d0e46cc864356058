package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/store"
)

// What is removed, or put in the place of what the broker has opened, is noticed; what comes and goes beside it is not.
func TestDataDirectoryThatGoes(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"all of it": os.RemoveAll,
		"the store": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "db")) },
		"another one": func(dir string) error {
			if err := os.Rename(filepath.Join(dir, "blobs"), filepath.Join(dir, "old")); err != nil {
				return err
			}
			return os.Mkdir(filepath.Join(dir, "blobs"), 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st, err := store.Open(store.Options{Dir: dir})
			require.NoError(t, err)
			t.Cleanup(func() { _ = st.Close() }) // its directory may be gone
			d, err := lookAtDataDir(&Config{DataDir: dir})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "note"), nil, 0o600))
			require.NoError(t, d.check())
			require.NoError(t, change(dir))
			require.ErrorContains(t, d.check(), "was removed or replaced while the broker ran")
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			require.Error(t, d.watch(ctx), "it ends the broker")
		})
	}
}
