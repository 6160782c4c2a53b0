package blocklist

import (
	"errors"
	"fmt"
	"io"

	"github.com/staydown/staydown/internal/fsx"
)

// Reached returns nil if the list is at a Position, or has gone on from it. It is
// for a list that is open for writing. It returns ErrRollback if the list is older:
// it has not reached the number, or the epoch. It returns ErrFork if the list has
// other events up to that number. Of an earlier epoch only the number is compared.
func (l *List) Reached(p Position) error {
	j, err := l.journal()
	if err != nil {
		return err
	}
	now := l.State().Position()
	switch {
	case now.Epoch < p.Epoch, now.Seq < p.Seq:
		return fmt.Errorf("blocklist: the list is at %v, and not at or after %v: %w", now, p, ErrRollback)
	case now.Epoch > p.Epoch || p == Position{}:
		return nil
	}
	digest, err := j.digestAt(p.Seq)
	if err == nil && digest != p.Digest {
		err = fmt.Errorf("blocklist: the list has other events up to %d: %w", p.Seq, ErrFork)
	}
	return err
}

// CheckPublished compares the snapshot file at path with the list, which is open for
// writing, and returns the Position of the file. It reads the header of the file
// only. ok is false if there is no file, or no readable snapshot of this list.
//
// The error wraps ErrRollback if the file is newer than the list, and ErrFork if the
// list has other events up to its number: the list, or the file, was restored from
// a copy. To publish there would let nodes forget rules, or be refused by them.
func (l *List) CheckPublished(path string) (p Position, ok bool, err error) {
	h, err := l.publishedHeader(path)
	now := l.State().base.header
	switch {
	case isNotThere(err), isNoSnapshot(err):
		return Position{}, false, nil
	case err != nil:
		return Position{}, false, fmt.Errorf("blocklist: %w", err)
	case h.ID != now.ID || h.List != now.List:
		return Position{}, false, nil
	}
	p = h.position()
	if h.Epoch == now.Epoch && h.Secret != now.Secret {
		return p, true, fmt.Errorf("blocklist: the file has other keys for digests: %w", ErrFork)
	}
	return p, true, l.Reached(p)
}

// isNoSnapshot reports whether an error says that a file is no snapshot that can be
// read with this key.
func isNoSnapshot(err error) bool {
	for _, known := range []error{ErrNotSnapshot, ErrVersion, ErrTruncated, ErrChecksum, ErrFormat, ErrLimit, ErrKey, ErrRules} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func (l *List) publishedHeader(path string) (h header, err error) {
	f, err := l.fs.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	return readHeader(f, l.open.EncryptionKey)
}

// readHeader reads the header of a snapshot file, encrypted or not.
func readHeader(f fsx.File, key *EncryptionKey) (h header, err error) {
	size, err := f.Size()
	if err != nil {
		return h, err
	}
	head := make([]byte, min(size, headerSize))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return h, err
	}
	if !isSealed(head) {
		return parseHeader(head, size)
	}
	if key == nil {
		return h, fmt.Errorf("snapshot is encrypted, and there is no key: %w", ErrKey)
	}
	s, err := openSealed(f, head[:min(len(head), sealedHeader)], size, key)
	if err != nil {
		return h, err
	}
	start, err := s.part(0, min(s.plain, headerSize))
	if err != nil {
		return h, err
	}
	return parseHeader(start, s.plain)
}
