// Package blocklist keeps the list of what is blocked now: keys of addresses,
// digests of files, perceptual hashes, local features and faces, and the rules
// they belong to.
//
// A list is a fold over a journal of events (rules added, keys learned,
// pictures excepted, rules revoked). [New] opens one for writing on any [Journal];
// package boltjournal opens a folder with one. [Load] opens a snapshot file, which
// Publish wrote, for reading only. Both answer through a [State], an immutable
// state of the list at one sequence number:
//
//	l, err := blocklist.Load("blocklist.snap", nil)
//	v := l.State()
//	d, err := v.Digest(blocklist.ImageAddress, "https://example.com/a.jpg")
//	v.FindAddress(d, func(h blocklist.Hit) bool { … })
//
// # Guarantees
//
// A list carries a running digest of all of its events. A list that was restored
// from an older copy, and went on with other events, is refused by nodes that have
// what it lost, whatever its number is: [ErrFork].
//
// Append returns when its events are durable and every State taken after it
// shows them. A crash at any moment loses no event whose Append returned.
// State, Digest of a canonical address and the Find methods take no lock and
// allocate nothing; readers never wait for writers or for compaction.
//
// A bloom filter in front of the exact keys only ever says no: it is the exact
// key that makes a hit.
//
// # Caveats
//
// Take a Digest from the State that is asked: after [Rekey] the next State has
// other keys.
//
// [Load] copies the file into memory, where nobody can change it. With Map it
// is used in place; then it must only ever be replaced, as Publish does it,
// and never be cut or overwritten.
//
// A hit says that a key of a rule in force was found. Whether the rule holds in
// a territory (InForceIn), and whether it must leave that picture alone
// (Excepted), is for the caller to ask.
//
// What is in a list is pseudonymous, not anonymous. Its holder can test guessed
// addresses and compare pictures; a perceptual hash can be turned into a
// recognisable thumbnail. Treat journals and snapshots as personal data, and
// encrypt them where they may be read by others. What a rule was made of stays in
// the journal for Options.EraseAfter when it has ended, or until List.Erase.
//
// Faces are biometric. SealFaces seals them before they come into an event, with
// a key of that event, which revoking the rule destroys: nothing that was written
// opens them any more. A snapshot with faces is published encrypted, and nodes
// may use them for Options.FaceLifetime only.
//
// docs/format describes addresses, records, journal and snapshot byte by byte, with what
// a crash can leave behind; docs/decisions says why they are as they are.
package blocklist
