//go:build !linux

package rig

import (
	"errors"
	"syscall"
)

var errLinux = errors.New("this needs Linux")

// Box is for Linux alone.
func Box() (code int, inside bool, why error) { return 0, false, errLinux }

// Inside is false outside Linux.
func Inside() bool { return false }

func ownNamespace() error { return errLinux }

// MountDisk is for Linux alone.
func MountDisk(string, int64, int64) error { return errLinux }

// UnmountDisk is for Linux alone.
func UnmountDisk(string) error { return errLinux }

// FilesOn is for Linux alone.
func FilesOn(string) (int64, error) { return 0, errLinux }

// LimitFiles is for Linux alone.
func LimitFiles(string, int64) error { return errLinux }

// MountReadOnly is for Linux alone.
func (b *Broker) MountReadOnly(string) error { return errLinux }

// UnmountReadOnly is for Linux alone.
func (b *Broker) UnmountReadOnly(string) error { return errLinux }

// LimitProcesses is for Linux alone.
func (b *Broker) LimitProcesses(int) (lift func() error, err error) { return nil, errLinux }

// CanLimitProcesses is an error outside Linux.
func CanLimitProcesses() error { return errLinux }

// MountFailing is for Linux alone.
func (b *Broker) MountFailing(string, string) error { return errLinux }

// UnmountFailing is for Linux alone.
func (b *Broker) UnmountFailing(string, string) error { return errLinux }

// TryLoop is an error outside Linux.
func TryLoop() error { return errLinux }

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
