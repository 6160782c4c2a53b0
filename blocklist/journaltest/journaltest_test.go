package journaltest_test

import (
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/journaltest"
)

func TestBolt(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, true, func(t *testing.T) func() (blocklist.Journal, error) {
		path := filepath.Join(t.TempDir(), "journal.db")
		return func() (blocklist.Journal, error) {
			return boltjournal.OpenFile(path, &boltjournal.FileOptions{NoSync: true})
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, false, func(*testing.T) func() (blocklist.Journal, error) {
		return func() (blocklist.Journal, error) { return blocklist.NewMemoryJournal(), nil }
	})
}
