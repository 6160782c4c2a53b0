package blocklist

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
)

// faceKeysName is the file with the keys of faces in the folder of a list, and
// the beginning of its name in one that is encrypted: the rest depends on the
// encryption key. So Rekey makes the new file beside the old one, and which of
// them is right follows from the key that opens the journal, whenever a crash
// comes.
const faceKeysName = "face-keys"

// faceKeys are the keys of the faces of a list, one for each event that brought
// some. They lie in a file whose slots are overwritten, which is made with the
// first key. Methods may be called from several goroutines. A nil *faceKeys has
// no keys.
type faceKeys struct {
	fs   fsx.FS
	path string
	wrap *keyfile.Key // nil for keys that lie bare
	// foreign is the name of another file, with keys that are not in this one; empty
	// for none.
	foreign string

	mu   sync.RWMutex
	file *keyfile.File // nil while there is none
}

// errNoFaceKey: there is no key, or no longer.
var errNoFaceKey = errors.New("the key of the face is gone")

// faceKeysFile returns the name of the file, and the key that its keys are
// sealed under.
func faceKeysFile(key *EncryptionKey, list [16]byte) (name string, wrap *keyfile.Key) {
	if key == nil {
		return faceKeysName, nil
	}
	// The check value tells one encryption key from another, and nothing else.
	out := key.expand(list[:], "face keys")
	return faceKeysName + "-" + hex.EncodeToString(out[32:40]), (*keyfile.Key)(out[:32])
}

// openFaceKeys opens the file of keys if there is one, and removes what Rekey
// left behind: a file under another key, all of whose keys are in this one. A file
// with others is left alone. It may be the right one, and the key that was given
// wrong, or belong to a journal that was lost, and is found again. The lock on the
// journal is held.
func openFaceKeys(fs fsx.FS, dir string, key *EncryptionKey, list [16]byte) (k *faceKeys, err error) {
	name, wrap := faceKeysFile(key, list)
	k = &faceKeys{fs: fs, path: filepath.Join(dir, name), wrap: wrap}
	names, err := fs.List(dir)
	if err == nil && slices.Contains(names, name) {
		k.file, err = keyfile.Open(fs, k.path, wrap)
	}
	if err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("blocklist: %w", err), k.close())
			k = nil
		}
	}()
	slices.Sort(names)
	for _, n := range names {
		if n == name || n != faceKeysName && !strings.HasPrefix(n, faceKeysName+"-") {
			continue
		}
		path := filepath.Join(dir, n)
		ids, err := keyfile.Peek(fs, path)
		if err != nil {
			return k, err
		}
		if slices.ContainsFunc(ids, func(id keyfile.ID) bool { return k.file == nil || !k.file.Has(id) }) {
			k.foreign = n
		} else if k.file != nil {
			if err := keyfile.Remove(fs, path); err != nil {
				return k, err
			}
		}
	}
	return k, nil
}

// refuse returns an error if there is a file of keys under another key. Another
// one beside it would make it hard to tell which is right.
func (k *faceKeys) refuse() error {
	if k.foreign == "" {
		return nil
	}
	return fmt.Errorf("blocklist: the keys of faces in %s are under another key: open the list with the FaceKey, or EncryptionKey, that they were made with, and change it with Rekey; remove the file only if its journal is lost for good: %w", k.foreign, ErrKey)
}

// create returns the key of an event, and makes it, durably, if there is none.
func (k *faceKeys) create(event [16]byte) (key embedding.Key, err error) {
	if err := k.refuse(); err != nil {
		return key, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file == nil {
		if k.file, err = keyfile.Open(k.fs, k.path, k.wrap); err != nil {
			return key, fmt.Errorf("blocklist: %w", err)
		}
	}
	raw, err := k.file.Create(event)
	if err != nil {
		return key, fmt.Errorf("blocklist: %w", err)
	}
	return raw, nil
}

// get returns the key of an event, or errNoFaceKey.
func (k *faceKeys) get(event [16]byte) (embedding.Key, error) {
	f := k.opened()
	if f == nil {
		return embedding.Key{}, errNoFaceKey
	}
	key, err := f.Get(event)
	switch {
	case errors.Is(err, keyfile.ErrGone):
		err = errNoFaceKey
	case err != nil:
		err = fmt.Errorf("blocklist: %w", err)
	}
	return key, err
}

func (k *faceKeys) opened() *keyfile.File {
	if k == nil {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.file
}

// destroy overwrites keys, durably.
func (k *faceKeys) destroy(events ...[16]byte) error {
	f := k.opened()
	if f == nil {
		return nil
	}
	if err := f.Destroy(events...); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}

// retain destroys the keys that keep does not want; seq is the number of the
// event, 0 if it is not in the journal.
func (k *faceKeys) retain(j *log, keep func(event [16]byte, seq uint64) bool) error {
	f := k.opened()
	if f == nil {
		return nil
	}
	events := f.IDs()
	seqs, err := j.numbers(events...)
	if err != nil {
		return err
	}
	var gone [][16]byte
	for i, event := range events {
		if !keep(event, seqs[i]) {
			gone = append(gone, event)
		}
	}
	return k.destroy(gone...)
}

// retainLive destroys the keys of all rules that a State shows to have ended, by
// an event or at a time. An event that is not in the journal may still come.
func (k *faceKeys) retainLive(j *log, v *State, now int64) error {
	return k.retain(j, func(_ [16]byte, seq uint64) bool {
		if seq == 0 || seq > v.seq {
			return true
		}
		g, ok := v.grantOf(seq)
		return ok && !v.hasEnded(g, now)
	})
}

func (k *faceKeys) close() error {
	if f := k.opened(); f != nil {
		return f.Close()
	}
	return nil
}
