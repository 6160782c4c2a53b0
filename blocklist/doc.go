// Package blocklist keeps the list of what is blocked now: keys of addresses,
// digests of files and perceptual hashes, and the rules they belong to.
//
// A list is a fold over a journal of events (rules added, keys learned,
// pictures excepted, rules revoked). [Open] opens a folder with that journal
// for writing; [Load] opens a snapshot file, which Publish wrote, for reading
// only. Both answer through a [View], an immutable state of the list at one
// sequence number:
//
//	l, err := blocklist.Load("blocklist.snap", nil)
//	v := l.View()
//	d, err := v.Digest(blocklist.ImageAddress, "https://example.com/a.jpg")
//	v.FindAddress(d, func(h blocklist.Hit) bool { … })
//
// # Guarantees
//
// Append returns when its events are durable and every View taken after it
// shows them. A crash at any moment loses no event whose Append returned.
// View, Digest of a canonical address and the Find methods take no lock and
// allocate nothing; readers never wait for writers or for compaction.
//
// A bloom filter in front of the exact keys only ever says no: it is the exact
// key that makes a hit.
//
// # Caveats
//
// What is in a list is pseudonymous, not anonymous. Its holder can test guessed
// addresses and compare pictures; a perceptual hash can be turned into a
// recognisable thumbnail. Treat journals and snapshots as personal data.
package blocklist
