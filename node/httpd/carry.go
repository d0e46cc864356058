package httpd

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/api"
)

// CarryRefused says why there is no file, or why nothing of one was taken, for people.
type CarryRefused struct{ Reason string }

// Error implements error.
func (e *CarryRefused) Error() string { return e.Reason }

// MaxWords bounds what brokers tell each other of others' words, in bytes.
const MaxWords = 48 << 20

// carryError is what a client is told.
func carryError(err error) error {
	var refused *CarryRefused
	if errors.As(err, &refused) {
		return fail(http.StatusConflict, api.CodeConflict, "%s", refused.Reason)
	}
	return err
}

// handlePack answers with a file for members that can't be reached (rule B1).
func (srv *Server) handlePack(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	o := api.CarryOptions{Admit: queryYes(r, "admit"), Whole: queryYes(r, "whole"), Introduce: queryYes(r, "introduce")}
	for name := range strings.SplitSeq(q.Get("for"), ",") {
		if name = strings.TrimSpace(name); name != "" && name != "all" {
			o.For = append(o.For, name)
		}
	}
	if len(o.For) > 0 && slices.Contains(strings.Split(q.Get("for"), ","), "all") {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "?for=%.80s: write names, or all", q.Get("for"))
	}
	if s := q.Get("limit"); s != "" {
		var err error
		if o.Limit, err = strconv.ParseInt(s, 10, 64); err != nil || o.Limit < minCarryLimit {
			return fail(http.StatusBadRequest, api.CodeBadRequest, "?limit=%.40s: a number of bytes, at least %d", s, minCarryLimit)
		}
	}
	if o.Introduce && (len(o.For) > 0 || o.Admit || o.Whole) {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "?introduce=1 says who this broker is, to anybody: it goes with nothing else")
	}
	w.Header().Set("Trailer", api.CarryReportTrailer)
	out := &firstWrite{ResponseWriter: w}
	report, err := srv.host.Pack(r.Context(), out, o)
	if err != nil {
		w.Header().Del("Trailer")
		if !out.wrote {
			return carryError(err)
		}
		srv.log.Error("a file to be carried broke off", "error", err)
		panic(http.ErrAbortHandler) // so the client sees that its end does not come
	}
	orderOf(r).which, orderOf(r).detail = strings.Join(report.For, ","), report.ID
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	w.Header().Set(api.CarryReportTrailer, string(text))
	return nil
}

// firstWrite says whether something of an answer was written.
type firstWrite struct {
	http.ResponseWriter
	wrote bool
}

// Write implements io.Writer.
func (f *firstWrite) Write(b []byte) (int, error) {
	if !f.wrote {
		f.wrote = true
		f.Header().Set("Content-Type", "application/octet-stream")
	}
	return f.ResponseWriter.Write(b)
}

// minCarryLimit is the least that a file may have: what it holds in any case has room.
const minCarryLimit = 1 << 20

// handleUnpack takes a file in (rule B1).
func (srv *Server) handleUnpack(w http.ResponseWriter, r *http.Request) error {
	look := queryYes(r, "dry_run")
	orderOf(r).none = look
	report, err := srv.host.Unpack(r.Context(), r.Body, look)
	orderOf(r).which, orderOf(r).detail = report.From, report.ID
	// Who is still sending would see a broken connection, and not the answer: so what is on its way is read, up to a bound, whether the file was
	// refused, or is of no use from somewhere on.
	_, _ = io.CopyN(io.Discard, r.Body, readAfterAnswer)
	if err != nil {
		return carryError(err)
	}
	writeJSON(w, http.StatusOK, report)
	return nil
}

// readAfterAnswer is how much of a file is read behind the place where its use ends.
const readAfterAnswer = 64 << 30

// handleWord says what this broker says of itself to whom it does not reach (rule B3).
func (srv *Server) handleWord(w http.ResponseWriter, r *http.Request) error {
	b, err := srv.host.Word(r.Context())
	if err != nil {
		return carryError(err)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(b) // the peer sees a short answer
	return nil
}

// handleWords takes in what others say of themselves, from who has it from a file.
func (srv *Server) handleWords(w http.ResponseWriter, r *http.Request) error {
	release, err := srv.reserve(r, MaxWords)
	if err != nil {
		return err
	}
	defer release()
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxWords))
	if err != nil {
		return err
	}
	var words [][]byte
	if err := json.Unmarshal(b, &words); err != nil {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "reading words: %v", err)
	}
	unknown, err := srv.host.HearWords(r.Context(), words)
	if err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%v", err)
	}
	writeJSON(w, http.StatusOK, api.WordsHeard{Unknown: unknown})
	return nil
}
