package desk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The desk notes where it published, and which state of the list. A folder that was
// restored from a copy is older than what nodes have loaded from there: Open and
// Publish see it.

// Publication is what a desk knows of its last Publish to a path.
type Publication struct {
	Path string    `json:"path"`
	Time time.Time `json:"time"`
	Seq  uint64    `json:"seq"` // the last event in the file
}

// maxCopies bounds how many paths are noted.
const maxCopies = 100

var keyCopies = []byte("copy at ") // before the path → time (8), Position

// publications is the outcome of the last Publish.
type publications struct {
	mu   sync.Mutex
	path string
	at   time.Time
	err  error
}

func (p *publications) note(path string, at time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.path, p.at, p.err = path, at, err
}

// nameOf returns the path of a published file as it is noted: relative to the folder
// if it is inside, so that the folder can be moved.
func (d *Desk) nameOf(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("takedown: %w", err)
	}
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return "", fmt.Errorf("takedown: %w", err)
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return "./" + filepath.ToSlash(rel), nil
	}
	return path, nil
}

// pathOf is the reverse of nameOf.
func (d *Desk) pathOf(name string) string {
	if rel, ok := strings.CutPrefix(name, "./"); ok {
		return filepath.Join(d.dir, filepath.FromSlash(rel))
	}
	return name
}

// copies returns the publications that are noted.
func (d *Desk) copies() (list []Publication, err error) {
	err = d.store.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketMeta, keyCopies, nil, func(k, v []byte) error {
			if len(v) < 8 {
				return fmt.Errorf("%w: a publication of %d bytes", ErrStore, len(v))
			}
			at, err := parseReached(v[8:])
			if err != nil {
				return err
			}
			list = append(list, Publication{
				Path: d.pathOf(string(k[len(keyCopies):])), Time: time.Unix(int64(binary.BigEndian.Uint64(v)), 0).UTC(), Seq: at.Seq,
			})
			return nil
		})
	})
	return list, err
}

// noteCopy notes a publication. at is where the list was before it.
func (d *Desk) noteCopy(path string, at reached) error {
	name, err := d.nameOf(path)
	if err != nil {
		return err
	}
	list, err := d.copies()
	if err != nil {
		return err
	}
	gone := [][]byte(nil)
	if len(list) >= maxCopies {
		for _, p := range list {
			if there, err := exists(p.Path); err == nil && !there {
				n, _ := d.nameOf(p.Path)
				gone = append(gone, append(bytes.Clone(keyCopies), n...))
			}
		}
		if len(gone) == 0 {
			return nil // enough to compare with
		}
	}
	return d.store.db.Update(func(tx StoreTx) error {
		for _, k := range gone {
			if err := tx.Delete(BucketMeta, k); err != nil {
				return err
			}
		}
		v := binary.BigEndian.AppendUint64(nil, uint64(d.clock().Unix()))
		return tx.Put(BucketMeta, append(bytes.Clone(keyCopies), name...), append(v, at.bytes()...))
	})
}

// published runs a publication to a path, unless what is there is newer than the list,
// or of another history.
func (d *Desk) published(path string, publish func() error) error {
	at := d.here()
	err := d.checkPublished(path)
	mismatch := err != nil
	if !mismatch {
		err = publish()
	}
	if err == nil || mismatch {
		// Open, and Recover, look there from now on.
		err = errors.Join(err, d.noteCopy(path, at))
	}
	d.publication.note(path, d.clock(), err)
	return err
}

// comparePublished refuses a folder that is older than what it published. Files that
// are out of reach, or unreadable, say nothing.
func (d *Desk) comparePublished() error {
	list, err := d.copies()
	if err != nil {
		return err
	}
	var all error
	for _, p := range list {
		all = errors.Join(all, d.checkPublished(p.Path))
	}
	return all
}
