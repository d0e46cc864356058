package store

import (
	"errors"
	"fmt"
)

// Errors that a caller decides on. They are always wrapped in one that says what
// was attempted: compare with errors.Is.
var (
	// ErrInUse: another process, or another Store of this one, holds the data directory.
	ErrInUse = errors.New("in use by another ucp agent")
	// ErrNewerFormat: a newer version of ucp wrote the data directory.
	ErrNewerFormat = errors.New("written by a newer version of ucp")
	// ErrCorrupt: what was read is not what was written.
	ErrCorrupt = errors.New("corrupt data")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("the store is closed")
	// ErrFailed: the disk failed earlier and the store is frozen; the process must end.
	ErrFailed = errors.New("the store has failed and writes no more")
	// ErrNotFound: there is no blob with this digest.
	ErrNotFound = errors.New("no such blob")
	// ErrTooLarge: more bytes than the limit that was given.
	ErrTooLarge = errors.New("too large")
	// ErrBadDigest: not 64 lower-case hexadecimal digits.
	ErrBadDigest = errors.New("not a SHA-256 digest of 64 lower-case hexadecimal digits")
	// ErrNoPath: the file system in use has no paths that another process could open.
	ErrNoPath = errors.New("the blobs are not on a file system that other processes see")
)

// MismatchError says that an upload's content is not what its sender announced.
// Nothing was stored; the sender must send again.
type MismatchError struct {
	Want, Got string // digests
}

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("store blob: the content has digest %s, but %s was announced; send it again", e.Got, e.Want)
}

// CorruptBlobError says that a stored blob no longer has the content that its name
// promises. It was moved aside to Aside and counts as absent: fetch it again from
// another broker. errors.Is reports it as [ErrCorrupt].
type CorruptBlobError struct {
	Digest, Got string // what it should be, what it is
	Aside       string // where the damaged file is now
}

// Error implements error.
func (e *CorruptBlobError) Error() string {
	return fmt.Sprintf("blob %s is damaged (its content has digest %s); moved to %s; fetch it again from another broker", e.Digest, e.Got, e.Aside)
}

// Unwrap makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptBlobError) Unwrap() error { return ErrCorrupt }
