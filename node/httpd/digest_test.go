package httpd

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// Brokers that hold the same have one digest, also while they have dropped different rows of starts, and while some keep
// only how jobs have ended (rules K2, M4).
func TestDigestLeavesOutWhatIsDropped(t *testing.T) {
	spec := job.Spec{Command: "work"}
	r := job.New("j", spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 2}, At: 1})
	earlier, later := clock.StartActor("a", 1), clock.StartActor("a", 2)
	row := &ledger.Row{Actor: later, Parents: clock.NewTips(clock.Dot{Actor: earlier, Counter: 9})}
	store := map[string][]byte{string(ledger.RecordKey(kind.JobRef(r.Key()))): r.Encode()}
	digest := func(more map[string][]byte) (d api.Digest) {
		all := maps.Clone(store)
		maps.Copy(all, more)
		require.NoError(t, sumUp(&d, func(prefix []byte, fn func(key, value []byte) error) error {
			for _, key := range slices.Sorted(maps.Keys(all)) {
				if bytes.HasPrefix([]byte(key), prefix) {
					if err := fn([]byte(key), all[key]); err != nil {
						return err
					}
				}
			}
			return nil
		}, true))
		return d
	}
	plain := digest(nil)
	with := digest(map[string][]byte{
		string(ledger.RecordKey(ledger.Ref{Kind: ledger.Starts, Key: row.Key()})): row.Encode(),
		string(ledger.StubKey(kind.JobRef("gone~1"))):                             {1},
	})
	require.Equal(t, plain.Digest, with.Digest)
	require.Equal(t, plain.List, with.List)
	require.Equal(t, 1, with.Records)
	require.Equal(t, 1, with.Stubs)
	require.Zero(t, plain.Stubs)
	store[string(ledger.RecordKey(kind.JobRef("k~1")))] = r.Encode()
	require.NotEqual(t, plain.Digest, digest(nil).Digest)
}
