// Package store holds the durable state of one broker: a small key-value
// database (Pebble) and a folder of content-addressed blobs, both below one data
// directory. It is a package of its own because durability is one promise with one
// set of rules, and because nothing else should know which database keeps it. The rules
// (I1, ...) are numbered in docs/protocol.md.
//
//	DIR/LOCK                 held while a broker runs, so that two never share a directory
//	DIR/db/                  the database: keys and bytes of the ledger, name and actor (rule I1)
//	DIR/blobs/ab/cdef...     one file a blob, named by the SHA-256 of its content
//	DIR/blobs/tmp/           uploads that are not finished; emptied at Open
//	DIR/blobs/corrupt/       blobs whose content no longer matched their name
//
// # The promise
//
// When [Store.Commit] or [Blobs.Put] returns nil, the data outlives a crash of the
// process and of the machine. When it returns an error, or has not returned, the
// data is there whole after a restart, or not at all. The broker's frontier
// (rule I4) rests on this.
//
// # When the disk fails
//
// A failed write or fsync is never tried again: the kernel may have dropped the
// pages and call the next fsync a success (Rebello et al., "Can Applications
// Recover from fsync Failures?", ATC 2020). The first failure freezes the store:
// the database's files stay as they are, every later Commit and Put fails with
// [ErrFailed], and the owner is told once through [Options].Fatal, so that the process
// ends and recovers from what the disk really holds. Only a blob that does not fit on
// a full disk is an ordinary error: nothing depends on it yet.
//
// # Who calls
//
// One shell (package node) owns a Store. All methods may be called from several
// goroutines at once; concurrent Commits share an fsync. The store reads no clock,
// no environment and no global random source; it can run on any vfs.FS, also inside
// a testing/synctest bubble, and after Close none of its goroutines is left.
//
// The rules that comments cite, such as A1, are defined in docs/protocol.md.
package store
