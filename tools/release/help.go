package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// shells have completion.
var shells = []string{"bash", "zsh", "fish"}

// writeHelp has the program write its man pages, which are compressed, and its completion.
func (r *release) writeHelp(ctx context.Context) error {
	host, err := r.host(ctx)
	if err != nil {
		return err
	}
	plain := filepath.Join(r.stage, "pages")
	if out, err := exec.CommandContext(ctx, host.path, "man", plain).CombinedOutput(); err != nil {
		return fmt.Errorf("man pages: %w: %s", err, out)
	}
	pages, err := os.ReadDir(plain)
	if err != nil {
		return err
	}
	for _, dir := range []string{"man", "completion"} {
		if err := os.MkdirAll(filepath.Join(r.stage, dir), 0o755); err != nil { //nolint:gosec // it is for others
			return err
		}
	}
	for _, e := range pages {
		text, err := os.ReadFile(filepath.Join(plain, e.Name()))
		if err != nil {
			return err
		}
		var small bytes.Buffer
		z, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // the level is one
		_, err = z.Write(text)
		if err := errors.Join(err, z.Close()); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.stage, "man", e.Name()+".gz"), small.Bytes(), 0o600); err != nil {
			return err
		}
	}
	for _, shell := range shells {
		text, err := exec.CommandContext(ctx, host.path, "completion", shell).Output()
		if err != nil {
			return fmt.Errorf("completion for %s: %w", shell, err)
		}
		if err := os.WriteFile(filepath.Join(r.stage, "completion", shell), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
