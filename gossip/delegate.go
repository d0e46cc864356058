package gossip

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// delegate stands between memberlist and Serf's delegate. It embeds Serf's, so that everything but the
// push-pull state (rule S3) and messages that are refused (sift.go) is passed on unchanged.
//
// Its methods run on memberlist's goroutines, so they do not block.
type delegate struct {
	memberlist.Delegate                                  // Serf's own
	state               func() []byte                    // see Config.State
	withStatus          func(serf.MemberStatus) []string // names of nodes
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

// A state of Serf gives the Lamport time of each node's last word and does not say what that was, but of those that have
// left. A peer that has not heard the word of a node that is leaving itself takes it for a join, holds the word for old when
// it comes, and the node for failed, not left, from then on. So both who tells and who is told take care.

// tellLeaving puts the nodes that are leaving into Serf's state, beside those that have left. Whoever is told takes the time of
// such a word for one later than the state says, so that it says one less: otherwise the time would grow from one to the
// next, the leaving node among them, until what that tells of itself looked like a join that came later.
func (d *delegate) tellLeaving(state []byte) []byte {
	leaving := d.withStatus(serf.StatusLeaving)
	if len(leaving) == 0 {
		return state
	}
	return d.changed(state, func(told *serfState) {
		told.LeftMembers = append(told.LeftMembers, leaving...)
		for _, name := range leaving {
			if told.StatusLTimes[name] > 0 {
				told.StatusLTimes[name]--
			}
		}
	})
}

// doubtJoins makes the time of the last word of each node that is alive here one less, so that a leave at that very time is
// still heard: stock agents, and brokers of versions before, do not tell who is leaving. A join needs no more, since all that the
// node has said before it is older still. That of a node that is leaving here is made less, too: brokers of the version before
// tell of a leave at a time that is one too late.
func (d *delegate) doubtJoins(state []byte) []byte {
	here := slices.Concat(d.withStatus(serf.StatusAlive), d.withStatus(serf.StatusLeaving))
	return d.changed(state, func(told *serfState) {
		for _, name := range here {
			if t := told.StatusLTimes[name]; t > 0 && !slices.Contains(told.LeftMembers, name) {
				told.StatusLTimes[name] = t - 1
			}
		}
	})
}

// changed is a state of Serf after a change; one that cannot be read is left to Serf, which says so.
func (d *delegate) changed(state []byte, change func(*serfState)) []byte {
	var told serfState
	if len(state) == 0 || state[0] != serfPushPull || decodeWire(state[1:], &told) != nil {
		return state
	}
	change(&told)
	out, err := encodeWire(serfPushPull, &told)
	if err != nil {
		d.log.Error("a leaving node may be taken for failed", "error", err)
		return state
	}
	return out
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
	d.Delegate.MergeRemoteState(d.doubtJoins(state), join)
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
func installDelegates(conf *memberlist.Config, state func() []byte, withStatus func(serf.MemberStatus) []string, q *queue, sift *sift, stats *counters, log *slog.Logger) error {
	if conf.Delegate == nil || conf.Conflict == nil {
		return fmt.Errorf("gossip: serf had set no delegate when memberlist asked for the address: this version of memberlist or serf cannot carry our state; build with the versions that go.mod pins")
	}
	conf.Delegate = &delegate{Delegate: conf.Delegate, state: state, withStatus: withStatus, queue: q, sift: sift, stats: stats, log: log}
	conf.Conflict = &conflictDelegate{ConflictDelegate: conf.Conflict, queue: q, self: conf.Name}
	return nil
}

// joinHostPort formats an address as host:port, with brackets for IPv6.
func joinHostPort(ip net.IP, port uint16) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))
}
