// Package takedown decides whether an image may be fetched, indexed or shown.
//
//	e, err := takedown.Load("blocklist.snap", nil)
//	d := e.FilterURL(imageURL)                     // before a fetch
//	d, c, err := e.CheckFile(ctx, body, source, nil) // after it: digest, hashes, features, faces
//	c, err = takedown.Inspect(file, source, nil)   // or all that is in a file, to keep
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
// A crawler or ranker loads a published snapshot. An intake app uses the
// [Enforcer] of its own desk: see package desk. Requests are types of package
// request. This package has no cases, no people and none of their texts.
//
// # Decisions
//
// [Decision].Checked lists the tiers that were compared: the address, the bytes of
// the file, perceptual hashes, local features, faces. Allow means that nothing in
// these tiers is blocked. A look-up by address alone does not examine the picture.
// If several rules match, the strongest verdict wins, and the decision names its
// rule and its case. [Enforcer.Matches] returns all matches.
//
// # Guarantees
//
// Queries take no lock, do no I/O and allocate nothing for canonical addresses,
// except one counting table per day. The methods of Enforcer are safe for
// concurrent use. Errors and decisions can be logged: they have no addresses and
// no personal data.
package takedown
