package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// CarryOptions say what is packed.
type CarryOptions struct {
	For   []string // names of brokers; none is all that are not there, or everybody, if all are
	Limit int64    // bytes; 0 is DefaultCarryLimit
	Admit bool     // who of these does not take part yet does from now on
	Whole bool     // nothing is known of what they hold
	// Introduce packs only who the broker is, for whoever has never heard of it, in a city.
	Introduce bool
}

// DefaultCarryLimit is how large a file becomes unless something else is asked for.
const DefaultCarryLimit = 8 << 30

// Carried says what a file holds that is carried by hand, and in an answer to unpacking it what became of it.
type Carried struct {
	ID        string    `json:"id"`
	From      string    `json:"from"`
	For       []string  `json:"for"`
	At        time.Time `json:"at"` // when it was packed
	City      string    `json:"city,omitempty"`
	Encrypted bool      `json:"encrypted,omitempty"`

	Introduces bool           `json:"introduces,omitempty"`    // it only says who the packer is
	Records    int            `json:"records"`                 // that were packed, or read
	Kinds      map[string]int `json:"kinds,omitempty"`         // of these
	Blobs      int            `json:"blobs"`                   // the same of these
	BlobBytes  int64          `json:"blob_bytes"`              // of these
	Bytes      int64          `json:"bytes"`                   // of the file
	Words      []string       `json:"words"`                   // brokers whose word is in it: what they hold, and know all to hold
	Lacks      int            `json:"lacks"`                   // blobs that the packer asks for
	Left       int            `json:"left_out"`                // blobs that had no room in it
	Missing    int            `json:"blobs_missing,omitempty"` // blobs that no broker had that the packer reached
	Short      bool           `json:"records_left,omitempty"`  // not even all records had room
	Silent     []string       `json:"silent,omitempty"`        // who is there and did not say what it holds, as it was packed
	Whole      bool           `json:"whole"`                   // it was read to its end
	Trouble    string         `json:"trouble,omitempty"`       // why it was not
	Digest     *Digest        `json:"ledger_digest,omitempty"` // of the packer's ledger
	Same       []string       `json:"same,omitempty"`          // others that hold the same, by their own word

	// Of a file that was unpacked.
	Changed  int    `json:"changed"`             // records that are others now than before
	New      int    `json:"new_blobs"`           // blobs that were not here before
	NoRoom   int    `json:"blobs_without_room"`  // blobs that were not kept, since the disk has no room
	Damaged  int    `json:"blobs_damaged"`       // blobs that were damaged where the file was packed
	Lacking  int    `json:"blobs_lacking"`       // blobs that its records need and that have not come with it: the next file that is packed here asks for them
	Adopted  bool   `json:"adopted"`             // this broker holds now all that the packer held then
	News     int    `json:"new_words"`           // words that were news here
	Advice   string `json:"advice,omitempty"`    // what to do, where something is left to do
	Tampered bool   `json:"tampered_or_damaged"` // what was read of it before counts
	Cut      bool   `json:"cut_short,omitempty"` // the same
}

// carryReport is where the answer to packing says what was packed, behind the file.
const carryReport = "Ucp-Carried"

// CarryReportTrailer is the name of that trailer.
const CarryReportTrailer = carryReport

// Pack writes a file for others to out, and says what is in it.
func (c *Client) Pack(ctx context.Context, o CarryOptions, out io.Writer) (Carried, error) {
	q := url.Values{}
	if len(o.For) > 0 {
		q.Set("for", strings.Join(o.For, ","))
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.FormatInt(o.Limit, 10))
	}
	for name, is := range map[string]bool{"admit": o.Admit, "whole": o.Whole, "introduce": o.Introduce} {
		if is {
			q.Set(name, "1")
		}
	}
	var report Carried
	resp, err := c.do(ctx, call{method: http.MethodPost, path: []string{"v1", "carry", "pack"}, query: q, trails: true})
	if err != nil {
		return report, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, resp.Body); err != nil {
		return report, fmt.Errorf("the file broke off: %w", err)
	}
	text := resp.Trailer.Get(carryReport)
	if text == "" {
		return report, errors.New("the file broke off; its end did not come")
	}
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return report, fmt.Errorf("what was packed can't be read: %w", err)
	}
	return report, nil
}

// Unpack gives a file of so many bytes to the broker, and says what became of it; with look the broker only looks what is in it. What
// is wrong with the file is in the report.
func (c *Client) Unpack(ctx context.Context, file Content, size int64, look bool) (Carried, error) {
	q := url.Values{}
	if look {
		q.Set("dry_run", "1")
	}
	var report Carried
	resp, err := c.do(ctx, call{
		method: http.MethodPost, path: []string{"v1", "carry", "unpack"}, query: q, contentType: "application/octet-stream",
		body: file, size: size, named: true,
	})
	if err != nil {
		return report, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, maxJSON)).Decode(&report)
	return report, err
}

// WordsHeard answers POST /broker/word.
type WordsHeard struct {
	Unknown int `json:"unknown"` // words of brokers that do not take part here, as far as is known yet
}
