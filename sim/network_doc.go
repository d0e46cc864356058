// Package sim runs whole clusters without sockets and disks, for tests. It exists
// because the faults that matter (splits, crashes, lost packets, minutes of
// silence) can neither be had from real networks on demand nor be waited for.
//
// [Network] is the network: hosts, packets, streams, partitions, crashes. It is
// made for testing/synctest, whose virtual time makes an hour cost nothing.
package sim
