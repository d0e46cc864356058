package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/audit"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// keysHeader is the header of messages between brokers of a city in which they say of when their keyring is, in milliseconds of the
// city's time. A version that does not know it ignores it.
const keysHeader = "Ucp-Keyring"

// Bounds of what is asked about keyrings.
const (
	askForKeys     = 3               // brokers that are asked at once, by one that hears nobody
	keysWithin     = 2 * time.Second // that each of them may take
	keysPause      = time.Second     // between two questions because a broker has shown that it has another one
	maxKeysAnswer  = 80 << 10        // bytes
	latestKeysTime = 1 << 52         // ms: beyond it a stamp is none
)

// gossipKeys keeps the keyrings of a city's brokers the same (rule G4). "serf keys" changes those of the brokers that hear each
// other. Who was away meanwhile hears nobody when it is back, and gets the present one over HTTP, where members know each other
// by their certificates. A keyring is stamped by the broker that was given the order, with the city's time, and the latest
// counts: a broker that takes the order late, since it stood still, would pass its own for newer otherwise.
type gossipKeys struct {
	peers   *peers
	members *members
	audits  *audits
	store   *store.Store
	cfg     *Config
	log     *slog.Logger
	now     func() time.Time // of the city

	mu    sync.Mutex
	is    keysStamp
	asked time.Time // when a broker was asked last because of what it has shown
}

var _ httpd.Keyring = (*gossipKeys)(nil)

// keysStamp says of when a keyring is, as it is stored.
type keysStamp struct {
	At  int64  `json:"at"`  // ms of the city's time; 0 is since ever
	Sum string `json:"sum"` // of that keyring: where the file holds another one at a start, the stamp is not of it
}

// keysPrefix is where the stamp lies in the store.
const keysPrefix = "k"

func sumOfKeys(list []string) string {
	sum := sha256.Sum256([]byte(strings.Join(list, " ")))
	return hex.EncodeToString(sum[:])
}

// recall reads the stamp of the keyring with which the gossip has started.
func (k *gossipKeys) recall() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.is = keysStamp{Sum: sumOfKeys(k.present())} // of no order, and no other until there is one
	return k.store.Scan([]byte(keysPrefix), func(_, value []byte) error {
		var s keysStamp
		if err := json.Unmarshal(value, &s); err != nil {
			return fmt.Errorf("the stored stamp of the keyring: %w", err)
		}
		if s.Sum == sumOfKeys(k.present()) {
			k.is = s
		}
		return nil
	})
}

// present is the keyring of the gossip.
func (k *gossipKeys) present() []string {
	if pool := k.members.pool.Load(); pool != nil {
		return pool.Keys()
	}
	return nil
}

// stamp notes of when the present keyring is; the lock is held.
func (k *gossipKeys) stamp(at int64) {
	k.is = keysStamp{at, sumOfKeys(k.present())}
	value, err := json.Marshal(k.is)
	if err == nil {
		var b store.Batch
		b.Set([]byte(keysPrefix), value)
		err = k.store.Commit(&b)
	}
	if err != nil { // the store ends the broker when its disk has failed
		k.log.Error("of when the keyring is can't be stored", "error", err)
	}
}

// ordered is told that somebody has had an order about keys answered here.
func (k *gossipKeys) ordered() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.is.Sum == sumOfKeys(k.present()) {
		return
	}
	k.stamp(max(k.now().UnixMilli(), k.is.At+1))
	k.log.Info("the keys of the gossip have changed, by an order that this broker was given; members that are away get them when they are back", "keys", len(k.present()))
	k.audits.Note(audit.Entry{At: k.cfg.Now(), What: audit.Rotate, Who: "serf keys"})
}

// Show implements httpd.Keyring.
func (k *gossipKeys) Show(h http.Header) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.is.At > 0 {
		h.Set(keysHeader, strconv.FormatInt(k.is.At, 10))
	}
}

// See implements httpd.Keyring: if a broker has a later keyring, it is asked for it.
func (k *gossipKeys) See(h http.Header, from string) {
	at, err := strconv.ParseInt(h.Get(keysHeader), 10, 64)
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if at <= k.is.At || at >= latestKeysTime || time.Since(k.asked) < keysPause {
		return
	}
	k.asked = time.Now()
	for _, m := range k.members.brokers() {
		if m.Name == from && m.HTTPAddr != "" {
			k.peers.work.Go(func() {
				if _, err := k.ask(k.peers.ctx, m.Name, m.HTTPAddr); err != nil {
					k.log.Warn("a broker says that it has a later keyring, and does not give it", "broker", m.Name, "error", err)
				}
			})
		}
	}
}

// Ring implements httpd.Keyring.
func (k *gossipKeys) Ring() api.Keyring {
	k.mu.Lock()
	defer k.mu.Unlock()
	return api.Keyring{At: k.is.At, Keys: k.present()}
}

// askAbsent asks some of the brokers that were ever met, and that gossip does not show, for a later keyring: perhaps it is this
// broker that can't be heard. It reports whether it has another one now.
func (k *gossipKeys) askAbsent(ctx context.Context) bool {
	if k == nil {
		return false
	}
	absent := k.members.absentCalls()
	rand.Shuffle(len(absent), func(i, j int) { absent[i], absent[j] = absent[j], absent[i] })
	changes := make([]bool, min(len(absent), askForKeys))
	var questions errgroup.Group
	for i := range changes {
		questions.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, keysWithin)
			defer cancel()
			var err error
			if changes[i], err = k.ask(ctx, absent[i].name, absent[i].http); err != nil {
				k.log.Debug("a broker that is absent does not tell its keyring", "broker", absent[i].name, "error", err)
			}
			return nil
		})
	}
	_ = questions.Wait() // none has an error
	for _, changed := range changes {
		if changed {
			return true
		}
	}
	return false
}

// ask asks a broker for its keyring, and takes it if it is a later one. It reports whether this broker's has changed.
func (k *gossipKeys) ask(ctx context.Context, name, addr string) (changed bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.peers.url(addr, "/broker/keyring"), nil)
	if err != nil {
		return false, err
	}
	resp, err := k.peers.client.Do(req) // not addressed to an actor: it may have started again meanwhile
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	c, err := identity.CredentialOf(resp.TLS) // of a broker of the city: the handshake is over
	if err == nil && name != "" {
		err = k.cfg.City.IsBroker(c, name)
	}
	if err != nil {
		return false, err
	}
	if resp.StatusCode == http.StatusNotFound {
		return false, nil // an earlier version
	}
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s does not tell its keyring: %s", name, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxKeysAnswer))
	if err != nil {
		return false, err
	}
	var in api.Keyring
	if err := json.Unmarshal(b, &in); err != nil {
		return false, errors.New("it is no keyring") // without what it says: that may be half of a key
	}
	return k.take(in, c.Admission.Name)
}

// take takes a keyring if it is a later one.
func (k *gossipKeys) take(in api.Keyring, from string) (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pool := k.members.pool.Load()
	if pool == nil || in.At <= k.is.At || in.At >= latestKeysTime {
		return false, nil
	}
	if changed, err = pool.SetKeys(in.Keys); err != nil {
		return changed, err
	}
	k.stamp(in.At)
	if changed {
		k.log.Warn("the keys of the gossip were replaced while this broker did not hear of it; it has the present ones from another member", "from", from, "keys", len(in.Keys))
	}
	return changed, nil
}
