// Package gossip finds the other nodes of the cluster, detects their failures, and carries
// small messages between them. It exists so that no other package has to know Serf or
// memberlist. Rules cited by number (E1, E4, I1, I2, L11, S2, S3, S6) are in docs/protocol.md.
//
// One [Pool] is one Serf agent. On the wire it is an ordinary member of an
// ordinary Serf cluster: the stock serf command line works against its RPC port,
// and stock agents may be in the same cluster. In addition, a Pool carries one
// opaque state for its owner inside memberlist's push-pull (rule S3): each
// exchange sends [Config].State's bytes to a random peer and delivers the peer's
// bytes on [Pool.States]. Only the owner knows what the bytes mean.
//
// # How the state is carried
//
// Serf occupies memberlist's Delegate and offers no hook for user state. But it
// lets its caller choose the transport, and memberlist asks the transport for
// its final address after Serf has set the delegate and before any goroutine
// runs. At that moment our transport wraps Serf's delegate by one (transport.go,
// delegate.go) that appends a trailer to Serf's state (trailer.go). Serf's
// decoder ignores what follows its own value, so stock agents are not affected.
//
// # Goroutines
//
// A Pool owns these goroutines, and [Pool.Shutdown] waits for them:
//
//   - drain (drain.go) moves Serf's events into our bounded queue;
//   - up to 8 answers to queries (query.go);
//   - one receiver of packets (transport.go);
//   - one accept loop for incoming streams (streams.go);
//   - with Config.Discover: one that keeps a server of mDNS on each network (mdns.go), whose goroutines end
//     when it closes their sockets;
//   - the joins and the leave that callers have started (join.go, lifecycle.go);
//   - with an RPC port: one writer for each client that streams events (rpc_events.go).
//
// Serf, memberlist and the agent's RPC server run goroutines of their own, and their
// shutdowns do not wait for all of them. Pool.Shutdown closes what these goroutines
// wait for (sockets, streams, channels), so that they end by themselves at once.
// Two kinds live on until a timer ends them, and have no effect any more: a ping
// under way (usually one second, at most 8), and the responses to a query that an RPC
// client started (until the query's timeout).
//
// Nothing here blocks in a callback of memberlist or Serf: callbacks run on the
// goroutines that answer pings, and a late answer looks like a dead node.
//
// # Metrics
//
// Serf and memberlist emit their metrics only through the process-wide sink of
// hashicorp/go-metrics. The program installs one with [InstallMetrics]; otherwise
// they are discarded.
package gossip
