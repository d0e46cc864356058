package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/urban-compute/ucp/strictjson"
)

// Invitation is what an operator asks of a broker: that it lets somebody into the city. Empty fields are the broker's choice.
type Invitation struct {
	Name       string `json:"name,omitempty"`       // of the new member
	Role       string `json:"role,omitempty"`       // broker, operator or client
	TTL        string `json:"ttl,omitempty"`        // how long the invite holds, such as 1h
	Addr       string `json:"addr,omitempty"`       // HOST:PORT of this broker as the new member reaches it
	Passphrase string `json:"passphrase,omitempty"` // of the authority's key at the broker
}

// Invite is an invite to the city. Its code is a secret until it is used.
type Invite struct {
	Code string    `json:"code"`
	Name string    `json:"name,omitempty"`
	Role string    `json:"role"`
	Ends time.Time `json:"ends"`
}

// Arrival is what somebody shows who was invited.
type Arrival struct {
	Ticket []byte `json:"ticket"`
	Key    []byte `json:"key"` // its public key
	Name   string `json:"name,omitempty"`
	Broker bool   `json:"broker,omitempty"`
}

// Admitted is what a new member gets.
type Admitted struct {
	Admission   []byte   `json:"admission"`
	Authorities []byte   `json:"authorities"`
	City        string   `json:"city,omitempty"`    // its name, for people
	Brokers     []string `json:"brokers"`           // their HTTP addresses
	Keyring     []byte   `json:"keyring,omitempty"` // of the gossip; for brokers
	Gossip      []string `json:"gossip,omitempty"`  // whom to join; for brokers
}

// Invite asks for an invite to the city.
func (c *Client) Invite(ctx context.Context, in Invitation) (out Invite, err error) {
	return out, c.post(ctx, "invites", in, &out)
}

// Enter asks to be admitted. It may be repeated with the same key.
func (c *Client) Enter(ctx context.Context, in Arrival) (out Admitted, err error) {
	return out, c.post(ctx, "admissions", in, &out)
}

func (c *Client) post(ctx context.Context, what string, in, out any) error {
	body, err := strictjson.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	_, err = c.json(ctx, call{method: http.MethodPost, path: []string{"v1", what}, contentType: "application/json", body: Bytes(body), size: int64(len(body))}, 0, out)
	return err
}
