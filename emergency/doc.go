// Package emergency says what an emergency is: a declaration that anybody can make
// anywhere, and that changes which jobs come first until it is cleared or its time ends.
//
// A [Record] is one emergency as the ledger holds it, a join-semilattice by rule E3. An
// event ([Parse], [Record.Event]) is the same in at most 400 bytes of JSON, as Serf floods
// it: a hint that arrives in less than a second, while the record is the truth that
// arrives in any case (rule E1). Both are of one type: what a hint adds to a record is
// their join. A [ActiveSet] is what is in force at one broker, and what that does to a job.
//
// Whether an emergency is active is derived from its record and the time, and stored
// nowhere: so it ends by itself where the news that it was cleared never arrives.
//
// The package is pure: it is told the time, and neither waits nor logs.
//
// The rules that comments cite, such as E1, are defined in docs/protocol.md.
package emergency
