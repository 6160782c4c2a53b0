package keyfile

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/staydown/staydown/internal/aesgcm"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/segment"
)

// Mark says at which point of the history of a store its keys were last used.
// The file of a store and its keys can then be compared: see OpenMarked.
type Mark struct {
	Store  [16]byte // of the store
	Seq    uint64   // how many steps the store has made
	Digest [32]byte // of these steps
}

// A file of kind 2 has two marks behind its header. The one with the higher
// number holds; a crash can tear only the other.
//
//	nonce (12), AES-256-GCM of number (8), Store (16), Seq (8), Digest (32), tag (16), CRC-32C (4)
const (
	markPlain = 8 + 16 + 8 + 32
	markSize  = 12 + markPlain + 16 + 4
	marksSize = 2 * markSize
)

// EmptySize is the size of a file with a mark and no key.
const EmptySize = headerSize + marksSize

// ErrNoFile: the file is missing, or it ends before the first key.
var ErrNoFile = errors.New("the file of keys is missing, or has no beginning")

// OpenMarked opens a file of keys with a mark, sealed under wrap. A missing file is
// made if fresh is set, with that mark; it is ErrNoFile otherwise. A file whose mark
// is not sealed under wrap is ErrKey.
//
// OpenMarked writes nothing into a file that is there, unless fresh is set. A slot
// that is damaged stays as it is until WipeDamaged.
func OpenMarked(fsys fsx.FS, path string, wrap *Key, fresh *Mark) (k *File, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keys in %s: %w", path, err)
		}
	}()
	f, err := fsys.Edit(path)
	if errors.Is(err, fs.ErrNotExist) {
		if fresh == nil {
			return nil, ErrNoFile
		}
		f, err = fsys.Create(path)
	}
	if err != nil {
		return nil, err
	}
	k = &File{f: f, slots: map[ID]uint32{}, wrap: aesgcm.New(*wrap), marked: true, first: headerSize + marksSize}
	if err = k.readMarked(fresh); err == nil && fresh != nil {
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return k, nil
}

func (k *File) readMarked(fresh *Mark) error {
	size, err := k.f.Size()
	if err != nil {
		return err
	}
	if size > k.first+maxSlots*slotSize {
		return fmt.Errorf("%d bytes, at most %d are accepted: %w", size, k.first+maxSlots*slotSize, ErrFormat)
	}
	if fresh != nil && size <= k.first {
		k.end = k.first
		return k.begin(*fresh)
	}
	if size < k.first {
		return ErrNoFile
	}
	head := make([]byte, k.first)
	if _, err := k.f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if want := k.header(); !bytes.Equal(head[:headerSize], want) {
		return fmt.Errorf("it begins with % x, not % x: %w", head[:headerSize], want, ErrFormat)
	}
	if err := k.readMarks(head[headerSize:]); err != nil {
		return err
	}
	k.end, err = eachSlot(k.f, k.first, size, func(at int64, slot []byte) error {
		switch {
		case segment.IsZero(slot), len(slot) < slotSize: // the next one comes over it
		case !isWhole(slot):
			k.damaged = append(k.damaged, k.numberOf(at))
			k.torn = append(k.torn, isTorn(at, slot))
		default:
			if _, twice := k.slots[ID(slot)]; twice {
				k.damaged, k.torn = append(k.damaged, k.numberOf(at)), append(k.torn, true)
			} else {
				k.slots[ID(slot)] = k.numberOf(at)
			}
		}
		return nil
	})
	return err
}

// begin writes the beginning of a new file.
func (k *File) begin(m Mark) error {
	if _, err := k.f.WriteAt(k.header(), 0); err != nil {
		return err
	}
	for range 2 {
		if err := k.putMark(m); err != nil {
			return err
		}
	}
	return k.f.Sync()
}

func (k *File) readMarks(b []byte) error {
	whole, opened := false, false
	for i := range 2 {
		held := b[i*markSize:][:markSize]
		if crc32.Checksum(held[:markSize-4], castagnoli) != binary.BigEndian.Uint32(held[markSize-4:]) {
			continue
		}
		whole = true
		plain, err := k.wrap.Open(nil, nil, held[:markSize-4], []byte("mark"))
		if err != nil {
			continue
		}
		if n := binary.BigEndian.Uint64(plain); !opened || n > k.markNumber {
			opened, k.markNumber = true, n
			k.mark = Mark{[16]byte(plain[8:]), binary.BigEndian.Uint64(plain[24:]), [32]byte(plain[32:])}
		}
	}
	switch {
	case !whole:
		return fmt.Errorf("both marks: %w", ErrDamaged)
	case !opened:
		return ErrKey
	}
	return nil
}

