// Package blocklist keeps the list of blocked keys and the rules they belong to.
// Keys are digests of addresses and files, perceptual hashes, local features and
// faces.
//
// A list is a fold over a journal of events (rules added, keys derived, pictures
// excepted, rules revoked). [New] opens one for writing on any [Journal]; package
// boltjournal opens a folder with one. [Load] opens a snapshot file of Publish for
// reading only. Queries go to a [State], an immutable state of the list at one
// sequence number:
//
//	l, err := blocklist.Load("blocklist.snap", nil)
//	v := l.State()
//	d, err := v.Digest(blocklist.ImageAddress, "https://example.com/a.jpg")
//	v.FindAddress(d, func(h blocklist.Hit) bool { … })
//
// # Guarantees
//
// A list has a running digest of all of its events. If a list is restored from an
// older copy and continues with other events, nodes that have the lost events
// refuse it, independent of its number: [ErrFork].
//
// Append returns when its events are durable and every State taken after it shows
// them. A crash at any moment loses no event whose Append returned. State, Digest
// of a canonical address and the Find methods take no lock and allocate nothing.
// Readers never wait for writers or for compaction.
//
// A bloom filter in front of the exact keys only excludes keys. Every hit is a
// match of the exact key.
//
// # Caveats
//
// Take a Digest from the State that is queried: after [Rekey] the next State has
// other keys.
//
// [Load] copies the file into memory, where no other process can change it. With
// Map it is used in place. The file must then only be replaced, as Publish does
// it, and never be cut or overwritten.
//
// A hit means that a key of a rule in force was found. The caller checks whether
// the rule holds in a territory (InForceIn), and whether it has an exception for
// the picture (HasException).
//
// A list is pseudonymous, not anonymous. The owner of a copy can test whether the
// list has a guessed address or a given picture. A perceptual hash can be turned
// into a recognisable thumbnail. Treat journals and snapshots as personal data, and
// encrypt them where others may read them. The keys of an ended rule stay in the
// journal for Options.EraseAfter, or until List.Erase.
//
// Faces are biometric data. SealFaces seals them before they are added to an
// event, with a key of that event. Revoking the rule destroys the key, and the
// written data cannot be opened any more. A snapshot with faces is published
// encrypted, and nodes may use the faces for Options.FaceLifetime only.
//
// docs/format describes addresses, records, journal and snapshot byte by byte,
// with the possible states after a crash. docs/decisions has the reasons.
package blocklist
