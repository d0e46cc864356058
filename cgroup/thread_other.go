//go:build !linux

package cgroup

func gettid() int { return 0 }
