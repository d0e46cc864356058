package gossip

import "fmt"

// maxEventPayload is the longest payload of a user event, in bytes. Serf's limit of 512 bytes is for the
// encoded message, which includes the name (rule E4).
const maxEventPayload = 400

// UserEvent broadcasts a message to all nodes, including this one. It is sent at once and is not merged with
// others of the same name (rule E4). UserEvent returns when the message is queued for sending, not when
// another node has received it. A name has 1 to 64 bytes, a payload at most 400.
func (p *Pool) UserEvent(name string, payload []byte) error {
	if len(payload) > maxEventPayload {
		return fmt.Errorf("gossip: event %q: its payload has %d bytes, the limit is %d: send a reference to the data instead", name, len(payload), maxEventPayload)
	}
	if name == "" || len(name) > 64 {
		return fmt.Errorf("gossip: event %q: its name must have 1 to 64 bytes", name)
	}
	if err := p.agent.UserEvent(name, payload, false); err != nil {
		return fmt.Errorf("gossip: sending event %q: %w", name, err)
	}
	return nil
}
