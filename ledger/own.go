package ledger

// ownSpace is the part of a store for a broker's own values.
const ownSpace = 'o'

// KeepOwn writes a value that is this broker's own, or deletes it when value is nil. It goes with the next
// batch; no other broker ever sees it, and no clock covers it.
func (l *Ledger) KeepOwn(name string, value []byte) {
	l.own = append(l.own, OwnOp(name, value))
}

// OwnOp is the same write by itself, for whoever writes a batch.
func OwnOp(name string, value []byte) Op { return Op{ownKey(name), value} }

// Own shows a broker's own values in a store, in the order of their names as far as the store's Scan is ordered.
// The value is only valid during the call.
func Own(scan Scan, fn func(name string, value []byte) error) error {
	return scan([]byte{ownSpace}, func(key, value []byte) error {
		return fn(string(key[1:]), value)
	})
}

func ownKey(name string) []byte { return append([]byte{ownSpace}, name...) }
