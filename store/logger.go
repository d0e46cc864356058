package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleLogger passes Pebble's messages to slog. Its Fatalf does not end the process, as Pebble expects, but
// freezes the store and so tells the owner, which ends the process in an orderly way.
type pebbleLogger struct {
	*slog.Logger
	fault *fault
}

// Infof implements pebble.Logger. It formats only what will be logged.
func (l pebbleLogger) Infof(format string, args ...any) {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("database: " + fmt.Sprintf(format, args...))
	}
}

// Errorf implements pebble.Logger.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.Error("database: " + fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.fault.fail(fmt.Errorf("database: "+format, args...))
}

// eventListener records failures of Pebble's background work in the fault, and logs what makes commits wait.
func eventListener(log *slog.Logger, f *fault) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			// Failed writes do not come here (see disk): a table cannot be read.
			f.fail(fmt.Errorf("database: background work: %w", corrupt(err)))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			f.fail(fmt.Errorf("database: %w in %s: %w", errCorrupt, info.Path, info.Details))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			f.setStalled(true)
			log.Warn("commits wait for the disk", "reason", info.Reason)
		},
		WriteStallEnd: func() {
			f.setStalled(false)
			log.Warn("commits no longer wait for the disk")
		},
	}
}

// corrupt marks Pebble's corruption errors as ErrCorrupt.
func corrupt(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return err
}
