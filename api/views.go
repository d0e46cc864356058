package api

import (
	"time"

	"github.com/urban-compute/ucp/clock"
)

// Views answers GET /broker/views: how each broker sees the others, as it has said itself just now.
type Views struct {
	Views map[string]View `json:"views"` // by the name of who sees
	// Silent are the brokers that take part and have not said it, and why.
	Silent map[string]string `json:"silent"`
	AsOf   time.Time         `json:"as_of"`
}

// View is how one broker sees the others.
type View struct {
	Peers map[string]PeerView `json:"peers"`
	// HeldBack and HeldBackBy are as in Coordination.
	HeldBack   int       `json:"held_back"`
	HeldBackBy []string  `json:"held_back_by,omitempty"`
	AsOf       time.Time `json:"as_of"` // by its own clock
}

// PeerView is how one broker sees another. The fields are those of Peer.
type PeerView struct {
	Healthy  bool           `json:"healthy"`
	Health   string         `json:"health"`
	LastSeen int64          `json:"last_seen"`
	Behind   uint64         `json:"behind"`
	Ahead    uint64         `json:"ahead"`
	RTT      clock.Duration `json:"rtt"`
}

// Caller answers GET /v1/caller: who asks, and what they may.
type Caller struct {
	Name   string   `json:"name,omitempty"` // of a member, or the subject of a token; "" for everybody, where the broker belongs to no city
	How    string   `json:"how,omitempty"`  // what they are known by, for people
	Scopes []string `json:"scopes"`
	City   bool     `json:"city"`          // the broker belongs to a city, and asks who calls
	Why    string   `json:"why,omitempty"` // of who may nothing: why not
}
