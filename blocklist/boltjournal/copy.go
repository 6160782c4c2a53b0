package boltjournal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
)

// Copy copies a list that is open for writing into a folder, up to a Position: its
// journal and the keys of its faces. The list goes on meanwhile. [Open] opens the copy
// with the same options. A copy that was interrupted is continued: see
// [blocklist.List.CopyTo].
func Copy(ctx context.Context, l *blocklist.List, at blocklist.Position, dir string) error {
	fs := fsx.OS{}
	if err := fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	to, err := OpenFile(filepath.Join(dir, fileName), nil)
	if err != nil {
		return err
	}
	err = l.CopyTo(ctx, at, to, dir)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := errors.Join(fs.SyncDir(dir), fs.SyncDir(filepath.Dir(dir))); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}
