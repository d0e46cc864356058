package node

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// heldFS is a disk whose syncs of files wait while they are held.
type heldFS struct {
	vfs.FS
	hold    *atomic.Bool
	release chan struct{}
}

type heldFile struct {
	vfs.File
	fs heldFS
}

func (f heldFile) wait() {
	if f.fs.hold.Load() {
		<-f.fs.release
	}
}

func (f heldFile) Sync() error                       { f.wait(); return f.File.Sync() }
func (f heldFile) SyncData() error                   { f.wait(); return f.File.SyncData() }
func (f heldFile) SyncTo(length int64) (bool, error) { f.wait(); return f.File.SyncTo(length) }

func (fs heldFS) held(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return heldFile{f, fs}, nil
}

func (fs heldFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.held(fs.FS.Create(name, c))
}

func (fs heldFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.held(fs.FS.ReuseForWrite(from, to, c))
}

// Nothing leaves the broker that is not synced: while the disk holds a commit
// back nobody is answered and no message is sent, and what comes in meanwhile is
// stepped and goes with the next commit (rules I4, A2).
func TestNothingLeavesBeforeTheSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := heldFS{vfs.NewMem(), new(atomic.Bool), make(chan struct{})}
		st, err := store.Open(store.Options{Dir: "/data", FS: disk, Fatal: func(err error) { t.Error(err) }})
		require.NoError(t, err)
		core := broker.New(broker.Config{
			Actor: "a~00000001", Replicas: 1, SyncInterval: time.Minute, AckTimeout: time.Second, NewsLinks: true, Archive: st,
		})
		var sent atomic.Int64
		e := newEngine(core, st, time.Now, func(rd broker.Ready) { sent.Add(int64(len(rd.Send))) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.run(ctx) }()
		meet := func(names ...string) {
			var list []membership.Member
			for _, name := range names {
				list = append(list, membership.Member{Name: name, Actor: clock.Actor(name + "~00000001"), HTTPAddr: name + ":8000", Status: membership.Alive})
			}
			e.Tell(broker.Roster{Members: list})
			synctest.Wait()
		}
		meet("b")
		before := sent.Load()

		disk.hold.Store(true)
		spec := benchSpec(t)
		var answered atomic.Int64
		submit := func(id string) {
			_, err := e.Ask(ctx, func(token broker.Token) broker.Input {
				return broker.Submit{Token: token, ID: job.ID("j" + id), Spec: spec}
			})
			require.NoError(t, err)
			answered.Add(1)
		}
		go submit("1")
		synctest.Wait()
		go submit("2")
		meet("b", "c")
		require.Zero(t, answered.Load(), "answered before the sync")
		require.Equal(t, before, sent.Load(), "sent before the sync")

		disk.hold.Store(false)
		close(disk.release)
		synctest.Wait()
		require.EqualValues(t, 2, answered.Load())
		require.Greater(t, sent.Load(), before)
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, st.Close())
	})
}
