package gossip

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/serf/serf"
)

// Limits of answers to queries.
const (
	// maxAnswer is the longest answer in bytes. Serf's limit of 1,024 bytes is for the encoded message, which
	// includes the names of both nodes and, if it is relayed, their addresses.
	maxAnswer = 800
	// queryPrefix begins the name of every query that is passed to Config.Answer.
	queryPrefix = "ucp:"
	// maxConcurrentAnswers is how many calls of Config.Answer may run at a time.
	maxConcurrentAnswers = 8
)

// answer lets Config.Answer answer a query on a goroutine of its own. When too many come at once, the query
// gets no answer, as if a packet were lost. Queries of other programs are ignored. Only drain calls it.
func (p *Pool) answer(q *serf.Query) {
	if p.cfg.Answer == nil || !strings.HasPrefix(q.Name, queryPrefix) {
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

// respond sends an answer. Serf would refuse an answer that is too long, so that the sender of the query
// would wait in vain; a truncated answer would be silently wrong. Instead, an error is sent in the form that
// the HTTP interface uses.
func (p *Pool) respond(q *serf.Query, answer []byte) {
	if answer == nil {
		return
	}
	if len(answer) > maxAnswer {
		p.stats.answersTooLong.Add(1)
		answer = fmt.Appendf(nil, `{"error": "the answer has %d bytes, a query carries %d: ask over HTTP", "code": "too_long"}`, len(answer), maxAnswer)
	}
	if err := q.Respond(answer); err != nil {
		p.cfg.Logger.Warn("cannot send the answer to a query", "query", q.Name, "from", q.SourceNode(), "error", err)
		return
	}
	p.stats.queriesAnswered.Add(1)
}
