// Package store holds the durable state of one broker: a small key-value
// database (Pebble) and a directory of content-addressed blobs, both below one data
// directory. It is a package of its own because durability is one guarantee with one
// set of rules, and because no other package needs to know which database is used.
// Rules cited by number (A1, I1, I4, J11, L8, L9) are in docs/protocol.md.
//
//	DIR/LOCK                 held while a broker runs, so that two never share a directory
//	DIR/BALLAST              takes up what a start needs on a disk that is full; removed by such a start
//	DIR/db/                  the database: keys and bytes of the ledger, name and actor (rule I1)
//	DIR/blobs/ab/cdef...     one file per blob, named by the SHA-256 of its content
//	DIR/blobs/tmp/           uploads that are not finished; emptied at Open
//	DIR/blobs/part/          what has come of blobs over links that broke; at most 256, swept like blobs that no record names
//	DIR/blobs/chunks/        lists of the chunks of large blobs, which can be made again from these
//	DIR/blobs/corrupt/       blobs whose content no longer matched their name; each stays for a --blob-grace or two
//
// # The guarantee
//
// When [Store.Commit] or [Blobs.Put] returns nil, the data survives a crash of the
// process and of the machine. When it returns an error, or has not returned, the
// data is there completely after a restart, or not at all. The broker's frontier
// (rule I4) depends on this.
//
// # When the disk fails
//
// A failed write or fsync is never retried: the kernel may have dropped the
// pages and report success for the next fsync (Rebello et al., "Can Applications
// Recover from fsync Failures?", ATC 2020). The first failure freezes the store:
// the database's files stay as they are, every later Commit and Put fails,
// and the owner is told once through [Options].Fatal, so that the process
// ends and recovers from what the disk really holds. Only a blob that does not fit on
// a full disk is an ordinary error: nothing depends on it yet.
//
// # Concurrency
//
// One shell (package node) owns a Store. All methods may be called concurrently;
// concurrent Commits share an fsync. The store reads neither the environment nor a
// global random source. It runs on any vfs.FS, also inside a testing/synctest
// bubble, and after Close none of its goroutines is left.
package store
