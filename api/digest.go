package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// Digest answers GET /broker/digest: a broker's ledger in one hash, at its clock.
// Two brokers with equal clocks hold the same, or something is wrong; only what is past its
// retention each forgets in its own time. Rows of starts and stubs (rules K2, M4), which
// differ in the same way, are left out. An older version has rows among its records, of kind "start".
type Digest struct {
	Name        string         `json:"name"`
	Actor       clock.Actor    `json:"actor"`
	Clock       clock.Vector   `json:"clock"` // with ?records=1 also what its entries imply (rule K1)
	Records     int            `json:"records"`
	Stubs       int            `json:"stubs"`          // finished jobs past their retention of which only stays how they ended: not among Records
	Quarantined int            `json:"quarantined"`    // records of peers that don't validate
	Digest      string         `json:"digest"`         // of all records, in the order of their keys
	List        []RecordDigest `json:"list,omitempty"` // with ?records=1
	AsOf        time.Time      `json:"as_of"`
}

// RecordDigest is one record in a Digest.
type RecordDigest struct {
	Kind     string      `json:"kind"`
	Key      string      `json:"key"`
	Digest   string      `json:"digest"`
	Finished bool        `json:"finished"`
	Created  []clock.Dot `json:"created"` // who covers these and lacks the record has forgotten it
}

// Digest asks the broker for the digest of its ledger; with records also for that of
// every record.
func (c *Client) Digest(ctx context.Context, records bool) (Digest, error) {
	q := url.Values{}
	if records {
		q.Set("records", "1")
	}
	var d Digest
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"broker", "digest"}, query: q}, 0, &d)
	return d, err
}
