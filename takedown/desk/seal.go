package desk

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/aesgcm"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
)

// ErrErased is returned when personal data was erased: its key was destroyed.
var ErrErased = errors.New("takedown: the personal data was erased")

// ErrSealed is returned when sealed data cannot be opened: it is damaged, or was
// sealed under another key.
var ErrSealed = errors.New("takedown: sealed data does not open")

// seal encrypts plain with AES-256-GCM. label is bound to it, so that a sealed
// value cannot be moved to another case or another use.
func seal(key [32]byte, label, plain []byte) []byte {
	return aesgcm.New(key).Seal(nil, nil, plain, label)
}

// unseal opens what seal made.
func unseal(key [32]byte, label, sealed []byte) ([]byte, error) {
	plain, err := aesgcm.New(key).Open(nil, nil, sealed, label)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return plain, nil
}

// listFaceKey returns the key under which the list keeps those of faces. It is
// not the list's own, which every machine has that loads what the desk publishes.
func (s *caseStore) listFaceKey() blocklist.EncryptionKey { return faceKeyOf(s.operator) }

func faceKeyOf(operator [operatorKeySize]byte) blocklist.EncryptionKey {
	mac := hmac.New(sha256.New, operator[:])
	mac.Write([]byte("keys of faces in the list"))
	return blocklist.EncryptionKey(mac.Sum(nil))
}

// keyFile keeps one key for each case, and one for each template of a face,
// sealed under the operator's.
type keyFile struct{ f *keyfile.File }

// create makes the key of a new case or template, durably.
func (k *keyFile) create(id takedown.CaseID) (key [32]byte, err error) {
	key, err = k.f.Create(id)
	return key, keyError(err)
}

// get returns the key of a case, or ErrErased.
func (k *keyFile) get(id takedown.CaseID) (key [32]byte, err error) {
	key, err = k.f.Get(id)
	return key, keyError(err)
}

// destroy overwrites the key of a case, durably. A key that is gone already is
// no error.
func (k *keyFile) destroy(id takedown.CaseID) error { return keyError(k.f.Destroy(id)) }

func (k *keyFile) close() error {
	if k == nil {
		return nil
	}
	return errors.Join(k.f.Sync(), k.f.Close())
}

func keyError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyfile.ErrGone):
		return ErrErased
	case errors.Is(err, os.ErrClosed):
		return takedown.ErrClosed
	case errors.Is(err, keyfile.ErrKey):
		return fmt.Errorf("takedown: %w; is it the operator key that the desk was made with?", err)
	}
	return fmt.Errorf("takedown: %w", err)
}

var errKeySize = errors.New("it is no key")

// operatorKey reads the operator's key from a file of its own, and makes it
// when there is none.
func operatorKey(path string) (key [32]byte, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		if len(b) != len(key) {
			return key, fmt.Errorf("takedown: operator key: the file has %d bytes, not %d: %w", len(b), len(key), errKeySize)
		}
		return [32]byte(b), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return key, fmt.Errorf("takedown: operator key: %w", err)
	}
	rand.Read(key[:])
	return key, writeFile(path, key[:])
}

// writeFile writes a small secret file so that it is there whole, or not at all.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("takedown: %w", errors.Join(err, os.Remove(tmp)))
	}
	return fsx.OS{}.SyncDir(filepath.Dir(path))
}
