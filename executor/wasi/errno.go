package wasi

import (
	"errors"
	"io/fs"
	"syscall"
)

// errno is a result of a function of WASI preview 1; 0 is success. The numbers are those of its specification.
type errno uint32

const (
	ok           errno = 0
	eacces       errno = 2
	eagain       errno = 6
	ebadf        errno = 8
	ebusy        errno = 10
	edquot       errno = 19
	eexist       errno = 20
	efault       errno = 21
	efbig        errno = 22
	eilseq       errno = 25
	eintr        errno = 27
	einval       errno = 28
	eio          errno = 29
	eisdir       errno = 31
	eloop        errno = 32
	emfile       errno = 33
	emlink       errno = 34
	enametoolong errno = 37
	enfile       errno = 41
	enoent       errno = 44
	enomem       errno = 48
	enospc       errno = 51
	enotdir      errno = 54
	enotempty    errno = 55
	enotsock     errno = 57
	enotsup      errno = 58
	enxio        errno = 60
	eoverflow    errno = 61
	eperm        errno = 63
	epipe        errno = 64
	erofs        errno = 69
	espipe       errno = 70
	etxtbsy      errno = 74
	exdev        errno = 75
	enotcapable  errno = 76
)

var fromSystem = map[syscall.Errno]errno{
	syscall.EACCES: eacces, syscall.EAGAIN: eagain, syscall.EBADF: ebadf, syscall.EBUSY: ebusy, syscall.EDQUOT: edquot,
	syscall.EEXIST: eexist, syscall.EFBIG: efbig, syscall.EILSEQ: eilseq, syscall.EINTR: eintr, syscall.EINVAL: einval,
	syscall.EIO: eio, syscall.EISDIR: eisdir, syscall.ELOOP: eloop, syscall.EMFILE: emfile, syscall.EMLINK: emlink,
	syscall.ENAMETOOLONG: enametoolong, syscall.ENFILE: enfile, syscall.ENOENT: enoent, syscall.ENOMEM: enomem,
	syscall.ENOSPC: enospc, syscall.ENOTDIR: enotdir, syscall.ENOTEMPTY: enotempty, syscall.ENOTSUP: enotsup,
	syscall.ENXIO: enxio, syscall.EOVERFLOW: eoverflow, syscall.EPERM: eperm, syscall.EPIPE: epipe, syscall.EROFS: erofs,
	syscall.ESPIPE: espipe, syscall.ETXTBSY: etxtbsy, syscall.EXDEV: exdev,
}

// errnoOf translates an error of package os. One that is neither an errno nor known to package fs is the refusal of
// os.Root to leave a directory.
func errnoOf(err error) errno {
	if err == nil {
		return ok
	}
	var sys syscall.Errno
	if errors.As(err, &sys) {
		if e, known := fromSystem[sys]; known {
			return e
		}
		return eio
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return enoent
	case errors.Is(err, fs.ErrExist):
		return eexist
	case errors.Is(err, fs.ErrInvalid):
		return einval
	case errors.Is(err, fs.ErrClosed):
		return ebadf
	}
	return eperm
}
