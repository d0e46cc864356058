// Package emergency defines emergencies: declarations that anyone can make at any broker,
// and that change which jobs come first until they are cleared or expire.
//
// A [Record] is one emergency in the ledger; records form a join-semilattice (rule E3). An
// event ([Parse], [Record.Event]) is the same in at most 400 bytes of JSON, which Serf
// broadcasts: a hint that arrives in less than a second, whereas the record is authoritative
// and arrives in any case (rule E1). Both have the same type: a hint and a record are merged
// by their join. An [ActiveSet] holds the emergencies in force at one broker, and says how they
// change a job's level.
//
// Whether an emergency is active is derived from its record and the time, and is not stored.
// Therefore an emergency also ends at brokers that the message of its clear never reaches.
//
// The package is pure: it is told the time, and neither waits nor logs. Rules cited by number
// (E1 to E4, I3, L2, L6, L7, L10, L11, S3) are in docs/protocol.md.
package emergency
