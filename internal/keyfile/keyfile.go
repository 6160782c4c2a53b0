// Package keyfile keeps keys that can be destroyed. Whoever destroys the key of
// something destroys everything that was sealed with it, wherever copies of
// that are: in backups, in free pages of a database, in older snapshots.
//
// The keys lie in a file of fixed slots that are overwritten in place; a
// database would leave the bytes of a deleted key in its free pages.
//
//	header   8 bytes  "SDKEYS", kind, version 1
//	slot    80 bytes  id (16), what holds the key (60), CRC-32C of both (4, big-endian)
//	slot    …
//
// In a file of kind 0 every key is sealed under one key that wraps them all,
// with the id bound to it: nonce (12), key in AES-256-GCM (32), tag (16). In a
// file of kind 1 the keys lie bare: key (32), 28 zero bytes. A file of kind 2 is
// one of kind 0 with a mark behind its header: see OpenMarked. A destroyed slot is
// all zero, and is not used again.
package keyfile

import (
	"bytes"
	"cmp"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/staydown/staydown/internal/aesgcm"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/segment"
)

var (
	// ErrGone: there is no key, or no longer.
	ErrGone = errors.New("the key is gone")
	// ErrFormat: the bytes are no file of keys, or one of another kind or of a
	// newer version.
	ErrFormat = errors.New("not a file of keys of this kind and version")
	// ErrKey: a key does not open with the one that was given to Open.
	ErrKey = errors.New("sealed under another key")
	// ErrDamaged: a slot has changed since the file was opened.
	ErrDamaged = errors.New("a slot is damaged")
)

// ID says what a key belongs to.
type ID = [16]byte

// Key is a key of AES-256.
type Key = [32]byte

const (
	headerSize = 8
	slotSize   = 16 + heldSize + 4
	heldSize   = 12 + 32 + 16
	maxSlots   = 1 << 31
)

// Kinds of files.
const (
	kindSealed = 0
	kindBare   = 1
	kindMarked = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// File is a file of keys. Its methods may be called from several goroutines; it
// is open in one process at a time, which its owner sees to.
type File struct {
	mu    sync.RWMutex
	f     fsx.File
	wrap  cipher.AEAD   // nil for bare keys
	slots map[ID]uint32 // number of the slot
	first int64         // where the first slot lies
	end   int64         // where the next slot comes

	// Of a file with a mark.
	marked     bool
	mark       Mark
	markNumber uint64
	damaged    []uint32 // slots that are neither whole nor zero
	torn       []bool   // of these, whether a crash can have left them so

	closed bool
}

// Open opens the file, and makes it if there is none. wrap is the key under
// which the keys are sealed; with nil they lie bare, in a file that only its
// owner can read. A slot that is neither whole nor zero was half written or half
// destroyed by a crash: Open finishes its destruction. Of two slots for one ID it
// destroys the second.
func Open(fsys fsx.FS, path string, wrap *Key) (k *File, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keys in %s: %w", path, err)
		}
	}()
	f, err := fsys.Edit(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Create(path)
	}
	if err != nil {
		return nil, err
	}
	k = &File{f: f, slots: map[ID]uint32{}, first: headerSize}
	if wrap != nil {
		k.wrap = aesgcm.New(*wrap)
	}
	err = k.read()
	if err == nil {
		// Its name may be new, or a crash or a failure came before it was durable.
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return k, nil
}

func (k *File) header() []byte {
	kind := byte(kindSealed)
	switch {
	case k.marked:
		kind = kindMarked
	case k.wrap == nil:
		kind = kindBare
	}
	return []byte{'S', 'D', 'K', 'E', 'Y', 'S', kind, 1}
}

// read finds the keys, and writes the header of a file that is new.
func (k *File) read() error {
	size, err := k.f.Size()
	if err != nil {
		return err
	}
	if size > headerSize+maxSlots*slotSize {
		return fmt.Errorf("%d bytes, at most %d are accepted: %w", size, int64(headerSize+maxSlots*slotSize), ErrFormat)
	}
	k.end = headerSize
	head := make([]byte, min(size, headerSize))
	if _, err := k.f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	want := k.header()
	if size <= headerSize && (size < headerSize || segment.IsZero(head)) {
		// New, or a crash came before its header was synced, and so before the
		// first key.
		if _, err := k.f.WriteAt(want, 0); err != nil {
			return err
		}
		return k.f.Sync()
	}
	if !bytes.Equal(head, want) {
		return fmt.Errorf("it begins with % x, not % x: %w", head, want, ErrFormat)
	}
	wiped := false
	whole, err := eachSlot(k.f, k.first, size, func(at int64, slot []byte) error {
		if segment.IsZero(slot) {
			return nil
		}
		if isWhole(slot) {
			if _, twice := k.slots[ID(slot)]; !twice {
				k.slots[ID(slot)] = k.numberOf(at)
				return nil
			}
			// Destroy would leave this one behind.
		}
		wiped = true
		_, err := k.f.WriteAt(make([]byte, len(slot)), at)
		return err
	})
	k.end = whole // what was cut short is written over
	if err == nil && wiped {
		err = k.f.Sync()
	}
	return err
}

// eachSlot calls yield for the slots of a file of size bytes, from first on, the last
// of which may be cut short, and returns where the whole ones end.
func eachSlot(f fsx.File, first, size int64, yield func(at int64, slot []byte) error) (end int64, err error) {
	end = first
	buf := make([]byte, slotSize<<10)
	defer clear(buf)
	for end < size {
		n := int(min(int64(len(buf)), size-end))
		if _, err := f.ReadAt(buf[:n], end); err != nil && !errors.Is(err, io.EOF) {
			return end, err
		}
		for at := 0; at < n; at += slotSize {
			slot := buf[at:min(at+slotSize, n)]
			if err := yield(end, slot); err != nil {
				return end, err
			}
			if len(slot) < slotSize {
				return end, nil
			}
			end += slotSize
		}
	}
	return end, nil
}

