package node

import (
	"fmt"
	"time"

	"github.com/urban-compute/ucp/identity"
)

// webEndsSoon is how long before its end people are warned of the certificate that browsers are shown.
const webEndsSoon = 14 * 24 * time.Hour

// SetWeb replaces Config.Web for connections and requests from now on. It may be called from any goroutine.
func (n *Node) SetWeb(w *identity.Web) { n.web.Store(w) }

// webTrouble says that the certificate which browsers are shown has ended, or soon will; "" where all is well, or there is none.
func (n *Node) webTrouble() string {
	ends := n.web.Load().Ends()
	left := ends.Sub(n.cfg.Now())
	switch day := ends.UTC().Format(time.DateOnly); {
	case ends.IsZero() || left > webEndsSoon:
		return ""
	case left <= 0:
		return fmt.Sprintf("the certificate that browsers are shown (--tls-cert) has ended, on %s: replace the file, and send SIGHUP", day)
	default:
		return fmt.Sprintf("the certificate that browsers are shown (--tls-cert) ends on %s: replace the file, and send SIGHUP", day)
	}
}
