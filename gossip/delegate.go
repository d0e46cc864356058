package gossip

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/hashicorp/memberlist"
)

// delegate stands between memberlist and Serf's delegate. It embeds Serf's, so that everything but the
// push-pull state (rule S3) and messages that are refused (sift.go) is passed on unchanged.
//
// Its methods run on memberlist's goroutines, so they do not block.
type delegate struct {
	memberlist.Delegate                 // Serf's own
	state               func() []byte   // see Config.State
	leaving             func() []string // the names of nodes that have said that they leave and are still there
	queue               *queue
	sift                *sift
	stats               *counters
	log                 *slog.Logger
}

// NotifyMsg passes a message of Serf on, if it is let in.
func (d *delegate) NotifyMsg(b []byte) {
	if b = d.sift.userMessage(b); len(b) > 0 {
		d.Delegate.NotifyMsg(b)
	}
}

// LocalState returns what memberlist sends to a peer in a push-pull: Serf's state followed by ours. Our state
// is left out if it is beyond maxState (rule L11): Serf's part must get through even then, or one oversized
// record would split the cluster.
func (d *delegate) LocalState(join bool) []byte {
	state := d.tellLeaving(d.Delegate.LocalState(join))
	payload := d.state()
	switch {
	case len(payload) == 0:
		return state
	case len(payload) > maxState:
		d.stats.ownStateTooLong.Add(1)
		d.log.Error("this node's state is too long for push-pull and is not sent; peers get it over HTTP only",
			"bytes", len(payload), "limit", maxState)
		return state
	}
	return appendTrailer(state, payload)
}

// tellLeaving puts the nodes that are leaving into Serf's state, beside those that have left. Serf's own state gives the
// Lamport time of their word and does not say what it was: a peer that has not heard the word itself takes it for a
// join, holds the word for old when it comes, and the node for failed, not left, from then on.
func (d *delegate) tellLeaving(state []byte) []byte {
	leaving := d.leaving()
	if len(leaving) == 0 || len(state) == 0 || state[0] != serfPushPull {
		return state
	}
	var told serfState
	err := decodeWire(state[1:], &told)
	if err == nil {
		told.LeftMembers = append(told.LeftMembers, leaving...)
		state, err = encodeWire(serfPushPull, &told)
	}
	if err != nil { // it is Serf's own encoding, of this process
		d.log.Error("peers may take a leaving node for failed", "error", err)
	}
	return state
}

// MergeRemoteState removes our trailer from what a peer sent, offers it to the owner, and passes the rest to
// Serf. memberlist does not reuse buf, but Serf keeps parts of it, so our part is copied.
func (d *delegate) MergeRemoteState(buf []byte, join bool) {
	state, payload, found, err := cutTrailer(buf)
	switch {
	case err != nil:
		d.stats.statesMalformed.Add(1)
		d.log.Warn("a peer's state is ignored", "error", err)
	case found:
		d.queue.offerState(RemoteState{Data: append([]byte(nil), payload...), Join: join})
	}
	d.Delegate.MergeRemoteState(state, join)
}

// conflictDelegate tells the owner about two nodes with the same name, and then Serf, which only logs it.
type conflictDelegate struct {
	memberlist.ConflictDelegate // Serf's own
	queue                       *queue
	self                        string
}

// NotifyConflict implements memberlist.ConflictDelegate: another node claims a known name.
func (d *conflictDelegate) NotifyConflict(known, claimed *memberlist.Node) {
	d.queue.offer(NameConflict{
		Name:    known.Name,
		Ours:    known.Name == d.self,
		Known:   joinHostPort(known.Addr, known.Port),
		Claimed: joinHostPort(claimed.Addr, claimed.Port),
	})
	d.ConflictDelegate.NotifyConflict(known, claimed)
}

// installDelegates wraps the delegates that Serf has set in conf by ours. It fails when there are none: then
// this version of memberlist calls the transport earlier than known versions, and states would silently not
// be sent.
func installDelegates(conf *memberlist.Config, state func() []byte, leaving func() []string, q *queue, sift *sift, stats *counters, log *slog.Logger) error {
	if conf.Delegate == nil || conf.Conflict == nil {
		return fmt.Errorf("gossip: serf had set no delegate when memberlist asked for the address: this version of memberlist or serf cannot carry our state; build with the versions that go.mod pins")
	}
	conf.Delegate = &delegate{Delegate: conf.Delegate, state: state, leaving: leaving, queue: q, sift: sift, stats: stats, log: log}
	conf.Conflict = &conflictDelegate{ConflictDelegate: conf.Conflict, queue: q, self: conf.Name}
	return nil
}

// joinHostPort formats an address as host:port, with brackets for IPv6.
func joinHostPort(ip net.IP, port uint16) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))
}
