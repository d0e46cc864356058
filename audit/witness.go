package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// witness is what was last written down of another broker's log.
type witness struct {
	Key    string    `json:"key"`
	Signed string    `json:"checkpoint"`
	At     time.Time `json:"at"`
}

// witnessEvery is how often a log takes note of another one, at most.
const witnessEvery = time.Minute

// maxWitnesses bounds the brokers of which a log takes note.
const maxWitnesses = 1000

// recall reads what was written down of the others.
func (l *Log) recall() error {
	var failed error
	err := l.disk.Walk([]byte(witnessPrefix), nil, func(key, value []byte) bool {
		var w witness
		if failed = json.Unmarshal(value, &w); failed != nil {
			return false
		}
		l.witnesses[strings.TrimPrefix(string(key), witnessPrefix)] = w
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("audit: the checkpoints of others: %w", err)
	}
	return nil
}

// ForkError says that another broker's log is not what it was: something that was in it is no longer there.
type ForkError struct {
	Name string
	Why  string
}

// Error implements error.
func (e *ForkError) Error() string {
	return fmt.Sprintf("the audit log of %s is not the one that it was: %s", e.Name, e.Why)
}

// Witness takes note of what a broker of that name has shown of its log, unless it did so less than a minute ago, or the
// log has no further orders. It returns a [*ForkError] when that contradicts what the broker showed before; what it has
// shown is written down then, too, as evidence, once. Of a log that has no new orders, of more than 1,000 brokers, and of
// this one itself, it takes no note.
func (l *Log) Witness(name, key, signed string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.witnesses[name]
	if name == l.name || old.Key == key && old.Signed == signed || !known && len(l.witnesses) >= maxWitnesses {
		return nil
	}
	if since := now.Sub(old.At); known && since >= 0 && since < witnessEvery {
		return nil
	}
	c, err := OpenCheckpoint(signed, key)
	if err != nil {
		return err
	}
	if c.Name != name {
		return fmt.Errorf("audit: %s shows a checkpoint of the log of %s", name, c.Name)
	}
	fork, orders := contradiction(old, known, key, c)
	if !orders && fork == "" {
		return nil
	}
	w := witness{Key: key, Signed: signed, At: now}
	value, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	e := Entry{At: now, What: Witness, Which: name, Key: key, Note: signed}
	if err := l.append([]Entry{e}, Write{[]byte(witnessPrefix + name), value}); err != nil {
		return err
	}
	l.witnesses[name] = w
	if fork != "" {
		return &ForkError{Name: name, Why: fork}
	}
	return nil
}

// contradiction says why a log that was known can't have become what it is now, "" where it can; and whether there are
// orders in it that were not there before.
func contradiction(old witness, known bool, key string, now Checkpoint) (why string, orders bool) {
	if !known {
		return "", now.Orders > 0
	}
	if old.Key != key {
		return "it has another key; its disk was lost or replaced, or somebody else speaks in its name", true
	}
	before, err := OpenCheckpoint(old.Signed, old.Key)
	switch {
	case err != nil: // it was verified before it was written
		return err.Error(), true
	case now.Size < before.Size:
		return fmt.Sprintf("it has %d entries and had %d", now.Size, before.Size), true
	case now.Size == before.Size && now.Root != before.Root:
		return fmt.Sprintf("of its first %d entries there are two versions", now.Size), true
	}
	return "", now.Orders > before.Orders
}
