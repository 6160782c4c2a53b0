package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// A published file has the keys of the faces in it, and a withdrawal does not
// reach them. So the desk remembers where it published, and publishes there again
// when there are faces in a file that must not be there any more.

// maxPublished bounds how many published files a desk looks after.
const maxPublished = 100

// ErrTooManyPublished is returned when Publish would exceed the 100 files with
// faces that a desk keeps up to date. Delete files that are no longer used first.
var ErrTooManyPublished = errors.New("takedown: too many published files with faces")

// PublishedError reports that a published file could not be rewritten when it was
// due, and why. The file may hold keys of faces that have ended.
type PublishedError struct {
	Path string
	Err  error
}

func (e *PublishedError) Error() string {
	return fmt.Sprintf("takedown: published file %s could not be written again: %v", e.Path, e.Err)
}

// Unwrap returns the reason.
func (e *PublishedError) Unwrap() error { return e.Err }

// publishEncrypted publishes the list to a file that the desk looks after from
// then on.
func (d *Desk) publishEncrypted(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	d.publishing.Lock()
	defer d.publishing.Unlock()
	// It is noted first: a crash leaves no file that nobody knows of.
	added, err := d.store.notePublishedAt(path)
	if errors.Is(err, ErrTooManyPublished) {
		// Some may be gone by now.
		failed := d.refresh(context.Background())
		if added, err = d.store.notePublishedAt(path); err != nil {
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		return err
	}
	err = d.list.Publish(path)
	if err == nil || !added {
		return err
	}
	// If it failed before anything was there, as where there cannot be a file,
	// there is nothing to look after. What is not certain stays noted.
	if found, e := d.list.Refresh(path); e == nil && !found {
		err = errors.Join(err, d.store.forgetPublishedAt(path))
	}
	return err
}

// refreshPublished writes those published files again that have keys of faces
// that have ended, or that nodes may not use any more, and forgets those that are
// gone. One that cannot be written does not keep it from the others.
func (d *Desk) refreshPublished(ctx context.Context) error {
	d.publishing.Lock()
	defer d.publishing.Unlock()
	return d.refresh(ctx)
}

func (d *Desk) refresh(ctx context.Context) error {
	paths, err := d.store.publishedAt()
	if err != nil {
		return err
	}
	var all error
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return errors.Join(all, err)
		}
		found, err := d.list.Refresh(path)
		if err != nil {
			err = &PublishedError{path, err}
		} else if !found {
			err = d.store.forgetPublishedAt(path)
		}
		all = errors.Join(all, err)
	}
	return all
}

// keyPublishedAt is before the path of a published file.
var keyPublishedAt = []byte("published at ")

func publishedKey(path string) []byte { return append(bytes.Clone(keyPublishedAt), path...) }

// publishedAt returns the paths of the published files.
func (s *caseStore) publishedAt() (paths []string, err error) {
	err = s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketMeta, keyPublishedAt, nil, func(k, _ []byte) error {
			paths = append(paths, string(k[len(keyPublishedAt):]))
			return nil
		})
	})
	return paths, err
}

// notePublishedAt notes the path of a published file. added says that it was not
// noted before.
func (s *caseStore) notePublishedAt(path string) (added bool, err error) {
	key, n, known := publishedKey(path), 0, false
	err = s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketMeta, keyPublishedAt, nil, func(k, _ []byte) error {
			n++
			known = known || bytes.Equal(k, key)
			return nil
		})
	})
	if err != nil || known {
		return false, err
	}
	if n >= maxPublished {
		return false, fmt.Errorf("%w: %d, delete those that nobody uses", ErrTooManyPublished, n)
	}
	err = s.db.Update(func(tx StoreTx) error { return tx.Put(BucketMeta, key, []byte{1}) })
	return err == nil, err
}

func (s *caseStore) forgetPublishedAt(path string) error {
	return s.db.Update(func(tx StoreTx) error { return tx.Delete(BucketMeta, publishedKey(path)) })
}
