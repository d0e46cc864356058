package store

import (
	"errors"
	"fmt"
)

// Errors on which a caller can decide. They are always wrapped in an error that says what was attempted;
// compare with errors.Is.
var (
	// errInUse: another process, or another Store in this process, has locked the data directory.
	errInUse = errors.New("in use by another ucp agent")
	// errNewerFormat: a newer version of ucp wrote the data directory.
	errNewerFormat = errors.New("written by a newer version of ucp")
	// errCorrupt: what was read is not what was written.
	errCorrupt = errors.New("corrupt data")
	// ErrClosed says that the store has been closed.
	ErrClosed = errors.New("the store is closed")
	// errFailed: the disk failed earlier and the store is frozen; the process must end.
	errFailed = errors.New("the store has failed and no longer writes")
	// ErrNotFound says that there is no blob with this digest.
	ErrNotFound = errors.New("no such blob")
	// ErrTooLarge says that a blob, a key or a batch has more bytes than its limit allows.
	ErrTooLarge = errors.New("too large")
	// errBadDigest: the string does not consist of 64 lower-case hexadecimal digits.
	errBadDigest = errors.New("not a SHA-256 digest of 64 lower-case hexadecimal digits")
	// errNoPath: the file system in use has no paths that another process could open.
	errNoPath = errors.New("the blobs are not on a file system that other processes see")
)

// MismatchError says that an upload's content does not have the digest that its sender announced. Nothing was
// stored; the sender must send it again.
type MismatchError struct {
	Want, Got string // the announced and the actual digest
}

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("store blob: the content has digest %s, but %s was announced; send it again", e.Got, e.Want)
}

// CorruptBlobError says that a stored blob's content no longer has the blob's digest. The file was moved to
// Aside and the blob counts as absent: fetch it again from another broker.
type CorruptBlobError struct {
	Digest, Got string // the blob's digest, and the digest of what the file holds
	Aside       string // path of the damaged file
}

// Error implements error.
func (e *CorruptBlobError) Error() string {
	return fmt.Sprintf("blob %s is damaged (its content has digest %s); moved to %s; fetch it again from another broker", e.Digest, e.Got, e.Aside)
}

// Unwrap marks the error as one about corrupt data.
func (e *CorruptBlobError) Unwrap() error { return errCorrupt }
