// Package boltjournal opens lists whose journal is a file of the embedded store
// bbolt, journal.db in the folder of the list. docs/format/journal.md describes
// it, with what a crash can leave behind.
package boltjournal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/listhooks"
)

// Names in the folder of a list.
const (
	fileName = "journal.db"
	newName  = "journal.new"      // becomes journal.db
	oldName  = "journal.replaced" // was journal.db, and is being destroyed
)

// Open opens the list in a folder for writing, and makes it if there is none. It
// returns blocklist.ErrLocked while another List has it open. The list is the
// newest snapshot of the folder that is in order, and the events of the journal
// after it; Status tells when a snapshot was passed over.
func Open(dir string, opts *blocklist.Options) (*blocklist.List, error) {
	var o blocklist.Options
	if opts != nil {
		o = *opts
	}
	hooks := listhooks.Of(&o)
	fs := fileSystem(hooks)
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	j, err := openJournal(filepath.Join(dir, fileName), fs, &FileOptions{Salvage: o.Salvage, NoSync: hooks.NoSync})
	if err != nil {
		return nil, err
	}
	// The names of the journal and of the folder, which may be new.
	if err := errors.Join(fs.SyncDir(dir), fs.SyncDir(filepath.Dir(filepath.Clean(dir)))); err != nil {
		return nil, errors.Join(fmt.Errorf("blocklist: %w", err), j.Close())
	}
	return blocklist.New(j, dir, &o)
}

func fileSystem(h listhooks.Hooks) fsx.FS {
	if h.FS == nil {
		return fsx.OS{}
	}
	return h.FS
}

// Rekey makes the list in a folder anew, as [blocklist.Rekey] describes. The list
// must not be open. Rekey changes nothing until the new journal is complete and
// durable, and then replaces the old one in one step. After an error or a crash
// it can be called again.
func Rekey(ctx context.Context, dir string, oldOpts, newOpts *blocklist.Options, addresses blocklist.Addresses) (err error) {
	var from blocklist.Options
	if oldOpts != nil {
		from = *oldOpts
	}
	hooks := listhooks.Of(&from)
	fs, path, temp := fileSystem(hooks), filepath.Join(dir, fileName), filepath.Join(dir, newName)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	old, err := openJournal(path, fs, &FileOptions{Salvage: from.Salvage, NoSync: hooks.NoSync})
	if err != nil {
		return err
	}
	// The lock of the old journal is held until the new one has replaced it.
	defer func() { err = errors.Join(err, old.Close()) }()
	fresh, err := openJournal(temp, fs, &FileOptions{NoSync: hooks.NoSync})
	if err != nil {
		return err
	}
	replaced := false
	err = blocklist.Rekey(ctx, dir, old, fresh, oldOpts, newOpts, addresses, func() error {
		if err := fresh.Close(); err != nil {
			return err
		}
		replaced = true
		return old.replace()
	})
	if err != nil && !replaced {
		err = errors.Join(err, fresh.Close(), fs.Remove(temp))
	}
	if err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}
