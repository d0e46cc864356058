package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/label"
)

// routes is the whole HTTP interface but for /metrics, by pattern (docs/api.md).
func (srv *Server) routes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /broker/sync-metadata":          srv.handleSync,
		"GET /broker/coordination-status":     srv.handleCoordination,
		"GET /broker/metadata":                srv.handleMetadata,
		"GET /broker/views":                   srv.handleViews,
		"GET /broker/digest":                  srv.handleDigest,
		"GET /broker/keyring":                 srv.handleKeyring,
		"GET /v1/members":                     srv.handleMembers,
		"DELETE /v1/members/{name}":           srv.handleRemoveMember,
		"PUT /v1/members/{name}/drain":        srv.handleDrain,
		"DELETE /v1/members/{name}/drain":     srv.handleDrain,
		"POST /v1/jobs":                       srv.handleSubmit,
		"POST /v1/jobs:batch":                 srv.handleBatch,
		"PUT /v1/jobs/{id}":                   srv.handleSubmit,
		"POST /v1/plans":                      srv.handlePlan,
		"GET /v1/jobs":                        srv.handleList,
		"GET /v1/jobs/{id}":                   srv.handleGet,
		"DELETE /v1/jobs/{id}":                srv.handleCancel,
		"GET /v1/jobs/{id}/stdout":            srv.handleOutput,
		"GET /v1/jobs/{id}/stderr":            srv.handleOutput,
		"GET /v1/jobs/{id}/result":            srv.handleResult,
		"GET /v1/jobs/{id}/outputs/{path...}": srv.handleOutputFile,
		"PUT /v1/blobs/{digest}":              srv.handlePutBlob,
		"GET /v1/blobs/{digest}":              srv.handleGetBlob, // HEAD too
		"GET /v1/blobs/{digest}/chunks":       srv.handleChunks,
		"GET /v1/data/{name...}":              srv.handleData, // HEAD too
		"PUT /v1/data/{name...}":              srv.handlePutData,
		"DELETE /v1/data/{name...}":           srv.handleRemoveData,
		"GET /v1/strategy":                    srv.handleStrategy,
		"PUT /v1/strategy":                    srv.handleSetStrategy,
		"GET /v1/conflicts":                   srv.handleConflicts,
		"GET /v1/conflicts/{id}":              srv.handleConflict,
		"GET /broker/conflict-statistics":     srv.handleConflictStatistics,
		"GET /v1/emergencies":                 srv.handleEmergencies,
		"POST /v1/emergencies":                srv.handleDeclare,
		"GET /v1/emergencies/{id}":            srv.handleEmergency,
		"DELETE /v1/emergencies/{id}":         srv.handleClear,
		"GET /v1/events":                      srv.handleEvents,
		"GET /v1/jobs/{id}/events":            srv.handleJobEvents,
		"GET /broker/debug":                   srv.handleDebug,
		"GET /v1/caller":                      srv.handleCaller,
		"GET /v1/log-level":                   srv.handleLogLevel,
		"PUT /v1/log-level":                   srv.handleSetLogLevel,
		"GET /v1/audit":                       srv.handleAudit,
		"POST /v1/invites":                    srv.handleInvite,
		"POST /v1/admissions":                 srv.handleEnter,
		"GET /v1/authorities":                 srv.handleAuthorities,
		"POST /v1/authorities":                srv.handleAddAuthority,
		"DELETE /v1/authorities/{key}":        srv.handleRemoveAuthority,
		"GET /v1/recipients":                  srv.handleRecipients,
		"POST /broker/secrets":                srv.handleSecret,
		"GET /broker/sheets":                  srv.handleSheets,
		"GET /v1/revocations":                 srv.handleRevocations,
		"POST /v1/revocations":                srv.handleRevoke,
		"GET /ui/{path...}":                   srv.handleUI,
		"GET /{$}":                            srv.handleRoot,
		"POST /v1/carry/pack":                 srv.handlePack,
		"POST /v1/carry/unpack":               srv.handleUnpack,
		"GET /broker/word":                    srv.handleWord,
		"POST /broker/word":                   srv.handleWords,
		"GET /v1/openapi.yaml":                srv.handleOpenAPI,
		"GET /healthz":                        srv.handleHealth,
		"GET /readyz":                         srv.handleReady,
	}
}

// handler serves all routes.
func (srv *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range srv.routes() {
		mux.Handle(pattern, srv.timed(pattern, srv.permitted(pattern, srv.asked(pattern, srv.wrap(srv.noted(orders[pattern], srv.reached(pattern, h)))))))
	}
	mux.Handle("GET /metrics", srv.timed("GET /metrics", srv.permitted("GET /metrics", srv.asked("GET /metrics", srv.metrics.handler()))))
	mux.Handle("/", srv.permitted("/", srv.wrap(func(_ http.ResponseWriter, r *http.Request) error {
		return fail(http.StatusNotFound, api.CodeNotFound, "there is no %s %s; docs/api.md lists what there is", r.Method, r.URL.Path)
	})))
	return mux
}

