package gossip

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// SetTags replaces all tags of this node, those set through RPC (serf tags)
// included, and waits until the change has been sent to some peer, at most 5
// seconds; an error then says that it was not, yet the new tags stay set and
// travel with the next push-pull. One goroutine at a time may call it.
func (p *Pool) SetTags(tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	if err := p.agent.SetTags(maps.Clone(tags)); err != nil {
		return fmt.Errorf("gossip: tell the pool the new tags of %s: %w", p.cfg.Name, err)
	}
	return nil
}

// checkTags refuses tags that Serf cannot carry: it panics on more than 512
// encoded bytes (rule I2), so that the check is made before Serf sees them.
func checkTags(tags map[string]string) error {
	var buf bytes.Buffer
	if err := codec.NewEncoder(&buf, &codec.MsgpackHandle{}).Encode(tags); err != nil {
		return fmt.Errorf("gossip: encode the tags: %w", err)
	}
	// Serf puts one byte in front that says "tags follow".
	if n := buf.Len() + 1; n > memberlist.MetaMaxSize {
		return fmt.Errorf("gossip: the tags take %d bytes encoded, the limit is %d: use fewer or shorter ones", n, memberlist.MetaMaxSize)
	}
	return nil
}
