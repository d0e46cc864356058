package executor

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// A checkpoint is a copy of those files of an attempt that its spec names, and of what it has written to stdout and stderr, as a
// manifest of the attempt's directory (rule J17). It is taken when the program exits with job.CheckpointExit, and is then
// started again where it was; when it makes the file job.CheckpointRequest; or each time that the job has run for as long as
// its spec says. In the latter two cases all of its processes stand still while the files are read: so what is kept is what the
// program would find if it had been killed at that moment.

const (
	checkpointLook  = 500 * time.Millisecond // between two looks whether one is due
	checkpointHold  = 10 * time.Second       // what a worker may take to say that its program stands still
	checkpointRetry = 30 * time.Second       // after one that could not be taken
	// A file that was changed so shortly before it was read may have been changed once more within the same tick of the
	// file system's clock, so it is read again the next time.
	settledAfter = 2 * time.Second
)

// checkpointer is what an attempt needs to take checkpoints. Its goroutine owns it.
type checkpointer struct {
	spec    *job.Checkpointing
	base    time.Duration // for how long the job had run as the attempt began
	began   time.Time     // when the program was first started here
	still   time.Duration // for which it stood still
	stood   time.Time     // since when it stands still; zero if it does not
	last    time.Duration // for how long it had run as the last one was taken, or asked for
	taken   time.Time     // when that was
	retry   time.Time     // none is taken before
	size    int64         // of the last one, in bytes
	seen    map[string]readFile
	program syscall.Signal
}

// readFile is a file as it was read for the last checkpoint.
type readFile struct {
	ino          uint64
	size         int64
	mtime, ctime syscall.Timespec
	blob         job.Blob
}

var checkpointSignals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}

func newCheckpointer(t *Task) *checkpointer {
	if t.Spec.Checkpoint == nil {
		return nil
	}
	c := &checkpointer{spec: t.Spec.Checkpoint, seen: map[string]readFile{}, program: checkpointSignals[t.Spec.Checkpoint.Signal]}
	if t.From != nil {
		c.base = t.From.Ran
	}
	c.last = c.base
	return c
}

// starts says that the program is started, or started again.
func (c *checkpointer) starts() {
	if c != nil && c.began.IsZero() {
		c.began = time.Now()
	}
	c.stands(false)
}

// stands says that the program stands still, or goes on.
func (c *checkpointer) stands(still bool) {
	switch {
	case c == nil || c.began.IsZero():
	case still && c.stood.IsZero():
		c.stood = time.Now()
	case !still && !c.stood.IsZero():
		c.still += time.Since(c.stood)
		c.stood = time.Time{}
	}
}

// ran is for how long the job has run, over all attempts that went on from one another.
func (c *checkpointer) ran() time.Duration {
	if c.began.IsZero() {
		return c.base
	}
	d := time.Since(c.began) - c.still
	if !c.stood.IsZero() {
		d -= time.Since(c.stood)
	}
	return c.base + max(d, time.Millisecond)
}

// due reports whether the job has run for long enough since the last checkpoint.
func (c *checkpointer) due() bool {
	return c.spec.Every > 0 && c.ran()-c.last >= time.Duration(c.spec.Every)
}

// ticks tells when to look whether a checkpoint is due; nil is never.
func (c *checkpointer) ticks() (ticks <-chan time.Time, stop func()) {
	if c == nil {
		return nil, func() {}
	}
	t := time.NewTicker(checkpointLook)
	return t.C, t.Stop
}

// request is the file by which the program asks for a checkpoint.
func (a *attempt) request() string {
	return filepath.Join(a.dir, rootName, job.CheckpointRequest)
}

// lookAtCheckpoint takes a checkpoint of a program that runs, if one is due or asked for. It returns what the worker has said meanwhile,
// if that was something else; ok is false if the worker is dead.
func (a *attempt) lookAtCheckpoint(r *remote, clock *limits) (said *fromWorker, ok bool) {
	c := a.checkpoints
	if clock.loading || a.suspended.Load() || a.wantSuspended.Load() || a.awaitsAnswer || r.native && a.group == 0 || time.Now().Before(c.retry) ||
		time.Since(c.taken) < job.LeastCheckpoint {
		return nil, true
	}
	_, err := os.Lstat(a.request())
	asked := err == nil
	if !asked && !c.due() {
		return nil, true
	}
	if !asked && c.program != 0 {
		c.last = c.ran() // ask again after the next interval
		_ = r.send(toWorker{Ask: &ask{Order: a.number, Signal: int(c.program)}})
		return nil, true
	}
	clock.pause()
	defer clock.run(true)
	if said, ok = a.holdStill(r, true); said != nil || !ok {
		return said, ok
	}
	if err := a.takeCheckpoint(a.ctx.Err, r.native); err != nil {
		c.last, c.retry = c.ran(), time.Now().Add(checkpointRetry)
		if a.ctx.Err() == nil {
			a.e.cfg.Logger.Warn("a checkpoint of a job could not be taken; the job goes on, and one is taken later", "job", string(a.task.ID), "err", err)
			a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt, Phase: PhaseCheckpoint, Problem: err.Error()})
		}
	} else if asked {
		_ = os.Remove(a.request())
	}
	return a.holdStill(r, false)
}

