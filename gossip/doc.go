// Package gossip finds the other nodes, detects their failures, and carries small
// facts between them. It exists so that no other package has to know Serf or
// memberlist. The rules (S3, ...) are numbered in docs/protocol.md.
//
// One [Pool] is one Serf agent. On the wire it is an ordinary member of an
// ordinary Serf cluster: the stock serf command line works against its RPC port,
// and stock agents may be in the same cluster. On top of that a Pool carries one
// opaque state for its owner inside memberlist's push-pull (rule S3): each
// exchange hands [Config].State's bytes to a random peer and delivers the peer's
// bytes on [Pool.States]. What the bytes mean is the owner's business.
//
// # How the state rides along
//
// Serf occupies memberlist's Delegate and offers no hook for user state. But it
// lets its caller choose the transport, and memberlist asks the transport for
// its final address after Serf has set the delegate and before any goroutine
// runs. There our transport puts a delegate around Serf's (transport.go,
// delegate.go) that adds a trailer behind Serf's state (trailer.go). Serf's
// decoder does not look behind its own value, so stock agents never notice.
//
// # Who runs what
//
// A Pool owns these goroutines, and [Pool.Shutdown] waits for them:
//
//   - drain (drain.go) empties Serf's event channel into our bounded queue;
//   - up to 8 answers to queries (query.go);
//   - one accept loop for incoming streams (streams.go);
//   - the joins and the leave that callers started (join.go, lifecycle.go);
//   - with an RPC port: one writer for each client that streams events (rpc_events.go).
//
// Serf, memberlist and the agent's RPC server run goroutines of their own. Their
// shutdowns do not wait for all of these; Pool.Shutdown takes away what those
// wait for (sockets, streams, channels), so that they end by themselves at once.
// Two kinds live on until a timer ends them, and touch nothing any more: a ping
// under way (a second, at most 8), and the responses to a query that an RPC
// client started (until the query's timeout).
//
// Nothing here blocks in a callback of memberlist or Serf: callbacks run on the
// goroutines that answer pings, and a late answer looks like a dead node.
//
// # Metrics
//
// Serf and memberlist emit through the process-wide sink of hashicorp/go-metrics;
// they offer no other. The program installs one with [InstallMetrics]; without
// that the figures go nowhere. What this package counts itself is in [Stats].
//
// The rules that comments cite, such as E1, are defined in docs/protocol.md.
package gossip
