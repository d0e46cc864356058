package httpd

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/ledger"
)

// handleDigest sums up what is on this broker's disk, for `ucp cluster verify`: one
// consistent snapshot, read without the loop. One at a time.
func (srv *Server) handleDigest(w http.ResponseWriter, r *http.Request) error {
	if !srv.digesting.TryLock() {
		return fail(http.StatusTooManyRequests, api.CodeBusy, "another digest is being made; ask again in a second")
	}
	defer srv.digesting.Unlock()
	d, err := srv.summary(queryYes(r, "records"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, d)
	return nil
}

// LedgerDigest sums up what is on this broker's disk, without a list.
func (srv *Server) LedgerDigest() (*api.Digest, error) { return srv.summary(false) }

func (srv *Server) summary(list bool) (*api.Digest, error) {
	d := &api.Digest{Name: srv.cfg.Name, Actor: srv.host.Actor(), Clock: clock.Vector{}, AsOf: srv.host.CityTime()}
	return d, srv.store.Snapshot(func(scan func([]byte, func(key, value []byte) error) error) error { return sumUp(d, scan, list) })
}

// sumUp fills a digest with what a store holds; with list also with each record. What brokers may hold otherwise than
// others though they know the same is left out: rows of starts, and stubs (rule M4).
func sumUp(d *api.Digest, scan ledger.Scan, list bool) error {
	c, err := ledger.StoredClock(scan)
	if err != nil {
		return err
	}
	if d.Quarantined, err = ledger.StoredQuarantine(scan); err != nil {
		return err
	}
	if d.Stubs, err = ledger.StoredStubs(scan); err != nil {
		return err
	}
	sum := sha256.New()
	var lineage clock.Lineage
	err = ledger.Records(scan, kind.Schemas, func(s ledger.Stored) error {
		if s.Kind == ledger.Starts { // each broker keeps the rows that it needs (rule K2): equal clocks stand for the same
			if row, ok := s.Record.(*ledger.Row); ok && list {
				return lineage.Add(row.Actor, row.Parents)
			}
			return nil
		}
		value := s.Value
		if r, ok := s.Record.(*data.Record); ok { // the places of what was removed go at each broker in its own time (rule D4)
			if value = r.Shown(); value == nil {
				return nil
			}
		}
		d.Records++
		one := sha256.Sum256(value)
		sum.Write(s.Key)
		sum.Write(one[:])
		if list {
			d.List = append(d.List, describe(s, one[:], clock.At(d.AsOf)))
		}
		return nil
	})
	d.Digest = hex.EncodeToString(sum.Sum(nil))
	d.Clock = append(d.Clock, lineage.Expand(c)...)
	return err
}

// describe names one stored record. Of one that can't be decoded it says no more than that.
func describe(s ledger.Stored, sum []byte, now clock.Time) api.RecordDigest {
	out := api.RecordDigest{Kind: string(s.Kind), Key: s.Ref.Key, Digest: hex.EncodeToString(sum)}
	if s.Record != nil {
		out.Finished = s.Record.Finished()
		if e, ok := s.Record.(*emergency.Record); ok {
			out.Finished = e.Over(now) // from then on each broker forgets it in its own time (rule T1)
		}
		out.Created = slices.Collect(s.Record.Creations())
	}
	return out
}
