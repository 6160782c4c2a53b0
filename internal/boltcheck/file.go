package boltcheck

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrLocked says that somebody else has the file open.
var ErrLocked = errors.New("bbolt file is open elsewhere")

// File is Check for the file at path, under the lock that bbolt takes. It waits
// for the lock as long as wait, and then fails with ErrLocked. A file that is
// not there is in order: bbolt makes it.
func File(path string, wait time.Duration) (meta, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for end := time.Now().Add(wait); ; time.Sleep(wait / 50) {
		ok, err := tryLock(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if ok {
			break
		}
		if time.Now().After(end) {
			return nil, ErrLocked
		}
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return Check(f, fi.Size())
}