// holdStill has all processes of the program stand still, or go on, and returns when they do. It returns what the worker has said instead.
func (a *attempt) holdStill(r *remote, still bool) (said *fromWorker, ok bool) {
	a.checkpoints.stands(still)
	if !r.native {
		r.setStopped(still)
		return nil, true
	}
	_ = r.send(toWorker{Hold: &hold{Order: a.number, Suspend: still, Copy: true}}) // if the worker is dead, r.in is closed
	late := time.NewTimer(checkpointHold)
	defer late.Stop()
	for {
		select {
		case m, ok := <-r.in:
			if !ok || m.Held == nil || !m.Held.Copy {
				a.checkpoints.stands(false)
				return &m, ok
			}
			if m.Held.Order == a.number && m.Held.Suspend == still {
				return nil, true
			}
		case <-late.C:
			a.e.cfg.Logger.Warn("a native program did not stand still, or go on, for a checkpoint", "job", string(a.task.ID), "still", still)
			return nil, true
		}
	}
}

// takeCheckpoint stores what the spec names, and reports it. Abort is asked before each file. Mapped says that a program stands still that may
// have mapped files.
func (a *attempt) takeCheckpoint(abort func() error, mapped bool) error {
	c := a.checkpoints
	if room, known := a.e.disk.room(); known && room < 2*leastRoom+c.size {
		return brokerError{fmt.Errorf("this broker's disk is nearly full: %s more can be written, the reserve left aside, and the last checkpoint has %s", bytesOf(max(room, 0)), bytesOf(c.size))}
	}
	ran := c.ran()
	k := &copier{a: a, abort: abort, mapped: mapped, now: time.Now(), found: map[string]bool{}}
	m, err := k.copy()
	if err != nil {
		return err
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	b, err := a.e.cfg.Blobs.Put(a.storing(), bytes.NewReader(text))
	if err != nil {
		return brokerError{err}
	}
	c.last, c.taken, c.size = ran, time.Now(), k.bytes
	maps.DeleteFunc(c.seen, func(name string, _ readFile) bool { return !k.found[name] })
	a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt, Phase: PhaseCheckpoint, Checkpoint: &Checkpoint{Tree: b.Digest, Bytes: k.bytes, Ran: ran}})
	return nil
}

// copier makes the manifest of a checkpoint.
type copier struct {
	a     *attempt
	abort func() error
	// mapped: what is written to mapped memory, while that is dirty, changes neither size nor times, so that all files are read.
	mapped bool
	now    time.Time
	m      tree.Manifest
	found  map[string]bool // entries of m
	bytes  int64
}