// Peek returns what there are keys for in a file of any kind, in the order of
// their slots, without a key and without changing it.
func Peek(fsys fsx.FS, path string) (ids []ID, err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil {
		_, err = eachSlot(f, headerSize, size, func(_ int64, slot []byte) error {
			if isWhole(slot) {
				ids = append(ids, ID(slot))
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", path, err)
	}
	return ids, nil
}

func (k *File) numberOf(at int64) uint32     { return uint32((at - k.first) / slotSize) }
func (k *File) offsetOf(number uint32) int64 { return k.first + int64(number)*slotSize }

func isWhole(slot []byte) bool {
	return len(slot) == slotSize &&
		crc32.Checksum(slot[:slotSize-4], castagnoli) == binary.BigEndian.Uint32(slot[slotSize-4:])
}

// slot returns the slot of a key.
func (k *File) slot(id ID, key *Key) []byte {
	b := append(make([]byte, 0, slotSize), id[:]...)
	if k.wrap != nil {
		b = k.wrap.Seal(b, nil, key[:], id[:]) // it puts the nonce in front
	} else {
		b = append(append(b, key[:]...), make([]byte, heldSize-len(key))...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Create returns a new random key for id, which is durable then; if there is
// one, it returns that.
func (k *File) Create(id ID) (key Key, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.slots[id]; ok {
		return k.get(id)
	}
	rand.Read(key[:]) // never fails
	if err := k.put(id, &key); err != nil {
		return key, err
	}
	if err := k.f.Sync(); err != nil {
		return key, fmt.Errorf("keys: %w", err)
	}
	k.slots[id] = k.numberOf(k.end)
	k.end += slotSize
	return key, nil
}

// put writes a key behind the last one.
func (k *File) put(id ID, key *Key) error {
	if k.end >= k.first+maxSlots*slotSize {
		return errors.New("keys: the file is full")
	}
	slot := k.slot(id, key)
	defer clear(slot)
	if _, err := k.f.WriteAt(slot, k.end); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// Has reports whether there is a key for id.
func (k *File) Has(id ID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.slots[id]
	return ok
}

// Get returns the key of id. Errors wrap ErrGone, ErrKey or ErrDamaged.
func (k *File) Get(id ID) (Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.get(id)
}

func (k *File) get(id ID) (key Key, err error) {
	number, ok := k.slots[id]
	if !ok {
		return key, fmt.Errorf("keys: %w", ErrGone)
	}
	slot := make([]byte, slotSize)
	defer clear(slot)
	if _, err := k.f.ReadAt(slot, k.offsetOf(number)); err != nil {
		return key, fmt.Errorf("keys: %w", err)
	}
	if !isWhole(slot) || ID(slot) != id {
		return key, fmt.Errorf("keys: slot %d: %w", number, ErrDamaged)
	}
	held := slot[16 : 16+heldSize]
	if k.wrap == nil {
		return Key(held), nil
	}
	plain, err := k.wrap.Open(nil, nil, held, id[:])
	if err != nil {
		return key, fmt.Errorf("keys: slot %d: %w", number, ErrKey)
	}
	defer clear(plain)
	return Key(plain), nil
}

// IDs returns what there are keys for, in any order.
func (k *File) IDs() []ID {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Collect(maps.Keys(k.slots))
}

// Destroy overwrites the keys, durably. One that is gone already is no error.
// After an error, Destroy can be called again.
func (k *File) Destroy(ids ...ID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	zeros := make([]byte, slotSize)
	var there []ID
	for _, id := range ids {
		if number, ok := k.slots[id]; ok {
			if _, err := k.f.WriteAt(zeros, k.offsetOf(number)); err != nil {
				return fmt.Errorf("keys: %w", err)
			}
			there = append(there, id)
		}
	}
	if len(there) == 0 {
		return nil
	}
	if err := k.f.Sync(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for _, id := range there {
		delete(k.slots, id)
	}
	return nil
}

// Retain destroys the keys that keep does not want, durably.
func (k *File) Retain(keep func(ID) bool) error {
	return k.Destroy(slices.DeleteFunc(k.IDs(), keep)...)
}

// CopyTo puts all keys into another file, durably, but for those that it has.
func (k *File) CopyTo(to *File) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	// In the order of the slots, so that a copy that was cut short has the first ones.
	ids := slices.SortedFunc(maps.Keys(k.slots), func(a, b ID) int { return cmp.Compare(k.slots[a], k.slots[b]) })
	for _, id := range ids {
		if _, ok := to.slots[id]; ok {
			continue
		}
		key, err := k.get(id)
		if err == nil {
			err = to.put(id, &key)
		}
		if err != nil {
			return err
		}
		to.slots[id] = to.numberOf(to.end)
		to.end += slotSize
	}
	if err := to.f.Sync(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// Close closes the file. A second Close does nothing.
func (k *File) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	return k.f.Close()
}

// Remove overwrites a file of keys of any kind, durably, and removes it.
func Remove(fsys fsx.FS, path string) error {
	f, err := fsys.Edit(path)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	size, err := f.Size()
	zeros := make([]byte, slotSize<<10)
	for at := int64(0); err == nil && at < size; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if err = fsys.Remove(path); err == nil {
			err = fsys.SyncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}
