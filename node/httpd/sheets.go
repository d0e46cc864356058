package httpd

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// Bounds of a question for sheets.
const (
	MaxSheetUpdates = 64      // updates that it may name
	MaxSheets       = 4 << 20 // bytes of an answer; the sheets beyond that are not in it
)

// handleSheets gives other brokers of the city the sheets of this broker's commits that are over some updates (rule H3): each with its
// length before it.
func (srv *Server) handleSheets(w http.ResponseWriter, r *http.Request) error {
	if srv.cfg.City == nil || srv.cfg.Heads == nil {
		return noCity()
	}
	list := strings.Split(r.URL.Query().Get("updates"), ",")
	if len(list) > MaxSheetUpdates {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "updates: %d of them, at most %d are allowed", len(list), MaxSheetUpdates)
	}
	var updates []uint64
	for _, text := range list {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "updates: %.80q is no number of an update", text)
		}
		updates = append(updates, n)
	}
	sheets, err := srv.cfg.Heads.Sheets(clock.Actor(r.URL.Query().Get("actor")), updates)
	if err != nil {
		return err
	}
	var out []byte
	for _, s := range sheets {
		if len(out)+len(s) < MaxSheets {
			out = append(binary.AppendUvarint(out, uint64(len(s))), s...)
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(out) // the peer sees a short answer, and asks again
	return nil
}
