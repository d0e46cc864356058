// Package sim runs whole clusters without sockets and disks, for tests: [Core] the decisions
// alone, in one loop that is repeatable bit for bit from its seed; [Cluster] whole nodes in
// virtual time, on the network of package simnet.
//
// The rules that comments cite, such as C3, are defined in docs/protocol.md.
package sim
