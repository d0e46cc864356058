// Package rig keeps clusters of real brokers for programs that try them out: it
// starts `ucp agent` processes, on loopback or each in a network namespace of its
// own, sends them signals, cuts and spoils the links between them, exchanges their
// disks, and asks how they are. It knows nothing of what is tried; test/chaos and
// test/compliance use it.
//
// Nothing of the machine's network is touched. As root a program puts itself into a
// [Box] first: namespaces for processes, mounts and network that end with it, and
// everything that it has made in them. So even a run that was itself killed leaves
// only its directory behind.
package rig
