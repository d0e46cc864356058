package gossip

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/serf/serf"
)

// Bounds of answers to queries.
const (
	// MaxAnswer is the longest answer in bytes. Serf's 1,024 count the encoded
	// message, with the names of both nodes and, relayed, their addresses.
	MaxAnswer = 800
	// QueryPrefix begins the name of every query that Config.Answer is asked.
	QueryPrefix = "ucp:"
	// maxAnswers is how many answers may be under way at once.
	maxAnswers = 8
)

// answer lets Config.Answer answer a query on a goroutine of its own. Too many at
// once are refused: the asker sees one answer less, as if a packet were lost.
// Other programs' queries are none of our business. Only drain calls it.
func (p *Pool) answer(q *serf.Query) {
	if p.cfg.Answer == nil || !strings.HasPrefix(q.Name, QueryPrefix) {
		return
	}
	select {
	case p.answers <- struct{}{}:
	default:
		p.stats.queriesRefused.Add(1)
		return
	}
	p.work.Go(func() {
		defer func() { <-p.answers }()
		ctx, cancel := context.WithDeadline(p.ctx, q.Deadline())
		defer cancel()
		p.respond(q, p.cfg.Answer(ctx, q.Name, bytes.Clone(q.Payload)))
	})
}

// respond sends an answer. One that is too long would be refused by Serf, and the
// asker would wait in vain; cut in the middle it would be wrong without a sign.
// So an error goes out instead, in the form that the HTTP interface uses.
func (p *Pool) respond(q *serf.Query, answer []byte) {
	if answer == nil {
		return
	}
	if len(answer) > MaxAnswer {
		p.stats.answersTooLong.Add(1)
		answer = fmt.Appendf(nil, `{"error": "the answer has %d bytes, a query carries %d: ask over HTTP", "code": "too_long"}`, len(answer), MaxAnswer)
	}
	if err := q.Respond(answer); err != nil {
		p.cfg.Logger.Warn("a query stays without our answer", "query", q.Name, "from", q.SourceNode(), "error", err)
		return
	}
	p.stats.queriesAnswered.Add(1)
}
