// Package takedown answers for every picture that somebody wants to fetch, index
// or show whether it is blocked.
//
//	e, err := takedown.Load("blocklist.snap", nil)
//	d := e.FilterURL(imageURL)                     // before a fetch
//	c, err := takedown.Inspect(file, source, nil)  // after it: hashes, features, faces
//	d = e.Check(c)
//	d = e.In("DE").Filter(imageURL, storedHash)    // for a viewer in Germany
//	switch d.Verdict {
//	case takedown.Block:      // do not fetch, index or show: d.Why, d.Rule, d.Case
//	case takedown.Restricted: // blocked in some countries: index it, and let In decide
//	case takedown.Review:     // in doubt: hold it back for a person
//	case takedown.Unknown:    // no answer: the list is closed or too old
//	case takedown.Allow:
//	}
//
// A crawler or ranker loads a published snapshot. An intake app has the
// [Enforcer] of its own desk, which lies in package desk beside this one; the
// requests that it decides about are in package request. Nothing here knows of
// cases, people or what they wrote.
//
// # What a decision says
//
// [Decision].Checked has the tiers that were compared: the address, the bytes of
// the file, perceptual hashes, local features, faces. Allow says that nothing of
// that is blocked, and nothing more: an address without a hash is no statement
// about the picture. All that matches is weighed; the strongest verdict wins and
// names its rule and its case. [Enforcer.Matches] gives all of them.
//
// # Guarantees
//
// Queries take no lock, do no I/O and allocate nothing for canonical addresses,
// except one counting table per day. The methods of Enforcer are safe for
// concurrent use. Errors and decisions can be logged: they hold no address and
// nothing personal.
package takedown
