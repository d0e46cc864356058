package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// What an entry may say: an order, which the broker was given by a client, or one of three things that it adds by itself.
const (
	Submit     = "submit"      // a job
	Cancel     = "cancel"      // a job
	PutData    = "put-data"    // a version of named data
	RemoveData = "remove-data" // all versions of a name
	Declare    = "declare"     // an emergency, or other terms of one
	Clear      = "clear"       // an emergency
	Switch     = "switch"      // the strategy
	Drain      = "drain"       // a broker
	Resume     = "resume"      // a broker that was drained
	Forget     = "forget"      // a broker that is gone for good
	SetLevel   = "log-level"   // of the broker's own log
	Invite     = "invite"      // somebody to the city
	Admit      = "admit"       // somebody who showed an invite
	Revoke     = "revoke"      // a member of the city
	Rotate     = "rotate"      // the keys of the gossip

	AddAuthority    = "add-authority"    // of the city
	RemoveAuthority = "remove-authority" // of the city

	Pack   = "carry-pack"   // a file for brokers that can't be reached
	Unpack = "carry-unpack" // such a file

	Start   = "start"   // the broker has started
	Witness = "witness" // another broker's checkpoint
	Fork    = "fork"    // a broker has signed two histories; the heads that prove it are the detail
	Forged  = "forged"  // a record says that a broker has written what it has not; its sheet proves it
)

// Entry is one line of a log.
type Entry struct {
	At     time.Time `json:"at"`               // by the broker's clock, UTC
	What   string    `json:"what"`             // one of the constants above; a later version may have more
	Which  string    `json:"which,omitempty"`  // the ID or name of what the order is about
	Who    string    `json:"who,omitempty"`    // who gave it: the name that it has shown, if it has, and its address, after its name where it has shown one
	Status int       `json:"status,omitempty"` // HTTP status that the client was answered
	Detail string    `json:"detail,omitempty"` // more of the order, for people

	Key  string `json:"key,omitempty"`  // of a witness: the other broker's key
	Note string `json:"note,omitempty"` // of a witness: the checkpoint
}

// maxEntry bounds an entry, in bytes.
const maxEntry = 4 << 10

// encode is the entry as the log holds it: JSON on one line, without its end.
func (e *Entry) encode() ([]byte, error) {
	e.At = e.At.UTC().Round(time.Millisecond)
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	if err := j.Encode(e); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	line := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(line) > maxEntry {
		return nil, fmt.Errorf("audit: an entry of %d bytes, at most %d are allowed", len(line), maxEntry)
	}
	return line, nil
}

// decodeEntry reads a line of a log.
func decodeEntry(line []byte) (e Entry, err error) {
	if len(line) > maxEntry {
		return e, fmt.Errorf("it has %d bytes, at most %d are allowed", len(line), maxEntry)
	}
	err = json.Unmarshal(line, &e)
	return e, err
}
