package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultAddr is where a broker listens, and a client looks, unless told
// otherwise.
const DefaultAddr = "127.0.0.1:8000"

// Bounds of a client's patience. Every wait has one.
const (
	// MaxWait is the longest ?wait= that a client asks for in one request. It
	// asks again when it wants to wait longer.
	MaxWait = 30 * time.Second
	// maxRetries is how often a request is repeated because the broker said
	// "busy" or "unavailable" with a Retry-After.
	maxRetries = 5
	// reconnectWithin is how long Wait bears a broker that does not answer, from
	// its last answer on: a restart takes seconds.
	reconnectWithin = 30 * time.Second

	dialTimeout    = 5 * time.Second
	requestTimeout = 60 * time.Second // of a request for JSON, on top of its ?wait=
	maxRetryAfter  = 10 * time.Second
)

// Client talks to one broker. Any broker will do: each can answer for every job.
// Its methods may be called by several goroutines at once. Errors that a broker
// answers with are *[Error]; a broker that can't be reached is an
// *[UnreachableError].
type Client struct {
	base  *url.URL
	http  *http.Client
	heard atomic.Int64 // Unix nanoseconds of the last answer but 503; 0 for never
}

// Option changes how New makes a client.
type Option func(*Client)

// WithTransport makes the client send its requests through rt: a simulated
// network, or one with other time limits.
func WithTransport(rt http.RoundTripper) Option {
	return func(c *Client) { c.http.Transport = rt }
}

// New makes a client of the broker at addr: an http or https URL, or host:port,
// or a host alone (port 8000). It does not connect yet.
func New(addr string, options ...Option) (*Client, error) {
	base, err := parseAddr(addr)
	if err != nil {
		return nil, fmt.Errorf("broker address %q: %w", addr, err)
	}
	c := &Client{base: base, http: &http.Client{
		// A broker does not redirect; a server that does is not a broker.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, o := range options {
		o(c)
	}
	if c.http.Transport == nil {
		c.http.Transport = newTransport()
	}
	return c, nil
}

// newTransport has no proxy: a broker is a neighbour, and the proxy of an uplink
// that is gone would hide it.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: MaxWait + requestTimeout,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
	}
}

// Addr returns the broker's address as a person writes it: host:port, or the URL
// where it is more than that.
func (c *Client) Addr() string {
	if c.base.Scheme == "http" && c.base.Path == "" {
		return c.base.Host
	}
	return c.base.String()
}

// Close gives idle connections back. The client may be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func parseAddr(addr string) (*url.URL, error) {
	const hint = "write host:port, [IPv6]:port, or a URL such as http://host:8000"
	if strings.TrimSpace(addr) == "" {
		return nil, errors.New("it is empty; " + hint)
	}
	if ip, err := netip.ParseAddr(addr); err == nil { // a bare IPv6 address looks like host:port
		return &url.URL{Scheme: "http", Host: net.JoinHostPort(ip.String(), "8000")}, nil
	}
	plain := !strings.Contains(addr, "://")
	if plain {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil {
		return nil, errors.New(hint)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the scheme %q is not http or https; %s", u.Scheme, hint)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Host == "" {
		return nil, errors.New(hint)
	}
	if plain && u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "8000")
	}
	if u.Hostname() == "" { // ":8000"
		u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}
