package gossip

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// maxTags is how many bytes tags take at most, encoded.
const maxTags = memberlist.MetaMaxSize

// SetTags replaces all tags of this node, including those that were set through RPC (serf tags), and waits
// until the change has been sent to some peer, for at most 5 seconds. If it was not sent by then, an error is
// returned, but the new tags stay set and are sent with the next push-pull. Only one goroutine at a time may
// call it.
func (p *Pool) SetTags(tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	if err := p.agent.SetTags(maps.Clone(tags)); err != nil {
		return fmt.Errorf("gossip: announcing the new tags of %s: %w", p.cfg.Name, err)
	}
	return nil
}

// checkTags refuses tags that Serf cannot carry: it panics on more than 512 encoded bytes (rule I2).
func checkTags(tags map[string]string) error {
	var buf bytes.Buffer
	if err := codec.NewEncoder(&buf, &codec.MsgpackHandle{}).Encode(tags); err != nil {
		return fmt.Errorf("gossip: encoding the tags: %w", err)
	}
	// Serf adds one byte that says that tags follow.
	if n := buf.Len() + 1; n > maxTags {
		return fmt.Errorf("gossip: the tags take %d bytes encoded, the limit is %d: use fewer or shorter ones", n, maxTags)
	}
	return nil
}
