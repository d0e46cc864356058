package rig

import (
	"context"
	"time"
)

// Pause waits for d, or returns the error of ctx when it ends before. It does not wait when d is not
// positive.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
