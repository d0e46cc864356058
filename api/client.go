package api

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
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

	// goodPatience is how long a broker may take for an answer, beyond what it is asked to wait, while there are others to
	// ask.
	goodPatience = 10 * time.Second

	dialTimeout    = 5 * time.Second
	requestTimeout = 60 * time.Second // of a request for JSON, on top of its ?wait=
	maxRetryAfter  = 10 * time.Second
)

// Client talks to one broker of those whose addresses it knows. Any broker will do: each can answer for every job. One
// that does not answer, or is about to leave, is asked no more until the others fail, too. A request that may have been
// carried out is not sent to another broker unless it may be repeated.
// Its methods may be called by several goroutines at once. Errors that a broker
// answers with are *[Error]; a broker that can't be reached is an
// *[UnreachableError].
type Client struct {
	http  *http.Client
	asks  atomic.Bool           // see AskOthers
	reach atomic.Pointer[Reach] // see LastReach
	heard atomic.Int64          // Unix nanoseconds of the last answer but 503; 0 for never

	token   string                                    // that is shown with each request; "" for none
	scheme  string                                    // of addresses that name none
	terms   *tls.Config                               // of connections; nil for the usual ones
	options []Option                                  // with which it was made
	around  func(http.RoundTripper) http.RoundTripper // see WithAround; nil is as it is

	mu    sync.Mutex
	bases []*url.URL // of the brokers, the one that is asked first in front
}

// Option changes how New makes a client.
type Option func(*Client)

// WithTransport makes the client send its requests through rt: a simulated
// network, or one with other time limits.
func WithTransport(rt http.RoundTripper) Option {
	return func(c *Client) { c.http.Transport = rt }
}

// WithAround makes the client send its requests through what wrap makes of the way that they would go otherwise.
func WithAround(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(c *Client) { c.around = wrap }
}

// WithTLS makes the client speak TLS, on these terms, with brokers whose address names no scheme: those of a city.
func WithTLS(terms *tls.Config) Option {
	return func(c *Client) { c.scheme, c.terms = "https", terms }
}

// WithToken makes the client show a token with each request. It is a secret, and goes to brokers that speak TLS only, or over a
// socket of this machine.
func WithToken(text string) Option {
	return func(c *Client) { c.token = text }
}

// New makes a client of the broker at addr: an http or https URL, or host:port,
// or a host alone (port 8000), or unix:PATH, a socket of this machine; or of one of several, with commas between them, the first that answers. It does not
// connect yet.
func New(addr string, options ...Option) (*Client, error) {
	c := &Client{scheme: "http", options: options, http: &http.Client{
		// A broker does not redirect; a server that does is not a broker.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, o := range options {
		o(c)
	}
	for one := range strings.SplitSeq(addr, ",") {
		base, err := parseAddr(c.scheme, strings.TrimSpace(one))
		if err != nil {
			return nil, fmt.Errorf("broker address %q: %w", one, err)
		}
		c.bases = append(c.bases, base)
	}
	if c.http.Transport == nil {
		c.http.Transport = newTransport(c.terms)
	}
	if c.around != nil {
		c.http.Transport = c.around(c.http.Transport)
	}
	return c, nil
}

// At makes a client of another broker, or of several, with the options of this one.
func (c *Client) At(addr string) (*Client, error) { return New(addr, c.options...) }

// newTransport has no proxy: a broker is a neighbour, and the proxy of an uplink
// that is gone would hide it.
func newTransport(terms *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig:       terms,
		DialContext:           dial,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: MaxWait + requestTimeout,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
	}
}

// dial makes a connection, to a socket of this machine where the host names one.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		if path, is := socketOf(host); is {
			network, addr = "unix", path
		}
	}
	return d.DialContext(ctx, network, addr)
}

// A socket of this machine has a host of its own in the URL: its path in hexadecimal digits, below a name that is never looked up.
const (
	socketPrefix = "unix:"
	socketDomain = ".unix.localhost"
)

// socketOf is the path of the socket that a host stands for.
func socketOf(host string) (path string, is bool) {
	digits, is := strings.CutSuffix(host, socketDomain)
	if !is {
		return "", false
	}
	b, err := hex.DecodeString(digits)
	return string(b), err == nil
}

// Addr returns the address of the broker that is asked now, as a person writes it: host:port, or the URL
// where it is more than that.
func (c *Client) Addr() string { return c.written(c.present()) }

func (c *Client) written(base *url.URL) string {
	if path, is := socketOf(base.Host); is {
		return socketPrefix + path
	}
	if base.Scheme == c.scheme && base.Path == "" {
		return base.Host
	}
	return base.String()
}

// present is the base of the broker that is asked now.
func (c *Client) present() *url.URL {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bases[0]
}

// others is how many more brokers could be asked.
func (c *Client) others() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.bases) - 1
}

// avoid puts the base of a broker that failed behind the others, unless another request has done so already.
func (c *Client) avoid(base *url.URL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bases) > 1 && c.bases[0] == base {
		c.bases = append(slices.Clone(c.bases[1:]), base)
	}
}

// maxBases bounds how many brokers a client knows.
const maxBases = 16

// Learn asks the broker for the addresses of all brokers, and asks those, too, when it does not answer any more. Where
// the address is a URL, as of a proxy, that is left alone.
func (c *Client) Learn(ctx context.Context) error {
	b := c.present()
	if _, socket := socketOf(b.Host); b.Scheme != c.scheme || b.Path != "" || socket {
		return nil
	}
	l, err := c.Members(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range l.Members {
		base, err := parseAddr(c.scheme, m.HTTPAddr)
		known := func(b *url.URL) bool { return b.Host == base.Host }
		if err != nil || m.Self || m.Status != "alive" || len(c.bases) == maxBases || slices.ContainsFunc(c.bases, known) {
			continue
		}
		c.bases = append(c.bases, base)
	}
	return nil
}

// Close gives idle connections back. The client may be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func parseAddr(scheme, addr string) (*url.URL, error) {
	const hint = "write host:port, [IPv6]:port, unix:PATH, or a URL such as http://host:8000"
	if strings.TrimSpace(addr) == "" {
		return nil, errors.New("it is empty; " + hint)
	}
	if ip, err := netip.ParseAddr(addr); err == nil { // a bare IPv6 address looks like host:port
		return &url.URL{Scheme: scheme, Host: net.JoinHostPort(ip.String(), "8000")}, nil
	}
	if path, is := strings.CutPrefix(addr, socketPrefix); is {
		if path = strings.TrimPrefix(path, "//"); path == "" {
			return nil, errors.New("it names no socket; write unix:PATH")
		}
		return &url.URL{Scheme: "http", Host: hex.EncodeToString([]byte(path)) + socketDomain}, nil
	}
	plain := !strings.Contains(addr, "://")
	if plain {
		addr = scheme + "://" + addr
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
