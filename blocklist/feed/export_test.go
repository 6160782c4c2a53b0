package feed

import (
	"context"
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/fsx"
)

// Poll requests the pointer at once.
func (f *Feed) Poll(ctx context.Context) error {
	_, err := f.poll(ctx)
	return err
}

// Pause returns how long a reader waits after failures.
func (f *Feed) Pause(failures int, least time.Duration) time.Duration {
	return f.pause(failures, least)
}

// NewFolderIn is NewFolder in another file system; the lock is in dir of the real
// one.
func NewFolderIn(fs fsx.FS, dir string) *Folder { return &Folder{dir, fs} }

// In makes a reader keep its copy in another file system.
func (o *Options) In(fs fsx.FS) { o.fs = fs }

// CheckPointer reads a pointer as readers do, and signs it again with a key.
func CheckPointer(text []byte, trusted []ed25519.PublicKey, key ed25519.PrivateKey) ([]byte, error) {
	p, err := parsePointer(text, trusted)
	if err != nil {
		return nil, err
	}
	p.names()
	p.chain(0)
	p.chain(p.Base.Seq)
	return p.sign([]ed25519.PrivateKey{key})
}

// Resign signs the content of a pointer, whatever it is.
func Resign(content []byte, key ed25519.PrivateKey) []byte {
	signed := append([]byte(pointerContext), content...)
	signed = append(signed, '\n')
	return appendSignature(slices.Clone(signed), key, signed)
}

var RetryAfter = retryAfter

const LongLog = longLog
