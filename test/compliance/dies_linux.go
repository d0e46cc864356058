package main

import "syscall"

// diesWithUs lets a process end when we do.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
