package httpd

import (
	"fmt"
	"net"
	"os"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/identity"
)

// owner is the user to whom the process at the other end of a connection belongs, as the kernel of this machine says.
type owner struct {
	uid    uint32
	socket bool // it came over a Unix socket
}

// ownerOf asks the kernel who has opened the other end of a connection; nil is that it does not say.
func ownerOf(conn net.Conn) *owner {
	switch conn := conn.(type) {
	case *net.UnixConn:
		if uid, ok := socketOwner(conn); ok {
			return &owner{uid: uid, socket: true}
		}
	case *net.TCPConn:
		far, ok := conn.RemoteAddr().(*net.TCPAddr)
		near, ok2 := conn.LocalAddr().(*net.TCPAddr)
		if !ok || !ok2 || !far.IP.IsLoopback() || !near.IP.IsLoopback() {
			return nil
		}
		if uid, ok := loopbackOwner(far.AddrPort(), near.AddrPort()); ok {
			return &owner{uid: uid}
		}
	}
	return nil
}

// trusts reports whether somebody is taken for an operator by a broker that trusts its own user. Root is trusted over a socket
// only: over loopback it may be a proxy of root's that passes on what came from elsewhere.
func (o *owner) trusts(own uint32) bool {
	return o != nil && (o.uid == own || o.uid == 0 && o.socket)
}

// localCaller is who sends a request from this machine, where the broker trusts its own user; nil is nobody. They have the
// broker's name: what they submit it vouches for.
func (srv *Server) localCaller(c *connection) *caller {
	if !srv.cfg.TrustLocal || c == nil || !c.owner().trusts(uint32(os.Geteuid())) {
		return nil
	}
	return &caller{name: srv.cfg.Name, how: fmt.Sprintf("user %d of the machine of %s", c.owner().uid, srv.cfg.Name), scopes: access.OfRole(identity.Operator)}
}
