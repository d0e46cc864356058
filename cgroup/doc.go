// Package cgroup finds out what the control groups of Linux leave a process of its machine. A container, or a unit of a
// service manager, may have half a gigabyte of a machine whose /proc/meminfo says sixty-four: a broker that offered
// those to jobs would be killed over the first large one.
//
// Both versions are read, and both at once: many systems have controllers in version 1 beside an empty version 2. What
// counts is the tightest limit on the way from a process's own group to the highest one that it sees.
package cgroup
