package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// handleDigest sums up what is on this broker's disk, for `ucp cluster verify`: one
// consistent snapshot, read without the loop. One at a time.
func (n *Node) handleDigest(w http.ResponseWriter, r *http.Request) error {
	if !n.digesting.TryLock() {
		return fail(http.StatusTooManyRequests, api.CodeBusy, "another digest is being made; ask again in a second")
	}
	defer n.digesting.Unlock()
	list := r.URL.Query().Get("records") != ""
	d := api.Digest{Name: n.name, Actor: n.actor, Clock: clock.Vector{}, AsOf: n.cfg.Now().UTC()}
	sum := sha256.New()
	err := n.store.Scan(nil, func(key, value []byte) error {
		switch {
		case bytes.HasPrefix(key, []byte("q")):
			d.Quarantined++
		case string(key) == "c":
			c, err := ledger.DecodeClock(value)
			d.Clock = c
			return err
		case bytes.HasPrefix(key, []byte("r")):
			d.Records++
			one := sha256.Sum256(value)
			sum.Write(key)
			sum.Write(one[:])
			if list {
				d.List = append(d.List, describe(key, value, one[:]))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.Digest = hex.EncodeToString(sum.Sum(nil))
	writeJSON(w, http.StatusOK, d)
	return nil
}

// describe names one stored record; the key is "r", kind, 0x00, key.
func describe(key, value, sum []byte) api.RecordDigest {
	i := max(bytes.IndexByte(key, 0), 1)
	out := api.RecordDigest{Kind: string(key[1:i]), Key: string(key[min(i+1, len(key)):]), Digest: hex.EncodeToString(sum)}
	if rec, err := job.DecodeRecord(slices.Clone(value)); err == nil {
		out.Finished = rec.Finished()
		for _, s := range rec.Created {
			out.Created = append(out.Created, s.Dot)
		}
	}
	return out
}
