package phash

// Entry is a registered hash and the number that its owner gave it. Several
// entries may share a hash, or a number.
type Entry struct {
	Hash Hash
	ID   uint32
}

// Index is the common interface of the indexes over hashes of one algorithm. Tests
// and tools use it to treat Linear and BKTree alike. Production code uses the
// concrete types, because a closure that is passed through an interface is
// allocated.
type Index interface {
	// Insert adds an entry. Adding the same entry again adds another copy. It
	// fails, wrapping ErrHashKind, for a hash of another algorithm than the
	// index's.
	Insert(h Hash, id uint32) error

	// Search calls yield once for every entry whose hash is within radius bits of
	// h, in no particular order, until yield returns false. It reports whether it
	// came to the end. A hash of another algorithm, the zero Hash and a negative
	// radius find nothing.
	Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool

	// Len returns the number of entries.
	Len() int
}