// copy stores the files, and returns the manifest of the attempt's directory with nothing else in it.
func (k *copier) copy() (*tree.Manifest, error) {
	dir, err := os.OpenRoot(k.a.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the job's directory: %w", err)
	}
	defer dir.Close()
	some := false
	for _, p := range k.a.checkpoints.spec.Paths {
		name := path.Join(rootName, p)
		info, err := dir.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		some = true
		k.parents(name)
		if info.IsDir() {
			err = k.tree(dir, name)
		} else {
			err = k.file(dir, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	if !some {
		return nil, fmt.Errorf("the program has left none of %s", strings.Join(k.a.checkpoints.spec.Paths, ", "))
	}
	for _, name := range []string{stdoutName, stderrName} {
		if err := k.file(dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	slices.SortFunc(k.m.Entries, func(a, b tree.Entry) int { return cmp.Compare(a.Path, b.Path) })
	return &k.m, nil
}

func (k *copier) add(e tree.Entry) {
	k.found[e.Path] = true
	k.m.Entries = append(k.m.Entries, e)
	k.bytes += e.Size
}

// parents adds the directories that a path is in.
func (k *copier) parents(name string) {
	if dir := path.Dir(name); dir != "." && !k.found[dir] {
		k.parents(dir)
		k.add(tree.Entry{Path: dir, Dir: true})
	}
}

func (k *copier) tree(dir *os.Root, name string) error {
	m, err := tree.Walk(dir, name, tree.Walker{
		Store: func(at string) (job.Blob, error) { return k.store(dir, at) },
		Leave: func(at, what string) error { return fmt.Errorf("%s: %s", at, what) },
	})
	if err != nil {
		return err
	}
	k.add(tree.Entry{Path: name, Dir: true})
	for _, e := range m.Entries {
		e.Path = path.Join(name, e.Path)
		k.add(e)
	}
	return nil
}

func (k *copier) file(dir *os.Root, name string) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("neither a file nor a directory")
	}
	b, err := k.store(dir, name)
	if err != nil {
		return err
	}
	k.add(tree.Entry{Path: name, Mode: info.Mode().Perm(), Digest: b.Digest, Size: b.Size})
	return nil
}

// store stores a file, unless it is as it was when it was last read.
func (k *copier) store(dir *os.Root, name string) (job.Blob, error) {
	if err := k.abort(); err != nil {
		return job.Blob{}, err
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return job.Blob{}, err
	}
	st, known := info.Sys().(*syscall.Stat_t)
	var mtime, ctime syscall.Timespec
	if known {
		mtime, ctime = writtenAt(st)
	}
	k.found[name] = true
	if f, ok := k.a.checkpoints.seen[name]; ok && known && !k.mapped && f.ino == st.Ino && f.size == st.Size && f.mtime == mtime && f.ctime == ctime {
		if _, err := k.a.e.cfg.Blobs.Path(f.blob.Digest); err == nil {
			return f.blob, nil
		}
	}
	delete(k.a.checkpoints.seen, name)
	b, err := k.a.store(dir, name)
	if err == nil && known && !k.mapped && k.now.Sub(time.Unix(ctime.Unix())) > settledAfter {
		k.a.checkpoints.seen[name] = readFile{st.Ino, st.Size, mtime, ctime, b}
	}
	return b, err
}

// goesOn takes the checkpoint for which the program has exited, and prepares the order by which it is started again where it was; nil if it is not:
// it has ended otherwise, or the report says why.
func (a *attempt) goesOn(o *order, rep report) (*order, report) {
	c := a.checkpoints
	if c == nil || rep.Code == nil || *rep.Code != job.CheckpointExit || a.stopped || rep.Returned {
		return nil, rep
	}
	c.stands(true) // until it is started again
	err := a.retryWhileScarce(a.ctx.Done(), func() error { return a.takeCheckpoint(a.ctx.Err, false) })
	switch {
	case a.ctx.Err() != nil: // if it is to run again, what it has left is kept (leaves)
		a.stopped = true
		rep.Failure = errStopped.Error()
		return nil, rep
	case isOurs(err):
		back := returned(err.Error())
		back.Began, back.Touched = true, rep.Touched
		return nil, back
	case err != nil:
		rep.Failure = fmt.Sprintf("it exited with code %d to have a checkpoint kept, which could not be: %v", job.CheckpointExit, err)
		return nil, rep
	}
	_ = os.Remove(a.request())
	select {
	case <-time.After(job.LeastCheckpoint - time.Since(a.begunAgain)):
	case <-a.ctx.Done():
		a.stopped = true
		rep.Failure = errStopped.Error()
		return nil, rep
	}
	a.earlier.Store(a.cpu.Load())
	next := *o
	next.Again, next.Restore = true, ""
	next.Env = a.goingOn(o.Env, c.last)
	size, _ := treeSize(0, filepath.Join(a.dir, rootName), filepath.Join(a.dir, tmpName))
	next.Disk = a.diskLeft(size - a.given.bytes)
	return &next, rep
}

// leaves takes the checkpoint of an attempt that was stopped and is to run again, if what it has left is one: it was asked to end and
// says so, or what is there at any moment is one.
func (a *attempt) leaves(rep report) {
	c := a.checkpoints
	if c == nil || c.began.IsZero() || !(rep.Code != nil && *rep.Code == job.CheckpointExit || c.spec.Every > 0 && c.program == 0) {
		return
	}
	c.stands(true)
	if err := a.takeCheckpoint(func() error { return nil }, false); err != nil { // only Close ends it, as of a result
		a.e.cfg.Logger.Warn("what a job had written that is stopped is not kept as a checkpoint", "job", string(a.task.ID), "err", err)
	}
}

// checkpointVar is the variable that tells a program for how many seconds it had run as the checkpoint was taken from which it goes on.
const checkpointVar = "UCP_CHECKPOINT="

// goingOn is an order's environment, the job's secrets with it, where the job goes on from a checkpoint.
func (a *attempt) goingOn(env []string, ran time.Duration) []string {
	if a.task.Spec.PlainEnv {
		return env
	}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, checkpointVar) })
	return append(env, checkpointVar+strconv.FormatFloat(ran.Seconds(), 'f', 3, 64))
}