// fail makes an error answer.
func fail(status int, code, format string, args ...any) *api.Error {
	return &api.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// wrap turns a handler's error into an answer.
func (srv *Server) wrap(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		e := srv.asError(err)
		if e.Status >= 500 && e.Status != http.StatusServiceUnavailable {
			srv.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		if e.Code == api.CodeBusy || e.Code == api.CodeTooMany {
			w.Header().Set("Retry-After", "1")
		}
		srv.metrics.refused(e.Code)
		writeJSON(w, e.Status, e)
	}
}

func (srv *Server) asError(err error) *api.Error {
	var e *api.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &tooLarge):
		return fail(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "the body is larger than the %d bytes that are allowed", tooLarge.Limit)
	case errors.Is(err, ErrBusy):
		return fail(http.StatusTooManyRequests, api.CodeBusy, "%v", err)
	case errors.Is(err, ErrStopped), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "this broker is too busy to answer in time, or is about to stop (%v); what was asked may be done all the same", err)
	}
	return fail(http.StatusInternalServerError, api.CodeInternal, "%v", err)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away misses its answer; there is nobody left to tell.
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // for who reads it on a terminal; no browser takes application/json for a page
	_ = e.Encode(v)
}

// ask gives the broker an input and returns its answer of the wanted type. Another answer is
// a refusal, and becomes the error that a client is shown.
func ask[T broker.Answer](ctx context.Context, srv *Server, in func(broker.Token) broker.Input) (T, error) {
	v, err := srv.core.Ask(ctx, in)
	wanted, ok := v.(T)
	if err == nil && !ok {
		err = refusal(v)
	}
	return wanted, err
}

// meant asks whether a name was meant; "" where there is none.
func meant(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

// refusal says in the API's words why a request is not answered as it was meant.
func refusal(v broker.Answer) error {
	switch v := v.(type) {
	case *broker.NotFound:
		return fail(http.StatusNotFound, api.CodeNotFound, "this broker knows of no job %s", v.ID)
	case *broker.AmbiguousJob:
		return fail(http.StatusConflict, api.CodeConflict, "%q matches %d jobs: %s", v.ID, len(v.IDs), joined(v.IDs))
	case *broker.UnknownEmergency:
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid,
			"priority.emergency %q: no level and no emergency that is known here; did you mean %s? A type is accepted once an emergency of it is declared", v.Name, v.Nearest)
	case *broker.IDTaken:
		return fail(http.StatusConflict, api.CodeConflict, "job %s exists with another spec; take another ID", v.Record.ID)
	case *broker.Draining:
		return fail(http.StatusServiceUnavailable, api.CodeDraining, "this broker is about to leave and takes nothing new; ask another")
	case *broker.Outdated:
		return fail(http.StatusConflict, api.CodeOutdated, "%s", v.Reason())
	case *broker.NoSuchMember:
		return fail(http.StatusNotFound, api.CodeNotFound, "no broker %.80q takes part%s", v.Name, meant(v.Nearest))
	case *broker.KnowsNoDrain:
		return fail(http.StatusConflict, api.CodeOutdated, "%s runs an earlier version of ucp, which can't be told to drain: stop it with SIGTERM, and it drains and leaves", v.Name)
	case *broker.MemberReachable:
		return fail(http.StatusConflict, api.CodeReachable, "%s is there: stop it, and it leaves by itself", v.Name)
	case *broker.InvalidDeclaration:
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%s", v.Reason)
	case *broker.TooManyDeclarations:
		return fail(http.StatusTooManyRequests, api.CodeTooMany, "%s", v.Reason)
	case *broker.AlreadyCleared:
		return fail(http.StatusConflict, api.CodeOver, "%s was cleared at %s, and that is final: declare a new one, under another ID or none",
			v.View.Record.ID, v.View.Ended.Time().Format(time.RFC3339))
	case *broker.AmbiguousEmergency:
		return fail(http.StatusConflict, api.CodeConflict, "%q matches %d emergencies: %s", v.ID, len(v.IDs), joined(v.IDs))
	case *broker.NoSuchData:
		return noSuchData(v)
	case *broker.DataOwned:
		return dataOwned(v)
	case *broker.DataConflict:
		return dataConflict(v)
	case *broker.DataRefused:
		return fail(http.StatusInsufficientStorage, api.CodeNoSpace, "%s", v.Reason)
	case *broker.NoSuchEmergency:
		return fail(http.StatusNotFound, api.CodeNotFound, "no emergency %.80q is known here%s", v.ID, meant(v.Nearest))
	}
	return fmt.Errorf("unexpected answer %T", v)
}

