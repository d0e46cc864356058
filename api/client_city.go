package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/urban-compute/ucp/job"
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
	Adopted     []string `json:"adopted,omitempty"` // names that take part and that nobody has let in: they did before there was a city; for brokers
}

// RevocationsHeader is the header of answers of a broker of a city by which others see whether it knows the same revocations of
// members as they do.
const RevocationsHeader = "Ucp-Revocations"

// Revocations are those of members of a city that a broker knows.
type Revocations struct {
	Proofs [][]byte `json:"proofs"` // each can be verified by itself (package identity)
}

// Recipient is a broker to which secrets of jobs can be encrypted.
type Recipient struct {
	Name      string `json:"name"`
	Self      bool   `json:"self,omitempty"` // it is the one that was asked
	Admission []byte `json:"admission"`      // has its key (package identity)
}

// Recipients are the brokers to which secrets can be encrypted now.
type Recipients struct {
	Authorities []byte      `json:"authorities"` // by which their admissions can be verified
	Brokers     []Recipient `json:"brokers"`
	Submitter   string      `json:"submitter"` // who has asked, as jobs have it
}

// SecretOrder is by what a broker asks another one for a secret of a job that was placed there.
type SecretOrder struct {
	Job    string     `json:"job"`    // its key
	Digest job.Digest `json:"digest"` // of the secret, as the job names it
}

// Recipients asks to which brokers secrets can be encrypted.
func (c *Client) Recipients(ctx context.Context) (r Recipients, err error) {
	_, err = c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "recipients"}}, 0, &r)
	return r, err
}

// Keyring is the keys of the gossip, as brokers of a city tell them each other.
type Keyring struct {
	At   int64    `json:"at"`   // of when it is, in milliseconds of the city's time; 0 is since ever
	Keys []string `json:"keys"` // in base64, the one to send with first
}

// Authority is a key that may admit members of the city.
type Authority struct {
	Key     string `json:"key"`                // 64 hexadecimal digits
	Root    bool   `json:"root,omitempty"`     // the city began with it
	AddedBy string `json:"added_by,omitempty"` // another authority's key
}

// Authorities answers GET /v1/authorities.
type Authorities struct {
	Authorities []Authority `json:"authorities"`
	// Here is the key that lies at the broker that was asked, whether it is an authority's yet or not; "" where none does, or it
	// is encrypted.
	Here string `json:"here,omitempty"`
}

// AuthorityOrder adds an authority, or, without a key, removes one.
type AuthorityOrder struct {
	Key        string `json:"key,omitempty"`
	Passphrase string `json:"passphrase,omitempty"` // of the authority's key at the broker that is asked
	Lockout    bool   `json:"lockout,omitempty"`    // of a removal: also when who asks or the last operator that is known falls by it
}

// RevocationOrder ends a membership, or tokens.
type RevocationOrder struct {
	Member     string     `json:"member,omitempty"`     // its name, or its key
	TokensOf   string     `json:"tokens_of,omitempty"`  // rather than a member: the subject of tokens
	Until      *time.Time `json:"until,omitempty"`      // of tokens: those that were made until then; nil is until now
	Passphrase string     `json:"passphrase,omitempty"` // as in AuthorityOrder
	Lockout    bool       `json:"lockout,omitempty"`    // as in AuthorityOrder, of a membership
}

// Said says that brokers know what an authority has said.
type Said struct {
	About    string `json:"about"`    // member/NAME, authority/KEY or tokens/SUBJECT
	Replicas int    `json:"replicas"` // brokers that know of it already
	Degraded bool   `json:"degraded"` // fewer than the broker's --replicas
}

// Authorities lists the authorities of the city that the broker knows of.
func (c *Client) Authorities(ctx context.Context) (out Authorities, err error) {
	_, err = c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "authorities"}}, 0, &out)
	return out, err
}

// AddAuthority makes a key an authority of the city.
func (c *Client) AddAuthority(ctx context.Context, in AuthorityOrder) (out Said, err error) {
	return out, c.post(ctx, "authorities", in, &out)
}

// RemoveAuthority ends for good that a key is one.
func (c *Client) RemoveAuthority(ctx context.Context, in AuthorityOrder) (out Said, err error) {
	key := in.Key
	in.Key = ""
	return out, c.document(ctx, http.MethodDelete, []string{"v1", "authorities", key}, in, &out)
}

// Revoke ends a membership of the city, or tokens.
func (c *Client) Revoke(ctx context.Context, in RevocationOrder) (out Said, err error) {
	return out, c.post(ctx, "revocations", in, &out)
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
	return c.document(ctx, http.MethodPost, []string{"v1", what}, in, out)
}

func (c *Client) document(ctx context.Context, method string, path []string, in, out any) error {
	body, err := strictjson.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	_, err = c.json(ctx, call{method: method, path: path, contentType: "application/json", body: Bytes(body), size: int64(len(body))}, 0, out)
	return err
}
