package blocklist

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/staydown/staydown/internal/keyfile"
)

// CopyTo copies the events of the list up to a Position into another journal, and
// the keys of its faces into a folder, as they are: New opens the copy with the same
// options. The list is open for writing, and goes on. A journal that has a beginning
// of the same list is continued. The error wraps ErrFork or ErrKey if it has
// something else.
func (l *List) CopyTo(ctx context.Context, at Position, to Journal, dir string) error {
	j, err := l.journal()
	if err != nil {
		return err
	}
	if err := l.Reached(at); err != nil {
		return err
	}
	meta, err := j.store.Meta()
	if err != nil {
		return err
	}
	last, err := to.Last()
	if err != nil {
		return err
	}
	if last == 0 {
		err = to.SetMeta(meta)
	} else {
		err = j.continuedBy(to, last, at)
	}
	if err != nil {
		return err
	}
	for last < at.Seq {
		some, err := j.store.Read(last+1, int(min(readBatch, at.Seq-last)))
		if err == nil && len(some) == 0 {
			err = fmt.Errorf("blocklist: journal ends at event %d, not %d: %w", last, at.Seq, ErrJournal)
		}
		if err == nil {
			err = to.Append(some)
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		last = some[len(some)-1].Seq
	}
	return l.open.faceKeys.copyTo(dir)
}

// continuedBy returns an error unless another journal is a beginning of j.
func (j *log) continuedBy(to Journal, last uint64, at Position) error {
	some, err := to.Read(last, 1)
	if err != nil {
		return err
	}
	if last > at.Seq || len(some) != 1 {
		return fmt.Errorf("blocklist: the copy has %d events, the list %d: %w", last, at.Seq, ErrFork)
	}
	digest, err := j.digestAt(last)
	if err == nil && digest != some[0].Digest {
		err = fmt.Errorf("blocklist: the copy has other events up to %d: %w", last, ErrFork)
	}
	return err
}

// copyTo copies the file of keys, if there is one, into a folder.
func (k *faceKeys) copyTo(dir string) error {
	f := k.opened()
	if f == nil {
		return nil
	}
	to, err := keyfile.Open(k.fs, filepath.Join(dir, filepath.Base(k.path)), k.wrap)
	if err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	// What was destroyed since an earlier, unfinished copy goes there too.
	err = to.Retain(f.Has)
	if err == nil {
		err = f.CopyTo(to)
	}
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}