// queryDuration reads a duration from the query, 0 when it is absent.
func queryDuration(r *http.Request, name string) (time.Duration, error) {
	if r.URL.RawQuery == "" { // as for nearly every submission: there is nothing to parse
		return 0, nil
	}
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Hour {
		return 0, fail(http.StatusBadRequest, api.CodeBadRequest, "?%s=%s: write a duration such as 30s, at most 1h", name, s)
	}
	return d, nil
}

// maxListed bounds a page of jobs; more are in the next one.
const (
	defaultListed = 100
	maxListed     = 1000
)

func queryLimit(r *http.Request) (int, error) {
	s := r.URL.Query().Get("limit")
	if s == "" {
		return defaultListed, nil
	}
	limit, err := strconv.Atoi(s)
	if err != nil || limit < 1 {
		return 0, fail(http.StatusBadRequest, api.CodeBadRequest, "?limit=%s: a number of at least 1", s)
	}
	return min(limit, maxListed), nil
}

// pathID reads the job ID of a path: an ID, a prefix of one, or "ID~digest".
func pathID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !validReference(id) {
		return "", fail(http.StatusBadRequest, api.CodeBadRequest, "%.80q is not a job ID: letters, digits and . _ -, at most 64", id)
	}
	return id, nil
}

// alive is the answer to /healthz.
var alive = map[string]string{"status": "alive"}

func (srv *Server) handleHealth(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, alive)
	return nil
}

func (srv *Server) handleReady(w http.ResponseWriter, _ *http.Request) error {
	if srv.host.Leaving().Err() != nil { // first: a select would choose by chance
		return fail(http.StatusServiceUnavailable, api.CodeDraining, "this broker is about to leave")
	}
	select {
	case <-srv.host.Joined():
		writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
		return nil
	default:
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "still joining the cluster")
	}
}

// handleSync takes a peer's message (rule L4).
func (srv *Server) handleSync(w http.ResponseWriter, r *http.Request) error {
	release, err := srv.reserve(r, wire.MaxMessage)
	if err != nil {
		return err
	}
	defer release()
	b, err := srv.compression.Unpack(r.Body, r.Header)
	var slow *api.Error
	if errors.As(err, &slow) {
		return slow
	}
	if err != nil {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "reading the message: %v", err)
	}
	m, err := wire.DecodeMessage(b)
	if err != nil {
		srv.metrics.Malformed(m.From, err)
		return fail(http.StatusBadRequest, api.CodeBadRequest, "the message is not understood: %v", err)
	}
	if err := srv.isFrom(r, &m); err != nil {
		return err
	}
	srv.metrics.Invalid(m.From, m.Delta.Bad())
	if srv.cfg.Heads != nil {
		srv.cfg.Heads.See(m.From, m.Actor, m.Heads)
	}
	ctx, cancel := context.WithTimeout(r.Context(), srv.cfg.PeerTimeout)
	defer cancel()
	reply, err := ask[*broker.Replied](ctx, srv, func(t broker.Token) broker.Input { return broker.Deliver{Token: t, Message: m} })
	if err != nil {
		return err
	}
	srv.host.Heard(m.From)
	srv.show(w, r, m.From)
	if srv.cfg.Heads != nil {
		reply.Reply.Heads = srv.cfg.Heads.Show(m.From, m.Actor)
	}
	body := wire.Encode(&reply.Reply)
	if r.Header.Get("Accept-Encoding") == "zstd" {
		body = srv.compression.Pack(body, w.Header())
	}
	w.Header().Set("Content-Type", "application/msgpack")
	srv.metrics.sent.replies.Add(float64(len(body)))
	_, _ = w.Write(body) // the peer sees a short answer, and asks again
	return nil
}

// isFrom refuses a message that names another sender than the broker that has sent it (rule X5).
func (srv *Server) isFrom(r *http.Request, m *wire.Message) error {
	if srv.cfg.City == nil {
		return nil
	}
	if by := callerOf(r).name; m.From != by || m.Actor.Broker() != by {
		return fail(http.StatusForbidden, api.CodeForbidden, "%s has sent a message of %.80q, %.150q", by, m.From, m.Actor)
	}
	return nil
}

// validReference reports whether s may refer to a job.
func validReference(s string) bool {
	for i, c := range s {
		if c == '~' && i > 0 && len(s) <= 64+33 {
			return label.ValidName(s[:i]) && (i+1 == len(s) || label.ValidName(s[i+1:]))
		}
	}
	return label.ValidName(s)
}
