package blocklist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
)

const rekeyName = "journal.new"

// Rekey makes the list in a folder anew: with new keys for its digests, by the
// current rules for addresses, and under the encryption key of newOpts. It is
// for a list whose secret is known to others, that was made under other rules
// (Open returns ErrRules), or that is to be encrypted, or decrypted.
//
// Digests cannot be turned back into addresses. Rekey therefore calls addresses
// for every event that has some, and writes the event with those that it
// returns, made with digest; whoever keeps the addresses of each rule can give
// them. With a nil addresses the digests stay, as do their keys, and so do the
// rules for addresses, which must then be the current ones.
//
// It returns ErrKey if there are keys of faces under another FaceKey than that of
// oldOpts.
//
// Events keep their numbers and all else. The list must not be open. Rekey
// changes nothing until the new journal is complete and durable, and then
// replaces the old one in one step; after an error or a crash it can be called
// again. Nodes that have loaded a snapshot take the next one by Reload.
func Rekey(ctx context.Context, dir string, oldOpts, newOpts *Options,
	addresses func(e Event, digest func(AddressKind, string) (Digest, error)) ([]Address, error)) (err error) {
	from, to := optionsOf(oldOpts), optionsOf(newOpts)
	if from.List != to.List {
		return fmt.Errorf("blocklist: a list of tenant %d cannot become one of %d: %w", from.List, to.List, ErrKey)
	}
	from.anyRules = addresses != nil
	fs := from.fs
	if fs == nil {
		fs = fsx.OS{}
	}
	path, temp := filepath.Join(dir, journalName), filepath.Join(dir, rekeyName)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	old, err := openJournal(path, &from)
	if err != nil {
		return err
	}
	// The lock of the old journal is held until the new one has replaced it.
	defer func() { err = errors.Join(err, old.close()) }()
	// Left behind by a crash; the lock says that nobody else writes it.
	if err := fs.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("blocklist: %w", err)
	}
	id := old.id
	if addresses != nil {
		id.Secret = newIdentity(id.List).Secret
		id.Rules = AddressRules
	}
	to.identity = &id
	if err := copyJournal(ctx, old, temp, &to, addresses); err != nil {
		return errors.Join(err, fs.Remove(temp))
	}
	if err := copyFaceKeys(fs, dir, id.ID, from.faceKey(), to.faceKey()); err != nil {
		return errors.Join(err, fs.Remove(temp))
	}
	if runtime.GOOS == "windows" {
		// An open file cannot be replaced there.
		if err := old.close(); err != nil {
			return fmt.Errorf("blocklist: %w", err)
		}
	}
	if err := fs.Rename(temp, path); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	// The keys of faces under the old key. openFaceKeys removes what is not of
	// the new one.
	keys, err := openFaceKeys(fs, dir, to.faceKey(), id.ID)
	if err != nil {
		return err
	}
	if err := keys.close(); err != nil {
		return fmt.Errorf("blocklist: %w", err)
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

// copyJournal writes the events of a journal into a new one.
func copyJournal(ctx context.Context, old *journal, path string, o *Options,
	addresses func(Event, func(AddressKind, string) (Digest, error)) ([]Address, error)) (err error) {
	fresh, err := openJournal(path, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fresh.close()) }()
	keys := newDigestKeys(fresh.id.Secret)
	digest := func(kind AddressKind, rawURL string) (Digest, error) { return keys.digest(kind, rawURL) }
	var batch []Event
	flush := func() error {
		if len(batch) == 0 {
			return ctx.Err()
		}
		_, _, err := fresh.append([][]Event{batch})
		batch = batch[:0]
		return errors.Join(err, ctx.Err())
	}
	var inner error
	err = old.read(1, func(e *Event) bool {
		k := &e.Keys
		if e.Rule != nil {
			k = &e.Rule.Keys
		}
		if addresses != nil && len(k.Addresses) > 0 {
			if k.Addresses, inner = addresses(*e, digest); inner != nil {
				inner = fmt.Errorf("blocklist: addresses of event %d: %w", e.Seq, inner)
				return false
			}
			if why := e.check(e.List); why != nil {
				inner = why
				return false
			}
		}
		batch = append(batch, *e)
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
	if fresh.last != old.last {
		return fmt.Errorf("blocklist: %d of %d events were copied: %w", fresh.last, old.last, ErrJournal)
	}
	return nil
}
