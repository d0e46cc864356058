package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// logger brings Pebble's messages to slog. Its Fatalf does not end the process, as
// Pebble expects, but freezes the store: to exit is the owner's to do, loudly.
type logger struct {
	*slog.Logger
	fault *fault
}

// Infof implements pebble.Logger. It formats only what will be seen.
func (l logger) Infof(format string, args ...any) {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("database: " + fmt.Sprintf(format, args...))
	}
}

// Errorf implements pebble.Logger.
func (l logger) Errorf(format string, args ...any) {
	l.Error("database: " + fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger.
func (l logger) Fatalf(format string, args ...any) {
	l.fault.fail(fmt.Errorf("database: "+format, args...))
}

// listener turns what goes wrong in the background into the fault, and lets the
// log hear of what makes commits wait.
func listener(log *slog.Logger, f *fault) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			// Failed writes do not come here (see disk): this is a table that
			// cannot be read.
			f.fail(fmt.Errorf("database: background work: %w", corrupt(err)))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			f.fail(fmt.Errorf("database: %w in %s: %w", ErrCorrupt, info.Path, info.Details))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			f.stall(true)
			log.Warn("commits wait for the disk", "reason", info.Reason)
		},
		WriteStallEnd: func() {
			f.stall(false)
			log.Warn("commits go on")
		},
	}
}

// corrupt marks Pebble's corruption errors as ErrCorrupt.
func corrupt(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
