package blocklist

import "context"

// A Journal keeps the entries of one list. It is what a list is made from: see
// New. boltjournal has the one that most programs use; journaltest tests others.
//
// Append and Rewrite are called by one goroutine at a time each. All other calls
// may come at any time, also beside these two. Errors about what is stored wrap
// ErrJournal; after Close, all wrap ErrClosed.
type Journal interface {
	// Meta returns what SetMeta stored last, and nil in a new journal.
	Meta() ([]byte, error)
	// SetMeta stores what the list has to know of itself, durably.
	SetMeta(meta []byte) error
	// Last returns the number of the last entry, 0 if there is none.
	Last() (uint64, error)
	// Append adds entries, all or none, durably. Their numbers follow those that
	// are there, without a gap. After an error the list asks for Last: if that is
	// what it was, the list goes on, so nothing of the entries may come back later.
	Append(entries []Entry) error
	// Read returns entries from number from on, in order: at most limit, and fewer
	// if they are big, but none only if there are no more. A missing number is an
	// error.
	Read(from uint64, limit int) ([]Entry, error)
	// Find returns the numbers of the entries with these ids, 0 for each that is
	// not there.
	Find(ids ...[16]byte) ([]uint64, error)
	// Targeting returns the numbers of the entries with that target, ascending.
	Targeting(target uint64) ([]uint64, error)
	// Rewrite calls change for every entry, ascending, and stores the Data that it
	// returns; nil leaves the entry as it is. All changes are made or none. When it
	// returns without an error, they are durable, and the old data is in no file of
	// the journal. Entries that Append adds meanwhile may be left out.
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
