package gossip

import (
	"log/slog"
)

func testSift() *sift { return newSift("me", func(Refused) {}, slog.New(slog.DiscardHandler)) }
