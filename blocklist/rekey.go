package blocklist

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
)

// Addresses returns the addresses of an event again, for Rekey. It makes them with
// digest.
type Addresses func(e Event, digest func(AddressKind, string) (Digest, error)) ([]Address, error)

// Rekey copies the list in the journal old, and in its folder dir, into the empty
// journal fresh. The copy has new keys for its digests, the current rules for
// addresses, and the encryption key of newOpts. It is for a list whose secret is
// known to others, or that was made under other rules (New returns ErrRules). It
// is also for a list that is to be encrypted or decrypted. [boltjournal.Rekey]
// does it for a folder.
//
// Digests cannot be turned back into addresses. Rekey therefore calls addresses
// for every event that has some, and writes the event with the returned ones. With
// a nil addresses the digests stay, and also their keys, their epoch, and the
// rules for addresses, which must then be the current ones.
//
// It returns ErrKey if there are keys of faces under another FaceKey than that of
// oldOpts.
//
// Events keep their numbers and all other data. No List may have the journals
// open. When fresh is complete, Rekey calls replace, which must durably put fresh
// in the place of old, in one step. Before that nothing has changed. After an
// error or a crash Rekey can be called again. Nodes that have loaded a snapshot
// take the next one by Reload.
//
// [boltjournal.Rekey]:
// https://pkg.go.dev/github.com/staydown/staydown/blocklist/boltjournal#Rekey
func Rekey(ctx context.Context, dir string, old, fresh Journal, oldOpts, newOpts *Options, addresses Addresses, replace func() error) error {
	from, to := optionsOf(oldOpts), optionsOf(newOpts)
	if from.List != to.List {
		return fmt.Errorf("blocklist: a list of tenant %d cannot become one of %d: %w", from.List, to.List, ErrKey)
	}
	fs := cmp.Or[fsx.FS](from.hooks.FS, fsx.OS{})
	source, err := openLog(old, &from, nil, addresses != nil)
	if err != nil {
		return err
	}
	id := source.id
	if addresses != nil {
		id.Secret = newIdentity(id.List).Secret
		id.Rules = AddressRules
		id.Epoch++
	} else if to.NewEpoch {
		id.Epoch++
	}
	if err := copyEvents(ctx, source, fresh, &id, &to, addresses); err != nil {
		return err
	}
	if err := copyFaceKeys(fs, dir, id.ID, from.faceKey(), to.faceKey()); err != nil {
		return err
	}
	if err := replace(); err != nil {
		return err
	}
	if err := dropOtherFaceKeys(fs, dir, id.ID, to.faceKey()); err != nil {
		return err
	}
	// The snapshots are of the old secret, and hold it.
	names, err := fs.List(dir)
	for _, name := range names {
		if strings.HasPrefix(name, snapshotPrefix) {
			err = errors.Join(err, fs.Remove(filepath.Join(dir, name)))
		}
	}
	if err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}

// ChangeFaceKey seals the keys of faces in the folder of a list under another
// [Options].FaceKey. list is the id of the list: see State.ID. The list must not be open.
// After an error or a crash it can be called again; the error is ErrKey when there are
// keys under another key than from, for example because the change was done already.
func ChangeFaceKey(dir string, list [16]byte, from, to *EncryptionKey) error {
	fs := fsx.OS{}
	if err := copyFaceKeys(fs, dir, list, from, to); err != nil {
		return err
	}
	return dropOtherFaceKeys(fs, dir, list, to)
}

// dropOtherFaceKeys removes the keys of faces under another key than the given one, when
// all of them are under that too.
func dropOtherFaceKeys(fs fsx.FS, dir string, list [16]byte, key *EncryptionKey) error {
	keys, err := openFaceKeys(fs, dir, key, list)
	if err != nil {
		return err
	}
	if err := keys.close(); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}

// copyFaceKeys writes the keys of faces into the file that belongs to another
// encryption key. Which of the two files is right, the journal says.
func copyFaceKeys(fs fsx.FS, dir string, list [16]byte, from, to *EncryptionKey) error {
	oldName, _ := faceKeysFile(from, list)
	name, wrap := faceKeysFile(to, list)
	if oldName == name {
		return nil
	}
	old, err := openFaceKeys(fs, dir, from, list)
	if err != nil {
		return err
	}
	if err := old.refuse(); err != nil || old.file == nil {
		return errors.Join(err, old.close())
	}
	fresh, err := keyfile.Open(fs, filepath.Join(dir, name), wrap)
	if err == nil {
		err = errors.Join(old.file.CopyTo(fresh), fresh.Close())
	}
	if err = errors.Join(err, old.close()); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}

func optionsOf(o *Options) Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// copyEvents writes the events of a journal into a new one. Their salts stay, so
// that their digests do as well, unless their addresses change.
func copyEvents(ctx context.Context, old *log, store Journal, id *identity, o *Options, addresses Addresses) error {
	fresh, err := openLog(store, o, id, false)
	if err != nil {
		return err
	}
	keys := newDigestKeys(id.Secret)
	digest := func(kind AddressKind, rawURL string) (Digest, error) { return keys.digest(kind, rawURL) }
	var batch []Entry
	flush := func() error {
		if len(batch) == 0 {
			return ctx.Err()
		}
		err := store.Append(batch)
		batch = batch[:0]
		return errors.Join(err, ctx.Err())
	}
	var inner error
	err = old.read(1, func(e *Event) bool {
		if inner = readdress(e, addresses, digest); inner != nil {
			return false
		}
		batch = append(batch, fresh.encode(e, &fresh.digest))
		fresh.last = e.Seq
		if len(batch) == readBatch {
			inner = flush()
		}
		return inner == nil
	})
	if err = errors.Join(err, inner); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	if fresh.last != old.last || id.Epoch == old.id.Epoch && fresh.digest != old.digest {
		return fmt.Errorf("blocklist: %d of %d events were copied: %w", fresh.last, old.last, ErrJournal)
	}
	return nil
}

// readdress gives an event other addresses, if it has some.
func readdress(e *Event, addresses Addresses, digest func(AddressKind, string) (Digest, error)) (err error) {
	k := &e.Keys
	if e.Rule != nil {
		k = &e.Rule.Keys
	}
	if addresses == nil || len(k.Addresses) == 0 {
		return nil
	}
	if k.Addresses, err = addresses(*e, digest); err != nil {
		return fmt.Errorf("blocklist: addresses of event %d: %w", e.Seq, err)
	}
	if why := e.check(e.List); why != nil {
		return why
	}
	// Nobody may learn, from two lists, which events have the same payload.
	rand.Read(e.Salt[:])
	return nil
}
