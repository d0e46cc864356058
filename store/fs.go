package store

import "github.com/cockroachdb/pebble/v2/vfs"

// FS is the file system below a store. It is Pebble's interface, under a name that lets other packages pass
// one on without importing Pebble.
type FS = vfs.FS
