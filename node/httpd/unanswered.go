package httpd

import (
	"net/http"
	"strconv"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// A broker that others can't reach can't see that by itself: its own messages are answered, and so it hears each of them. But
// these know how their messages to it fare, and say so in each answer to it.
const (
	fromHeader       = "X-UCP-From"
	unansweredHeader = "X-UCP-Unanswered"
)

// unansweredFor is for how long another broker must say that it can't reach this one until that counts: it tries again every 30 s
// at least, and a message that gets through ends it. Otherwise a broker that stood still for a moment would be told of each time.
const unansweredFor = 35 * time.Second

// maxUnanswered bounds what another broker may say.
const maxUnanswered = 1_000_000

// From says in a request to another broker which actor sends it.
func From(r *http.Request, self clock.Actor) { r.Header.Set(fromHeader, string(self)) }

// Unanswered is how many messages in a row to the actor that has sent a request the one that answers has sent in vain, as it says;
// 0 from an earlier version.
func Unanswered(r *http.Response) uint64 {
	n, err := strconv.ParseUint(r.Header.Get(unansweredHeader), 10, 64)
	if err != nil {
		return 0
	}
	return min(n, maxUnanswered)
}

// sayUnanswered says in the answer to another broker how many messages in a row it has not answered.
func (srv *Server) sayUnanswered(w http.ResponseWriter, r *http.Request) {
	from := clock.Actor(r.Header.Get(fromHeader))
	if from == "" {
		return
	}
	if c := srv.host.Contact(from.Broker()); c.Actor == from && c.Failing >= unansweredToSilent {
		w.Header().Set(unansweredHeader, strconv.FormatUint(c.Failing, 10))
	}
}
