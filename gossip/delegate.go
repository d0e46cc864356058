package gossip

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/hashicorp/memberlist"
)

// delegate stands between memberlist and Serf's delegate. It embeds Serf's, so
// that everything but the push-pull state goes straight through; rule S3.
//
// Its methods run on memberlist's goroutines: they neither block nor lock.
type delegate struct {
	memberlist.Delegate               // Serf's own
	state               func() []byte // an encoded snapshot, or empty for none
	queue               *queue
	stats               *counters
	log                 *slog.Logger
}

// LocalState is what memberlist sends to a peer in a push-pull: Serf's state and
// ours behind it. A state beyond MaxState is left out (rule L11): Serf's part must
// still get through, or the pool would fall apart over one oversized record.
func (d *delegate) LocalState(join bool) []byte {
	state := d.Delegate.LocalState(join)
	payload := d.state()
	switch {
	case len(payload) == 0:
		return state
	case len(payload) > MaxState:
		d.stats.ownStateTooLong.Add(1)
		d.log.Error("own state is too long for push-pull and is not sent; peers learn it over HTTP only",
			"bytes", len(payload), "limit", MaxState)
		return state
	}
	return appendTrailer(state, payload)
}

// MergeRemoteState takes our trailer off what a peer sent, offers it to the
// owner, and gives Serf the rest. memberlist reuses nothing of buf, but Serf
// keeps what it decodes, so our part is copied.
func (d *delegate) MergeRemoteState(buf []byte, join bool) {
	state, payload, found, err := cutTrailer(buf)
	switch {
	case err != nil:
		d.stats.remoteStateMalformed.Add(1)
		d.log.Warn("a peer's state is ignored", "error", err)
	case found:
		d.queue.offerState(RemoteState{Data: append([]byte(nil), payload...), Join: join})
	}
	d.Delegate.MergeRemoteState(state, join)
}

// conflictDelegate tells the owner about two nodes with one name, beside Serf,
// which only writes it to the log.
type conflictDelegate struct {
	memberlist.ConflictDelegate // Serf's own
	queue                       *queue
	self                        string
}

// NotifyConflict is called by memberlist when another node claims a known name.
func (d *conflictDelegate) NotifyConflict(known, claimed *memberlist.Node) {
	d.queue.offer(NameConflict{
		Name:    known.Name,
		Ours:    known.Name == d.self,
		Known:   joinHostPort(known.Addr, known.Port),
		Claimed: joinHostPort(claimed.Addr, claimed.Port),
	})
	d.ConflictDelegate.NotifyConflict(known, claimed)
}

// installDelegates puts our delegates around those that Serf has set in conf. It
// fails, loudly, when there are none: then this memberlist calls the transport
// earlier than the ones we know, and states would silently stay at home.
func installDelegates(conf *memberlist.Config, state func() []byte, q *queue, stats *counters, log *slog.Logger) error {
	if conf.Delegate == nil || conf.Conflict == nil {
		return fmt.Errorf("gossip: serf has set no delegate before memberlist asks for the address: this version of memberlist or serf cannot carry our state; build with the versions that go.mod pins")
	}
	conf.Delegate = &delegate{Delegate: conf.Delegate, state: state, queue: q, stats: stats, log: log}
	conf.Conflict = &conflictDelegate{ConflictDelegate: conf.Conflict, queue: q, self: conf.Name}
	return nil
}

// joinHostPort renders an address as host:port, with brackets for IPv6.
func joinHostPort(ip net.IP, port uint16) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))
}
