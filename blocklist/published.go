package blocklist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/staydown/staydown/internal/fsx"
)

// A published snapshot with faces holds their keys. When another one takes its
// place, its bytes would stay on the disk, and in files that link to it or have
// it open; so its header is overwritten, where it lies: without the salt in it
// nobody can make the key of the file again, and nothing in it opens. Whoever
// has read the header before, to load the file, is not disturbed.

// replacedSuffix is behind the second name of a file that is being replaced, by
// which it is found again after a crash.
const replacedSuffix = ".replaced"

// Refresh publishes to path again if the file of Publish at path has keys of faces
// that have ended, or whose Options.FaceLifetime is over. Otherwise the file and
// the encryption key would open them as long as the file exists. It also makes
// files unreadable that a crash within Publish left beside it.
//
// found is false if path has no file with faces of this list. The error wraps
// ErrRollback when the file is newer than the list. It wraps ErrSignature when the
// file is signed and Options has no SigningKey. In both cases the file is
// unchanged.
func (l *List) Refresh(path string) (found bool, err error) {
	if l.writer == nil {
		return false, fmt.Errorf("blocklist: a loaded list publishes no faces: %w", ErrReadOnly)
	}
	l.publish.Lock()
	defer l.publish.Unlock()
	start := time.Now()
	found, err = l.refresh(path)
	if found || err != nil {
		l.report(start, Observation{Op: OpRefresh, Err: err})
	}
	return found, err
}

// refresh is Refresh. The lock for it is held.
func (l *List) refresh(path string) (found bool, err error) {
	j, err := l.journal()
	if err != nil {
		return false, err
	}
	if err := l.finishReplacing(path); err != nil {
		return true, fmt.Errorf("blocklist: %w", err)
	}
	p, err := l.readPublished(path)
	switch {
	case isNotThere(err) || err == nil && !p.ours:
		return false, nil
	case err != nil:
		return true, fmt.Errorf("blocklist: %w", err)
	case p.damaged:
		_, err := l.publishTo(path)
		return true, err
	case len(p.events) == 0:
		return false, nil
	}
	if seq := l.State().seq; p.header.seq > seq {
		return true, fmt.Errorf("blocklist: the file has sequence %d, the list %d: %w", p.header.seq, seq, ErrRollback)
	}
	seqs, err := j.numbers(p.events...)
	if err != nil {
		return true, err
	}
	v, now, settled := l.State(), l.now().Unix(), l.settledUnix()
	ended := func(seq uint64) bool {
		g, ok := v.grantOf(seq)
		return !ok || v.hasEnded(g, settled)
	}
	if now < p.until && !slices.ContainsFunc(seqs, ended) {
		return true, nil
	}
	if p.signed && l.signingKey == nil {
		return true, fmt.Errorf("blocklist: the file is signed, and there is no key to sign another: %w", ErrSignature)
	}
	_, err = l.publishTo(path)
	return true, err
}

// isNotThere reports whether an error says that there is no file at a path: what
// is there is something else, such as a folder, or its folder is none.
func isNotThere(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fsx.ErrNotRegular)
}

// published is what is in a file where a snapshot was published.
type published struct {
	head    []byte // the first bytes; the salt in them is of no other file
	ours    bool   // encrypted with the key of this list, and not of another list
	damaged bool   // ours, and what follows is not known
	header  header
	signed  bool
	events  [][16]byte // whose keys it has
	until   int64
}

// hasKeys reports whether there are keys in it, as far as can be told.
func (p *published) hasKeys() bool { return p.ours && (p.damaged || len(p.events) > 0) }

// readPublished reads the keys of faces in a published file, and nothing else.
func (l *List) readPublished(path string) (p published, err error) {
	f, err := l.fs.Open(path)
	if err != nil {
		return p, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return p, err
	}
	p.head = make([]byte, min(size, sealedHeader))
	if _, err := f.ReadAt(p.head, 0); err != nil && !errors.Is(err, io.EOF) {
		return p, err
	}
	key := l.open.EncryptionKey
	if key == nil || !isSealed(p.head) || len(p.head) < sealedHeader || !key.sealed(p.head) {
		return p, nil
	}
	p.ours = true
	s, err := openSealed(f, p.head, size, key)
	if err == nil {
		err = p.readKeys(s)
	}
	p.damaged = err != nil
	p.ours = p.damaged || p.header.ID == l.State().base.header.ID
	return p, nil
}