// restore has an order begin with the attempt's checkpoint, in the place of those inputs that are among its paths. One that is no checkpoint,
// as a member may have made up, is none, and neither is one that is lost: the job begins from the beginning. It counts as having run for as
// long nevertheless: otherwise none of its own would count (rule J17).
func (a *attempt) restore(o *order) error {
	from := a.task.From
	if from == nil || from.Tree == "" || a.checkpoints == nil {
		return nil
	}
	file, err := a.e.cfg.Blobs.Path(from.Tree)
	if err != nil {
		return fmt.Errorf("finding the checkpoint: %w", err)
	}
	m, err := manifestAt("the checkpoint", file)
	if err == nil {
		err = checkCheckpoint(m)
	}
	if errors.As(err, new(unusable)) {
		a.e.cfg.Logger.Warn("a job begins from the beginning: its checkpoint can't be used", "job", string(a.task.ID), "err", err)
		return nil
	} else if err != nil {
		return err
	}
	o.Blobs = a.e.cfg.Blobs.Dir()
	written := int64(0)
	for i := range m.Entries {
		if e := &m.Entries[i]; e.IsFile() {
			if e.Path != stdoutName && e.Path != stderrName {
				written += wholeBlocks(e.Size)
			}
			if p, err := a.e.cfg.Blobs.Path(e.Digest); err != nil {
				return fmt.Errorf("finding %s of the checkpoint: %w", job.PathText(e.Path), err)
			} else if p != blobFile(o.Blobs, e.Digest) {
				return fmt.Errorf("blob %.12s lies at %s, where no worker looks for it", e.Digest, p)
			}
		}
	}
	o.Restore, o.Env = file, a.goingOn(o.Env, from.Ran)
	return a.replaceInputs(o, written)
}

// replaceInputs leaves out the inputs of which the checkpoint, whose files take so many bytes, has what had become of them. What the job
// had written before counts as written, so that it can't write as much as its limit once more on each broker; but it does not fail for
// what it is given, as where that had holes.
func (a *attempt) replaceInputs(o *order, bytes int64) error {
	all := a.given
	maps.DeleteFunc(o.Inputs, func(name, _ string) bool { return a.task.Spec.Checkpoint.Holds(name) })
	a.given = given{}
	if err := a.measureInputs(o); err != nil {
		return err
	}
	written := bytes + a.given.bytes - all.bytes
	a.given = all
	a.given.bytes += max(written-a.task.Spec.DiskLimit(), 0)
	o.Disk = a.diskLeft(written)
	return nil
}

// diskLeft is what a program may yet write where the job has written so much before it is started.
func (a *attempt) diskLeft(written int64) int64 {
	return max(a.task.Spec.DiskLimit()-max(written, 0), diskBlock)
}

// checkCheckpoint refuses a manifest with anything in it that no checkpoint has.
func checkCheckpoint(m *tree.Manifest) error {
	for i := range m.Entries {
		e := &m.Entries[i]
		inRoot := e.Path == rootName && e.Dir || strings.HasPrefix(e.Path, rootName+"/")
		if stream := e.IsFile() && (e.Path == stdoutName || e.Path == stderrName); !inRoot && !stream {
			return unusable{fmt.Errorf("it holds %q", job.PathText(e.Path))}
		}
	}
	return nil
}

// restore puts back the checkpoint from which the attempt goes on, if there is one.
func (s *scratch) restore(o *order) error {
	if o.Restore == "" {
		return nil
	}
	m, err := manifestAt("the checkpoint", o.Restore)
	if err != nil {
		return brokerError{err}
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return brokerError{err}
	}
	defer root.Close()
	return m.Unpack(root, ".", func(files []*tree.Entry) error {
		for _, e := range files {
			if err := copyFile(root, e.Path, blobFile(o.Blobs, e.Digest), e.Mode|0o600); err != nil {
				return err
			}
		}
		return nil
	})
}

// goOn lets the attempt write behind what is in its stdout and stderr.
func (s *scratch) goOn() { s.out.goesOn, s.err.goesOn = true, true }
