package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
)

// Bounds of learning who was revoked.
const (
	revocationsWithin = 5 * time.Second
	revocationsAsked  = 3       // times by one command at most, whatever brokers say
	maxRevocations    = 4 << 20 // bytes of an answer
)

// learner sends requests, and sees in each answer of a broker whether that knows other revocations than the person does. If so it is
// asked for them, and they are kept beside the person's identity: a stolen broker is then trusted no more, also by later
// commands that reach nobody else.
type learner struct {
	http.RoundTripper
	self *city.Self
	warn io.Writer
	left chan struct{} // an element for each time that a broker may still be asked
}

// learning makes the option for a client that learns who was revoked.
func (c *cli) learning(self *city.Self) api.Option {
	left := make(chan struct{}, revocationsAsked)
	for range revocationsAsked {
		left <- struct{}{}
	}
	return api.WithAround(func(rt http.RoundTripper) http.RoundTripper { return &learner{rt, self, c.err, left} })
}

// RoundTrip implements http.RoundTripper.
func (l *learner) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if err != nil || resp.TLS == nil {
		return resp, err
	}
	if sum := resp.Header.Get(api.RevocationsHeader); sum == "" || sum == l.self.RevocationsSum() {
		return resp, nil
	}
	select {
	case <-l.left:
	default:
		return resp, nil
	}
	if err := l.learn(req); err != nil {
		_, _ = fmt.Fprintf(l.warn, "ucp: who was revoked could not be learnt: %v\n", err)
	}
	return resp, nil
}

// CloseIdleConnections is for http.Client.
func (l *learner) CloseIdleConnections() {
	if c, ok := l.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// learn asks the broker that has answered a request who was revoked.
func (l *learner) learn(after *http.Request) error {
	ctx, cancel := context.WithTimeout(after.Context(), revocationsWithin)
	defer cancel()
	u := *after.URL
	u.Path, u.RawPath, u.RawQuery = "/v1/revocations", "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	if token := after.Header.Get("Authorization"); token != "" {
		req.Header.Set("Authorization", token)
	}
	resp, err := l.RoundTripper.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil // who may nothing there is told so by the answer to what was asked
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxRevocations))
	if err != nil {
		return err
	}
	var in api.Revocations
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("the broker's answer: %w", err)
	}
	return l.self.KeepRevocations(in.Proofs)
}
