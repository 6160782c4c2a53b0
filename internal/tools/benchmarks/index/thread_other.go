//go:build !linux

package main

import "time"

var start = time.Now()

// threadTime returns the clock where a thread's own time cannot be had.
func threadTime() time.Duration { return time.Since(start) }
