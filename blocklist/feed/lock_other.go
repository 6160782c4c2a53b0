//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package feed

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// lock waits for the exclusive lock on a file. Systems without flock use the
// existence of a second file, which a crash leaves behind: it has to be removed by
// hand then.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := os.OpenFile(path+".held", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
			return func() { os.Remove(path + ".held") }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
