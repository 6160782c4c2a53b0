// Package feed distributes a list as static signed files, and follows them.
//
// A [Publisher] writes a list into a [Store], for example a folder or a bucket. It
// writes snapshots, deltas between them, and a small signed pointer. Any web server
// can serve the files. [Follow] reads the files and keeps a list up to date:
//
//	f, err := feed.Follow(ctx, "https://lists.example.org/main/", &feed.Options{
//		Dir: "/var/lib/crawler/main", TrustedKeys: keys,
//	})
//	e, err := takedown.NewEnforcer([]takedown.ListSource{
//		{Name: "main", List: f.List(), Current: f.Current},
//	}, &takedown.EnforcerOptions{MaxAge: time.Hour, Stale: takedown.StaleUnknown})
//
// # Guarantees
//
// Nothing is used before its signature, its digest and its place in the history of
// the list were verified. A server, or a person between server and reader, can
// withhold updates, and nothing else. [Info] reports the age of the list then. A
// list that goes back, or that continues another history, is refused: see
// [blocklist.ErrRollback] and [blocklist.ErrFork].
//
// A reader keeps its last good state in a folder, and starts from it without the
// network. Queries never wait for an update.
//
// A publisher never leaves a state that a reader can misread. Files are written
// before the pointer that names them, under names that are used once. One list has
// one publisher: a second one gets [ErrConflict].
//
// # Privacy
//
// The keys of an ended rule are in no published file later than
// [PublisherOptions].Retain after its end. Readers delete their copies in the same
// time. Rules with faces are never in deltas with their keys. A change of them
// publishes a new snapshot, and the old one is overwritten where the store can do
// that.
//
// docs/format/feed.md describes the files.
package feed
