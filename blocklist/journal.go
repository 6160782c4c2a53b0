package blocklist

import "context"

// A Journal stores the entries of one list: see New. Package boltjournal has the
// Journal that most programs use; package journaltest tests others.
//
// Append and Rewrite are called by one goroutine at a time each. All other methods
// may be called at any time, also during these two. Errors about stored data wrap
// ErrJournal; after Close, all errors wrap ErrClosed.
type Journal interface {
	// Meta returns what SetMeta stored last, and nil in a new journal.
	Meta() ([]byte, error)
	// SetMeta stores the list's metadata, durably.
	SetMeta(meta []byte) error
	// Last returns the number of the last entry, or 0 for an empty journal.
	Last() (uint64, error)
	// Append adds all entries or no entry, durably. Their numbers follow the
	// existing ones without a gap. After an error the list calls Last. If Last is
	// unchanged, the list continues, so the entries must not appear later.
	Append(entries []Entry) error
	// Read returns entries from number from on, in order: at most limit, and fewer
	// if they are big. It returns no entries only at the end. A missing number is
	// an error.
	Read(from uint64, limit int) ([]Entry, error)
	// Find returns the numbers of the entries with these ids, or 0 for an id
	// without an entry.
	Find(ids ...[16]byte) ([]uint64, error)
	// Targeting returns the numbers of the entries with that target, ascending.
	Targeting(target uint64) ([]uint64, error)
	// Rewrite calls change for every entry, ascending, and stores the Data that it
	// returns; nil leaves the entry unchanged. It makes all changes or no change.
	// When it returns without an error, they are durable, and the old data is in
	// no file of the journal. Entries that Append adds meanwhile may be left out.
	Rewrite(ctx context.Context, change func(Entry) ([]byte, error)) error
	// Close releases the journal. It waits for calls that run.
	Close() error
}

// Entry is an event as a Journal keeps it.
type Entry struct {
	Seq    uint64
	ID     [16]byte // of the event
	Target uint64   // of the event; 0 for none
	Digest [32]byte // the running digest of the list at Seq
	Data   []byte   // the record, encrypted if the list is; opaque to the Journal
}
