package wasi

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/tetratelabs/wazero/sys"
)

// block is what contents are counted in, in bytes.
const block = 4096

// stoppedOverDisk is the exit code of a program that was stopped over its quota: that of a shell for SIGXFSZ.
const stoppedOverDisk = 128 + 25

// quota is what a program has added to its directory, and may add. All changes of the directory pass through this
// package, so it is exact at any time, with nothing to be measured: contents in whole blocks, holes included, and as many
// names as blocks are allowed. What is removed counts no more, once no descriptor holds it either.
type quota struct {
	limit    int64           // bytes
	contents int64           // bytes; negative when more was removed than added
	names    int64           // of files, directories and links
	files    map[inode]*node // the open ones
	over     bool            // it wanted more
}

type inode struct{ dev, ino uint64 }

// node is a file that is open, by however many descriptors.
type node struct {
	q     *quota
	id    inode
	size  int64
	opens int
	gone  bool // it has no name left
}

func blocks(size int64) int64 { return (size + block - 1) / block * block }

// exceeded notes that the program wanted more than it may have.
func (q *quota) exceeded() error {
	q.over = true
	return syscall.EDQUOT
}

// named counts a new name.
func (q *quota) named() error {
	if q.names++; q.names > q.limit/block {
		return q.exceeded()
	}
	return nil
}

// removed stops counting a name that has gone, and what it was the last name of.
func (q *quota) removed(was fs.FileInfo) {
	q.names--
	st := sys.NewStat_t(was)
	if !was.Mode().IsRegular() || st.Nlink > 1 {
		return
	}
	if n := q.files[inode{st.Dev, st.Ino}]; n != nil {
		n.gone = true
		return
	}
	q.contents -= blocks(was.Size())
}

// opened counts what opening a file has changed. before is what it was; nil if it was made.
func (q *quota) opened(f *os.File, before fs.FileInfo) (*node, error) {
	if before == nil {
		if err := q.named(); err != nil {
			return nil, err
		}
	}
	now, err := f.Stat()
	if err != nil || !now.Mode().IsRegular() {
		return nil, err
	}
	st := sys.NewStat_t(now)
	id := inode{st.Dev, st.Ino}
	n := q.files[id]
	if n == nil {
		n = &node{q: q, id: id}
		if before != nil {
			n.size = before.Size()
		}
		q.files[id] = n
	}
	n.opens++
	return n, n.resize(now.Size())
}

// closed says that a descriptor of the file was closed.
func (n *node) closed() {
	if n == nil {
		return
	}
	if n.opens--; n.opens > 0 {
		return
	}
	delete(n.q.files, n.id)
	if n.gone {
		n.q.contents -= blocks(n.size)
	}
}

// resize counts the file as one of another size, unless that is more than the program may have.
func (n *node) resize(size int64) error {
	free := n.q.limit - n.q.contents
	if size > n.size && (size-n.size > free+block || blocks(size)-blocks(n.size) > free) {
		return n.q.exceeded()
	}
	n.q.contents += blocks(size) - blocks(n.size)
	n.size = size
	return nil
}

// write has bytes written at an offset of the file, if there is room for them.
func (n *node) write(b []byte, at int64, put func([]byte) (int, error)) (int, error) {
	before := n.size
	if err := n.resize(max(before, at+int64(len(b)))); err != nil {
		return 0, err
	}
	done, err := put(b)
	switch {
	case done == 0:
		_ = n.resize(before)
	case done < len(b):
		_ = n.resize(max(before, at+int64(done)))
	}
	return done, err
}

// truncate gives the file another size.
func (n *node) truncate(f *os.File, size int64) errno {
	before := n.size
	if err := n.resize(size); err != nil {
		return errnoOf(err)
	}
	err := f.Truncate(size)
	if err != nil {
		_ = n.resize(before)
	}
	return errnoOf(err)
}
