package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/identity"
)

// namesTried is how many names somebody who has chosen none asks for, of which the first are taken: many machines of one make
// have one host name, and one user. It is less than the attempts that a door allows at once.
const namesTried = 4

// enterAs is enter under a name that was chosen, or else under the first of wish, wish-2 and so on that nobody has.
func enterAs(ctx context.Context, invite *identity.Invite, f city.Folder, name, wish string, broker bool) (m *identity.Member, got api.Admitted, err error) {
	if name != "" {
		return enter(ctx, invite, f, name, broker)
	}
	for i := range namesTried {
		name := wish
		if i > 0 {
			name = fmt.Sprintf("%s-%d", wish, i+1)
		}
		var refused *api.Error
		if m, got, err = enter(ctx, invite, f, name, broker); !errors.As(err, &refused) || refused.Code != api.CodeConflict {
			break
		}
	}
	return m, got, err
}

// enter goes through the door that an invite names, and keeps in a folder what is got there. Until the broker has shown that it
// belongs to the city of the code nothing is sent to it.
func enter(ctx context.Context, invite *identity.Invite, f city.Folder, name string, broker bool) (*identity.Member, api.Admitted, error) {
	var got api.Admitted
	key, err := f.Key()
	if err != nil {
		return nil, got, err
	}
	client, err := api.New(invite.Addr, api.WithTLS(identity.ClientConfig(nil, invite.Pin)))
	if err != nil {
		return nil, got, fmt.Errorf("the address in the invite: %w", err)
	}
	defer client.Close()
	got, err = client.Enter(ctx, api.Arrival{Ticket: invite.Ticket[:], Key: []byte(key.Public()), Name: name, Broker: broker})
	if err != nil {
		return nil, got, err
	}
	m, err := f.Take(invite, city.Admitted{Admission: got.Admission, Authorities: got.Authorities, City: got.City, Keyring: got.Keyring, Brokers: got.Brokers, Gossip: got.Gossip, Adopted: got.Adopted})
	return m, got, err
}

// enterCity makes a broker a member of the city that it was invited to, unless it is one already. It keeps what it was told of
// the brokers that are there, whom it joins, and again at each start as long as it has met nobody.
func enterCity(ctx context.Context, cfg *agentConfig) error {
	f := city.Of(cfg.DataDir)
	if cfg.Invite == nil || f.Held() {
		return nil
	}
	m, got, err := enterAs(ctx, cfg.Invite, f, cfg.Name, hostName(os.Hostname), true)
	if err != nil {
		return fmt.Errorf("--invite: %w", err)
	}
	if m.Admission.Role != identity.Broker {
		return errors.New("--invite: this broker was admitted as no broker")
	}
	cfg.Name, cfg.InCity = m.Admission.Name, true
	cfg.RetryJoin = append(cfg.RetryJoin, got.Gossip...) // its directory may know brokers of before, at addresses of before
	cfg.Logger.Info("this broker has come into the city", "city", cityNamed(got.City, m.Admission.City.String()), "name", cfg.Name)
	return nil
}
