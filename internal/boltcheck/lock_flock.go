//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package boltcheck

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock that bbolt takes, until f is closed. ok is false when
// somebody else has it.
func tryLock(f *os.File) (ok bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
