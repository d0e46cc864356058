package api

import (
	"net/http"
	"strconv"
	"strings"
)

// What a broker answers is what it knows. These headers say of whom it may not know the latest.
const (
	// AskHeader, with any value, has the broker ask all others whether they are there before it answers a request for members,
	// jobs, data, emergencies or the strategy. That takes a second more where one says nothing.
	AskHeader = "Ucp-Ask"
	// ReachHeader is in the answers to these: the name of the broker that answers, "; ", and how many brokers it hears of how many
	// that take part, both with itself: "n1; 2/3".
	ReachHeader = "Ucp-Reach"
	// UnheardHeader names a broker that it does not hear, "; ", and why. There may be several, at most 20.
	UnheardHeader = "Ucp-Unheard"
)

// Unheard is a broker that the one which has answered does not hear: what is known there may be newer than the answer.
type Unheard struct {
	Broker string `json:"broker"`
	Why    string `json:"why"`
}

// Reach says of a broker that has answered how many others it hears.
type Reach struct {
	Name      string // of the broker that has answered
	Heard, Of int    // so many of so many brokers that take part, itself included
	Unheard   []Unheard
}

// AskOthers has the broker ask all others whether they are there before it answers what is read from now on, so that
// LastReach is as of that moment. A broker of an earlier version does not.
func (c *Client) AskOthers() { c.asks.Store(true) }

// LastReach says of the last broker that has answered what is read whom it does not hear; ok is false if none has said so: it is
// of an earlier version, or nothing was read.
func (c *Client) LastReach() (r Reach, ok bool) {
	if p := c.reach.Load(); p != nil {
		return *p, true
	}
	return r, false
}

// mostUnheard bounds how many brokers are taken from one answer.
const mostUnheard = 20

// noteReach reads what an answer says of whom its broker hears.
func (c *Client) noteReach(h http.Header) {
	name, numbers, _ := strings.Cut(h.Get(ReachHeader), "; ")
	heard, of, _ := strings.Cut(numbers, "/")
	r := Reach{Name: name}
	var err1, err2 error
	r.Heard, err1 = strconv.Atoi(heard)
	r.Of, err2 = strconv.Atoi(of)
	if name == "" || err1 != nil || err2 != nil {
		return
	}
	lines := h.Values(UnheardHeader)
	for _, line := range lines[:min(len(lines), mostUnheard)] {
		if name, why, found := strings.Cut(line, "; "); found {
			r.Unheard = append(r.Unheard, Unheard{name, why})
		}
	}
	c.reach.Store(&r)
}