func (p *published) readKeys(s *sealedFile) error {
	start, err := s.part(0, min(s.plain, headerSize+int64(tableSize(maxSections))))
	if err != nil {
		return err
	}
	if p.header, err = parseHeader(start, s.plain); err != nil {
		return err
	}
	sections, err := parseTable(&p.header, start)
	if err != nil {
		return err
	}
	for _, sec := range sections {
		switch int(sec.kind) {
		case secSignature:
			p.signed = true
		case secFaceKeys:
			content := new([secLast + 1][]byte)
			raw, err := s.part(sec.offset, sec.length)
			if err != nil {
				return err
			}
			defer clear(raw)
			content[secFaceKeys] = raw
			b := &base{header: p.header}
			keys, err := b.parseFaceKeys(&checker{content: content}, &LoadOptions{}, true)
			if err != nil {
				return err
			}
			for _, k := range keys {
				p.events = append(p.events, k.event)
			}
			p.until = b.facesUntil
			clear(keys)
		}
	}
	return nil
}

// replace moves the file temp to path. If what was there before is a file of
// this list with keys of faces, it is made unreadable, when the new one is in
// its place for sure.
func (l *List) replace(temp, path string) error {
	fs, dir := l.fs, filepath.Dir(path)
	move := func() error {
		if err := fs.Rename(temp, path); err != nil {
			return err
		}
		return fs.SyncDir(dir)
	}
	old, err := l.readPublished(path)
	if errors.Is(err, iofs.ErrNotExist) || err == nil && !old.hasKeys() {
		return move()
	}
	if err != nil {
		return err
	}
	second := path + replacedSuffix
	if fs.Link(path, second) == nil {
		// The second name is durable first. If something fails from here on,
		// finishReplacing sees whether path was replaced.
		if err := fs.SyncDir(dir); err != nil {
			return err
		}
		if err := move(); err != nil {
			return err
		}
		return l.discard(second)
	}
	// A file system without second names, or this one is taken. The old file is
	// found as long as it is open: not after a crash.
	f, err := fs.Edit(path)
	if err != nil {
		return err
	}
	if err = move(); err == nil {
		err = wipe(f)
	}
	return errors.Join(err, f.Close())
}

// finishReplacing does what a crash within Publish kept from being done: what it
// left beside the file goes, and is made unreadable unless it is the file itself.
func (l *List) finishReplacing(path string) error {
	now, err := l.readPublished(path)
	if err != nil && !isNotThere(err) {
		return err
	}
	for _, suffix := range []string{tempSuffix, replacedSuffix} {
		p, err := l.readPublished(path + suffix)
		switch {
		case errors.Is(err, iofs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			continue
		case err != nil:
			return err
		case suffix == replacedSuffix && !p.ours && !isWiped(p.head):
			continue // nothing that Publish made
		case now.ours && bytes.Equal(p.head, now.head):
			err = l.fs.Remove(path + suffix)
		default:
			// What is at path now stays there.
			if err = l.fs.SyncDir(filepath.Dir(path)); err == nil {
				err = l.discard(path + suffix)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// discard makes a file unreadable, if there is one, and removes it.
func (l *List) discard(path string) error {
	f, err := l.fs.Edit(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(wipe(f), f.Close()); err != nil {
		return err
	}
	return l.fs.Remove(path)
}

// wipe overwrites the header of an encrypted snapshot, durably.
func wipe(f fsx.File) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, min(size, sealedHeader)), 0); err != nil {
		return err
	}
	return f.Sync()
}

// destroy removes a snapshot of the folder, and overwrites it before: it has keys
// of rules that have ended since. One that may be mapped is only removed, because
// States that were taken use its bytes.
func (l *List) destroy(path string) error {
	if l.open.Map {
		return l.fs.Remove(path)
	}
	if l.open.EncryptionKey != nil {
		return l.discard(path)
	}
	return fsx.Wipe(l.fs, path)
}

func isWiped(head []byte) bool { return bytes.Count(head, []byte{0}) == len(head) }
