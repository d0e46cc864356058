package gossip

import "fmt"

// MaxEventPayload is the longest payload of a user event in bytes: Serf's 512
// count the encoded message with its name (rule E4).
const MaxEventPayload = 400

// UserEvent floods a message to all nodes, this one included, at once and never
// merged with others of the same name (rule E4). It returns when the message is
// queued for sending, not when anyone has it. A name may have 64 bytes.
func (p *Pool) UserEvent(name string, payload []byte) error {
	if len(payload) > MaxEventPayload {
		return fmt.Errorf("gossip: event %q: its payload has %d bytes, the limit is %d: send what it refers to another way", name, len(payload), MaxEventPayload)
	}
	if name == "" || len(name) > 64 {
		return fmt.Errorf("gossip: event %q: its name must have 1 to 64 bytes", name)
	}
	if err := p.agent.UserEvent(name, payload, false); err != nil {
		return fmt.Errorf("gossip: send event %q: %w", name, err)
	}
	return nil
}
