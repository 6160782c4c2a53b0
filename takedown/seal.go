package takedown

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"

	"github.com/staydown/staydown/internal/fsx"
)

// ErrErased says that personal data was erased: its key is gone.
var ErrErased = errors.New("takedown: the personal data was erased")

// ErrSealed says that sealed data does not open: it is damaged, or was sealed
// under another key.
var ErrSealed = errors.New("takedown: sealed data does not open")

// seal encrypts plain with AES-256-GCM. label is bound to it, so that a sealed
// value cannot be moved to another case or another use.
func seal(key [32]byte, label, plain []byte) []byte {
	// The standard library's own random nonce, put in front.
	return gcm(key).Seal(nil, nil, plain, label)
}

// unseal opens what seal made.
func unseal(key [32]byte, label, sealed []byte) ([]byte, error) {
	plain, err := gcm(key).Open(nil, nil, sealed, label)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return plain, nil
}

func gcm(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// keyFile keeps one key for each case, in a file of fixed slots that are
// overwritten in place: a database would leave the bytes of a deleted key in
// its free pages.
//
//	header   8 bytes  "SDKEYS" 0x00 0x01
//	slot    80 bytes  case id (16), sealed key (60), CRC-32C of both (4, big-endian)
//	slot    …
//
// The key is sealed under the operator's: nonce (12), key (32), tag (16). A
// destroyed slot is all zero.
type keyFile struct {
	mu       sync.Mutex
	f        *os.File
	operator [32]byte
	slots    map[CaseID]int64 // offset
	end      int64
}

const slotSize = 16 + 60 + 4

var (
	keyFileMagic = []byte("SDKEYS\x00\x01")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

func openKeyFile(path string, operator [32]byte) (*keyFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("takedown: %w", err)
	}
	k := &keyFile{f: f, operator: operator, slots: map[CaseID]int64{}}
	if err := k.read(); err != nil {
		f.Close()
		return nil, err
	}
	return k, nil
}

func (k *keyFile) read() error {
	fi, err := k.f.Stat()
	if err != nil {
		return fmt.Errorf("takedown: keys: %w", err)
	}
	if fi.Size() < int64(len(keyFileMagic)) {
		// New, or cut short by a crash before the first key was written.
		if _, err := k.f.WriteAt(keyFileMagic, 0); err != nil {
			return fmt.Errorf("takedown: keys: %w", err)
		}
		k.end = int64(len(keyFileMagic))
		if err := k.f.Sync(); err != nil {
			return fmt.Errorf("takedown: keys: %w", err)
		}
		return fsx.OS{}.SyncDir(filepath.Dir(k.f.Name()))
	}
	b := make([]byte, fi.Size())
	if _, err := k.f.ReadAt(b, 0); err != nil {
		return fmt.Errorf("takedown: keys: %w", err)
	}
	if !bytes.HasPrefix(b, keyFileMagic) {
		return errors.New("takedown: keys: the file is not one of this version's")
	}
	k.end = int64(len(keyFileMagic))
	for ; k.end+slotSize <= int64(len(b)); k.end += slotSize {
		slot := b[k.end : k.end+slotSize]
		// A torn write is of a key whose case was never stored, or of one that
		// was being destroyed.
		if checkSlot(slot) {
			k.slots[CaseID(slot[:16])] = k.end
		}
	}
	return nil
}

func checkSlot(slot []byte) bool {
	sum := crc32.Checksum(slot[:76], castagnoli)
	return sum != 0 && bytes.Equal(slot[76:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// create makes the key of a new case, durably.
func (k *keyFile) create(id CaseID) (key [32]byte, err error) {
	rand.Read(key[:])
	slot := append(append(make([]byte, 0, slotSize), id[:]...), seal(k.operator, id[:], key[:])...)
	sum := crc32.Checksum(slot, castagnoli)
	slot = append(slot, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.f.WriteAt(slot, k.end); err != nil {
		return key, fmt.Errorf("takedown: keys: %w", err)
	}
	if err := k.f.Sync(); err != nil {
		return key, fmt.Errorf("takedown: keys: %w", err)
	}
	k.slots[id] = k.end
	k.end += slotSize
	return key, nil
}

// get returns the key of a case, or ErrErased.
func (k *keyFile) get(id CaseID) (key [32]byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.slots[id]
	if !ok {
		return key, ErrErased
	}
	slot := make([]byte, slotSize)
	if _, err := k.f.ReadAt(slot, at); err != nil {
		return key, fmt.Errorf("takedown: keys: %w", err)
	}
	if !checkSlot(slot) {
		return key, errors.New("takedown: keys: a slot is damaged")
	}
	plain, err := unseal(k.operator, id[:], slot[16:76])
	if err != nil {
		return key, fmt.Errorf("%w; is it the operator key that the desk was made with?", err)
	}
	return [32]byte(plain), nil
}

// destroy overwrites the key of a case, durably. A key that is gone already is
// no error.
func (k *keyFile) destroy(id CaseID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.slots[id]
	if !ok {
		return nil
	}
	if _, err := k.f.WriteAt(make([]byte, slotSize), at); err != nil {
		return fmt.Errorf("takedown: keys: %w", err)
	}
	if err := k.f.Sync(); err != nil {
		return fmt.Errorf("takedown: keys: %w", err)
	}
	delete(k.slots, id)
	return nil
}

// retain destroys the keys of all cases that are not to be kept.
func (k *keyFile) retain(keep map[CaseID]bool) error {
	k.mu.Lock()
	var gone []CaseID
	for id := range k.slots {
		if !keep[id] {
			gone = append(gone, id)
		}
	}
	k.mu.Unlock()
	for _, id := range gone {
		if err := k.destroy(id); err != nil {
			return err
		}
	}
	return nil
}

func (k *keyFile) close() error { return k.f.Close() }

// operatorKey reads the operator's key from a file of its own, and makes it
// when there is none.
func operatorKey(path string) (key [32]byte, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		if len(b) != len(key) {
			return key, fmt.Errorf("takedown: operator key: the file has %d bytes, not %d", len(b), len(key))
		}
		return [32]byte(b), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return key, fmt.Errorf("takedown: operator key: %w", err)
	}
	rand.Read(key[:])
	return key, writeFile(path, key[:])
}

// writeFile writes a small file so that it is there whole, or not at all.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	return fsx.OS{}.SyncDir(filepath.Dir(path))
}