func (k *File) putMark(m Mark) error {
	k.markNumber++
	plain := binary.BigEndian.AppendUint64(nil, k.markNumber)
	plain = append(plain, m.Store[:]...)
	plain = binary.BigEndian.AppendUint64(plain, m.Seq)
	plain = append(plain, m.Digest[:]...)
	b := k.wrap.Seal(nil, nil, plain, []byte("mark"))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := k.f.WriteAt(b, headerSize+int64(k.markNumber%2)*markSize); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	k.mark = m
	return nil
}

// Mark returns the mark of the file.
func (k *File) Mark() Mark {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.mark
}

// SetMark changes the mark. It is durable after the next Create or Destroy that
// changes something, or Sync.
func (k *File) SetMark(m Mark) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.putMark(m)
}

// Sync makes the mark durable.
func (k *File) Sync() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.f.Sync(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// Slots returns how many keys were made in the life of the file. The keys that are
// made from now on have that number, and higher ones.
func (k *File) Slots() uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return uint64((k.end - k.first) / slotSize)
}

// Since returns the keys that were made when the file had n slots or more.
func (k *File) Since(n uint64) (ids []ID) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for id, number := range k.slots {
		if uint64(number) >= n {
			ids = append(ids, id)
		}
	}
	return ids
}

// Damaged returns how many slots are neither whole nor zero.
func (k *File) Damaged() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.damaged)
}

// isTorn reports whether a write of zeros, or over zeros, ended at the border of a
// sector within the slot.
func isTorn(at int64, slot []byte) bool {
	border := 512 - at%512
	return border < slotSize && (segment.IsZero(slot[:border]) || segment.IsZero(slot[border:]))
}

// WipeDamaged overwrites, durably, the damaged slots from number n on, those that a
// crash left half destroyed, and second slots of one ID. Others stay: they were
// damaged otherwise.
func (k *File) WipeDamaged(n uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var left []uint32
	for i, number := range k.damaged {
		if uint64(number) < n && !k.torn[i] {
			left = append(left, number)
			continue
		}
		if _, err := k.f.WriteAt(make([]byte, slotSize), k.offsetOf(number)); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	if len(left) < len(k.damaged) {
		if err := k.f.Sync(); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	k.damaged, k.torn = left, make([]bool, len(left))
	return nil
}

// CopyMarked writes a file with a mark to path, with the keys that were made when
// this one had n slots, each in its place, and with the given mark. A key that is gone
// stays gone. An older file at path is overwritten and removed first.
func (k *File) CopyMarked(fsys fsx.FS, path string, m Mark, n uint64) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.copyFile(fsys, path, k.wrap, m, func(to *File) error { return k.copySlots(to.f, n) })
}

// CopyRewrapped writes a copy of a file with a mark to path, sealed under another key. An
// older file at path is overwritten and removed first. Damaged slots stay as they are.
func (k *File) CopyRewrapped(fsys fsx.FS, path string, wrap Key) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.copyFile(fsys, path, aesgcm.New(wrap), k.mark, func(to *File) error {
		// Each slot in its place, and as many: no slot is used again.
		if err := k.copySlots(to.f, uint64((k.end-k.first)/slotSize)); err != nil {
			return err
		}
		for id, number := range k.slots {
			key, err := k.get(id)
			if err != nil {
				return err
			}
			slot := to.slot(id, &key)
			_, err = to.f.WriteAt(slot, k.offsetOf(number))
			clear(slot)
			clear(key[:])
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// copyFile makes a file with a mark, and lets write fill it.
func (k *File) copyFile(fsys fsx.FS, path string, wrap cipher.AEAD, m Mark, write func(to *File) error) error {
	if err := Remove(fsys, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(path)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	to := &File{f: f, wrap: wrap, marked: true, first: k.first}
	if err = to.begin(m); err == nil {
		err = write(to)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// copySlots copies the first n slots as they are.
func (k *File) copySlots(to fsx.File, n uint64) error {
	buf := make([]byte, slotSize<<10)
	defer clear(buf)
	end := min(k.end, k.first+int64(n)*slotSize)
	for at := k.first; at < end; {
		some := buf[:min(int64(len(buf)), end-at)]
		if _, err := k.f.ReadAt(some, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := to.WriteAt(some, at); err != nil {
			return err
		}
		at += int64(len(some))
	}
	return nil
}
