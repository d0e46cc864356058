package node

import (
	"context"
	"io"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
	"github.com/urban-compute/ucp/tree"
)

// host shows a node to its HTTP server.
type host struct{ n *Node }

var _ httpd.Host = host{}

func (h host) Actor() clock.Actor                           { return h.n.starts.actor() }
func (h host) Overview() *broker.Overview                   { return h.n.shown.overview.Load() }
func (h host) CityTime() time.Time                          { return h.n.cityTime() }
func (h host) Sound(ctx context.Context, d job.Digest) bool { return h.n.blobs.sound(ctx, d) }
func (h host) AllowsModule(d job.Digest) error              { return h.n.gate.check(d) }
func (h host) DiskFull() string                             { return h.n.reserve.why() }
func (h host) Hold(size int64) (func(int64), string)        { return h.n.reserve.hold(size) }
func (h host) Troubles() []string {
	return append(append(h.n.heads.troubles(), h.n.audits.troubles()...), h.n.bound.lost(), h.n.members.lookups.failing(), h.n.members.nobodyAnswers(), h.n.members.unseen(), h.n.webTrouble())
}
func (h host) Exposed() []string                         { return doorTexts(h.n.cfg.exposed()) }
func (h host) Used() (cores, memory float64, known bool) { return h.n.executions.used() }
func (h host) Workers() (busy, idle int, known bool)     { return workers(h.n.executions.runner) }
func (h host) Disk() httpd.Disk                          { return h.n.reserve.disk() }
func (h host) ModuleCache() *api.ModuleCache             { return moduleCache(h.n.executions.runner) }
func (h host) Sandbox() *api.Sandbox                     { return sandbox(h.n.executions.runner) }
func (h host) ModuleSandbox() *api.Sandbox               { return moduleSandbox(h.n.executions.runner) }
func (h host) WorkerMemory() *api.WorkerMemory           { return workerMemory(h.n.executions.runner) }
func (h host) Addresses() (string, string) {
	t := h.n.told.Load()
	return t.http, h.n.members.gossipAddr()
}
func (h host) Output(key, attempt string, stderr bool) (httpd.Running, bool) {
	return output(h.n.executions.runner, key, attempt, stderr)
}
func (h host) Members() []gossip.Member                        { return h.n.members.inPool() }
func (h host) RTT(name string) (time.Duration, bool)           { return h.n.members.rtt(name) }
func (h host) Brokers() []membership.Member                    { return h.n.members.brokers() }
func (h host) Heard(name string)                               { h.n.peers.heard(name, true) }
func (h host) Contacts() (map[string]httpd.Contact, time.Time) { return h.n.peers.contacts() }
func (h host) Contact(name string) httpd.Contact               { return h.n.peers.contact(name) }
func (h host) Ask(ctx context.Context) map[string]bool         { return h.n.peers.askAll(ctx) }
func (h host) Running() bool                                   { return h.n.life.ctx.Err() == nil }
func (h host) Joined() <-chan struct{}                         { return h.n.life.joined }
func (h host) Leaving() context.Context                        { return h.n.life.leaving }

func (h host) Holds(ctx context.Context, m membership.Member, d job.Digest) (bool, error) {
	if manifest, isTree := d.Tree(); isTree {
		return h.n.peers.holdsTree(ctx, m, manifest)
	}
	return h.n.peers.holds(ctx, m.HTTPAddr, m.Name, m.Actor, d)
}

func (h host) Pack(ctx context.Context, out io.Writer, o api.CarryOptions) (api.Carried, error) {
	return h.n.carrier.Pack(ctx, out, o)
}

func (h host) Unpack(ctx context.Context, in io.Reader, look bool) (api.Carried, error) {
	return h.n.carrier.Unpack(ctx, in, look)
}

func (h host) Word(ctx context.Context) ([]byte, error) { return h.n.carrier.Word(ctx) }

func (h host) HearWords(ctx context.Context, words [][]byte) (int, error) {
	return h.n.carrier.Hear(ctx, words)
}

func (h host) Manifest(d job.Digest) (*tree.Manifest, error) { return h.n.blobs.manifest(d) }

func (h host) Lacks(ctx context.Context, d job.Digest, most int) ([]job.Digest, error) {
	return h.n.blobs.lacks(ctx, d, most)
}

func (h host) Chunks(ctx context.Context, d job.Digest) ([]byte, error) {
	if !h.n.blobs.soundFile(ctx, d) {
		return nil, store.ErrNotFound
	}
	return h.n.blobs.chunks(h.n.life.ctx, d) // who asks may not wait for it, and asks again
}

func (h host) Rated(ctx context.Context, addr string, r io.Reader) io.Reader {
	return h.n.peers.rates.to(ctx, addr, r)
}

func (h host) Arriving(key string) string { return h.n.peers.arrives(key) }

func (h host) Follow(ctx context.Context, broker, path string) (io.ReadCloser, error) {
	return h.n.peers.follow(ctx, broker, path)
}

func (h host) Need(ctx context.Context, d job.Digest, from []string) error {
	return h.n.peers.need(ctx, d, from)
}
