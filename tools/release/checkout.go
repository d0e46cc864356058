package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
)

// checkout makes a checkout of a commit of a repository in a clone. What is not committed is no part of it, which is said.
func checkout(ctx context.Context, root, commit, dir string) error {
	id, err := git(ctx, "-C", root, "rev-parse", "--verify", commit+"^{commit}")
	if err != nil {
		return fmt.Errorf("a release is made from a checkout of git: %w", err)
	}
	changes, err := git(ctx, "-C", root, "status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return err
	}
	if len(changes) > 0 && commit == "HEAD" {
		fmt.Fprintf(os.Stderr, "release: this is of commit %.12s; what is not committed is not in it:\n%s\n", id, changes)
	}
	if _, err := git(ctx, "clone", "-q", "--no-checkout", root, dir); err != nil {
		return err
	}
	_, err = git(ctx, "-C", dir, "checkout", "-q", "--detach", string(id))
	return err
}

// git runs git, and returns what it prints.
func git(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %v: %w: %s", args, err, bytes.TrimSpace(problem.Bytes()))
	}
	return bytes.TrimSpace(out), nil
}
