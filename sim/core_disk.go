package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
)

// disk is what a simulated broker has synced: the values of its store by their keys.
type disk map[string][]byte

// scan shows the keys that begin with a prefix, in order.
func (d disk) scan(prefix []byte, fn func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(d)) {
		if strings.HasPrefix(k, string(prefix)) {
			if err := fn([]byte(k), d[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Get implements ledger.Archive.
func (d disk) Get(key []byte) (value []byte, found bool, err error) {
	value, found = d[string(key)]
	return value, found, nil
}

// Walk implements ledger.Archive.
func (d disk) Walk(prefix, after []byte, fn func(key, value []byte) bool) error {
	for _, k := range slices.Sorted(maps.Keys(d)) {
		if strings.HasPrefix(k, string(prefix)) && k > string(after) && !fn([]byte(k), d[k]) {
			break
		}
	}
	return nil
}

// of lists the whole jobs of an ID (rule J3), by their keys.
func (d disk) of(id job.ID) (keys []string) {
	prefix := jobKey(string(id) + "~")
	for k := range d {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// archive is a broker's disk as its core reads it.
type archive struct {
	disk
	c *Core
	n *coreNode
}

// Get implements ledger.Archive.
func (a archive) Get(key []byte) (value []byte, found bool, err error) {
	a.c.saw(a.n, reads{})
	return a.disk.Get(key)
}

// lineage is what the disk knows of starts.
func (d disk) lineage() *clock.Lineage {
	l := new(clock.Lineage)
	rows := func(_ []byte, fn func(key, value []byte) error) error {
		return d.scan(ledger.RecordKey(ledger.Ref{Kind: ledger.Starts}), fn)
	}
	must(ledger.Records(rows, kind.Schemas, func(s ledger.Stored) error {
		row := s.Record.(*ledger.Row)
		return l.Add(row.Actor, row.Parents)
	}))
	return l
}

// job returns a job by its key, nil when the disk has none.
func (d disk) job(key string) *job.Record {
	if value, ok := d[jobKey(key)]; ok {
		return decodeJob(value)
	}
	if value, ok := d[stubKey(key)]; ok {
		r, err := job.DecodeStub(key, value)
		must(err)
		return r
	}
	return nil
}

// holds reports whether the disk has a job, or its stub.
func (d disk) holds(key string) bool {
	_, whole := d[jobKey(key)]
	_, stub := d[stubKey(key)]
	return whole || stub
}

// stable is the stable clock of the disk's broker (rule F1).
func (d disk) stable() clock.Tips {
	c, err := ledger.StoredStableClock(d.scan)
	must(err)
	return c
}

// member returns a broker's member record, nil when the disk has none.
func (d disk) member(name string) *roll.Record {
	value, ok := d[string(ledger.RecordKey(kind.MemberRef(name)))]
	if !ok {
		return nil
	}
	r, err := roll.Decode(value)
	must(err)
	return r
}

// jobs lists the jobs by their keys.
func (d disk) jobs() (out []*job.Record) {
	must(ledger.Records(d.scan, kind.Schemas, func(s ledger.Stored) error {
		if r, ok := s.Record.(*job.Record); ok {
			out = append(out, r)
		}
		return s.Err
	}))
	return out
}

func jobKey(key string) string { return string(ledger.RecordKey(kind.JobRef(key))) }

func stubKey(key string) string { return string(ledger.StubKey(kind.JobRef(key))) }

// isJob reports whether a store's key is that of a whole job, and which.
func isJob(storeKey string) (key string, ok bool) {
	ref, ok := ledger.RefOf([]byte(storeKey))
	return ref.Key, ok && ref.Kind == kind.Job
}

// isStub reports whether a store's key is that of a job's stub, and which.
func isStub(storeKey string) (key string, ok bool) {
	ref, ok := ledger.StubRefOf([]byte(storeKey))
	return ref.Key, ok && ref.Kind == kind.Job
}

func decodeJob(value []byte) *job.Record {
	r, err := job.DecodeRecord(value)
	must(err)
	return r
}

// sketch shows a stored value in a few words.
func sketch(storeKey string, value []byte) string {
	ref, isRecord := ledger.RefOf([]byte(storeKey))
	schema, known := kind.Schemas[ref.Kind]
	switch {
	case value == nil:
		return "absent"
	case !isRecord || !known:
		return fmt.Sprintf("%q", value)
	}
	decoded, err := schema.Decode(value)
	if err != nil {
		return err.Error()
	}
	switch r := decoded.(type) {
	case *job.Record:
		return fmt.Sprintf("%s owner %s epoch %d, at %s, %d verdicts, dots %v", r.State(), r.Owner.Actor, r.Owner.Tenure.Epoch, r.Place.Actor, len(r.Verdicts), r.Dots)
	case *emergency.Record:
		return fmt.Sprintf("%s level %d, version %d of %s, cleared %v, dots %v", r.Terms.Type, r.Terms.Level, r.Version.Seq, r.Version.By, r.Finished(), r.Dots)
	case *setting.Setting:
		return fmt.Sprintf("%q, version %d of %s, dots %v", r.Value, r.Seq, r.By, r.Dots)
	case *roll.Record:
		return fmt.Sprintf("epoch %d, closed %q, by %v, dots %v", r.Epoch, r.Closed, r.By, r.Dots)
	case *data.Record:
		return fmt.Sprintf("%d versions, latest %v, dots %v", len(r.Versions), r.Latest(), r.Dots)
	}
	return fmt.Sprintf("%T", decoded)
}
