package executor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/job"
)

// What a job may write has a limit, job.Spec.Disk, and the broker keeps a reserve of its disk free, which no job may
// touch. A wasm job's limit is enforced with each step that it takes (package wasi). What a native job has written is
// measured again and again. The free space is looked at while any job runs: before the reserve is touched, the job that
// has written most is ended, as failed if that is more than it may, otherwise as returned (rule J12).

const (
	freeEvery    = 50 * time.Millisecond // between two looks at the free space
	measureEvery = time.Second           // between two looks at what one job has written, and longer where that takes long
	patience     = 20                    // times as long as a measurement takes, the next one waits
	leastRoom    = 32 << 20              // bytes above the reserve below which it is about to be touched
	leastWritten = 16 << 20              // bytes that a job must have written: to end a smaller one would not help
	diskBlock    = 4096                  // bytes; a job may have as many files as blocks
)

// diskWatch watches what the attempts write.
type diskWatch struct {
	free    func() (int64, error)           // of the file system where jobs run, in bytes
	giveWay func(bytes int64) (freed int64) // frees what is only kept to save time
	reserve int64                           // bytes; negative is none

	watchList[*written]
	last  int64     // free at the last look
	pause time.Time // until then nobody is looked for whose end gives room
}

// written is what is known of the files of one attempt.
type written struct {
	worker int // process that runs a native program
	native bool
	next   time.Time
	ended  bool // it was told to end
}

func newDiskWatch(dir string, reserve int64) *diskWatch {
	return &diskWatch{
		free: func() (int64, error) { return freeSpace(dir) }, giveWay: func(int64) int64 { return 0 }, reserve: reserve, watchList: newWatchList[*written](),
	}
}

// freeSpace returns how many bytes of a file system an ordinary user can still write.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// room returns how many bytes can be written without touching the reserve; known is false if there is none, or the system
// does not say.
func (w *diskWatch) room() (bytes int64, known bool) {
	if w.reserve < 0 {
		return 0, false
	}
	free, err := w.free()
	return free - w.reserve, err == nil
}

func (w *diskWatch) add(a *attempt, o *order, worker int) {
	w.watchList.add(a, &written{worker: worker, native: o.Driver == job.Process})
}

func wholeBlocks(size int64) int64 { return (size + diskBlock - 1) / diskBlock * diskBlock }

// watch looks until quit is closed.
func (w *diskWatch) watch(quit <-chan struct{}) { w.watchList.watch(quit, freeEvery, w.look) }

// look ends who has written too much.
func (w *diskWatch) look(now time.Time, running map[*attempt]*written) {
	if len(running) == 0 {
		w.last = 0
		return
	}
	for a, x := range running {
		if x.native && !x.ended && !now.Before(x.next) {
			a.measure(x, now)
		}
	}
	room, known := w.room()
	if !known {
		return
	}
	taken := w.last - room // since the last look
	w.last = room
	need := max(leastRoom, 2*taken)
	if room >= need || now.Before(w.pause) || w.giveWay(need-room) > 0 {
		return
	}
	began := time.Now()
	w.endLargest(running, now, room)
	w.pause = now.Add(patience * time.Since(began))
}

// endLargest ends the attempt that has written most, unless one that was told to end has yet to.
func (w *diskWatch) endLargest(running map[*attempt]*written, now time.Time, room int64) {
	var largest *attempt
	most := int64(leastWritten - 1)
	for a, x := range running {
		if x.ended {
			return
		}
		size := a.measure(x, now)
		if x.ended {
			return // it was beyond its own limit
		}
		if size > most {
			largest, most = a, size
		}
	}
	if largest == nil {
		return
	}
	running[largest].ended = true
	largest.tooMuch(fmt.Sprintf("this broker's disk is nearly full (%s more can be written, the reserve left aside), and the job had written most: %s, within its %s",
		bytesOf(max(room, 0)), bytesOf(most), bytesOf(largest.task.Spec.DiskLimit())), true)
}

// measure returns how many bytes an attempt has written, and ends it if they are more than it may have.
func (a *attempt) measure(x *written, now time.Time) int64 {
	began := time.Now()
	worker := 0
	if x.native {
		worker = x.worker
	}
	size, names := treeSize(worker, filepath.Join(a.dir, rootName), filepath.Join(a.dir, tmpName))
	size -= a.given.bytes
	names -= a.given.names + int64(len(a.task.Spec.Dirs))
	x.next = now.Add(max(measureEvery, patience*time.Since(began)))
	if limit := a.task.Spec.DiskLimit(); size > limit || names > limit/diskBlock {
		x.ended = true
		a.tooMuch(overDisk(limit), false)
	}
	return size
}

// overDisk is what is said of a job that wanted more of the disk than it may have.
func overDisk(limit int64) string {
	return fmt.Sprintf("the job wrote more than its %s of disk", bytesOf(limit))
}

// treeSize returns what the files in some directories take on the disk, and how many names there are; and beside these what
// the descendants of a process, if one is given, hold open that has no name any more.
func treeSize(worker int, dirs ...string) (bytes, names int64) {
	type file struct{ dev, ino uint64 }
	seen := map[file]bool{}
	var devs []uint64
	add := func(st *syscall.Stat_t) {
		if id := (file{uint64(st.Dev), st.Ino}); st.Nlink == 1 || !seen[id] {
			if st.Nlink != 1 {
				seen[id] = true
			}
			bytes += min(st.Blocks*512, wholeBlocks(st.Size)) // some file systems reserve blocks ahead
		}
	}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // it has gone meanwhile, or can't be read
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			st, ok := info.Sys().(*syscall.Stat_t)
			switch {
			case !ok:
			case path == dir:
				devs = append(devs, uint64(st.Dev))
			default:
				names++
				if info.Mode().IsRegular() {
					add(st)
				}
			}
			return nil
		})
	}
	if worker == 0 {
		return bytes, names
	}
	for _, p := range treeOf(processes()).descendants(worker) {
		fds := fmt.Sprintf("/proc/%d/fd", p.pid)
		open, _ := os.ReadDir(fds)
		for _, fd := range open {
			info, err := os.Stat(filepath.Join(fds, fd.Name()))
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink == 0 && slices.Contains(devs, uint64(st.Dev)) {
				add(st)
			}
		}
	}
	return bytes, names
}

// excess is in which way an attempt has taken more than it may, or than there is.
type excess struct {
	reason   string
	returned bool // it is this broker that has no more
}

func (x *excess) report() report { return report{Failure: x.reason, Returned: x.returned} }

// tooMuch has the attempt ended for what it takes. The first reason stays. Any goroutine may call it.
func (a *attempt) tooMuch(reason string, returned bool) {
	if a.beyond.CompareAndSwap(nil, &excess{reason, returned}) {
		a.wakeUp()
	}
}

// outputShare is the part of the reserve that output may take: what running jobs leave is one of the things it is for.
const outputShare = 0.75

// checkRoom fails when a file of the given size can't be stored without taking more of the disk's reserve than output may.
func (e *Executor) checkRoom(size int64) error {
	short := func() int64 {
		room, known := e.disk.room()
		if !known {
			return 0
		}
		return size - room - int64(outputShare*float64(e.disk.reserve))
	}
	if n := short(); n > 0 {
		e.cache.giveWay(n)
	}
	if short() > 0 {
		return brokerError{fmt.Errorf("storing %s would take too much of the disk's reserve: %w", bytesOf(size), syscall.ENOSPC)}
	}
	return nil
}
