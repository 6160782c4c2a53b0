// Package staydown is the root of a library that takes pictures down and keeps
// them down: it enforces removal requests inside a crawler, a search service or
// an intake app, also for copies that are posted again somewhere else.
//
// The root package holds no code. Import the package for the job:
//
//   - takedown: requests, cases, decisions, and the Enforcer that answers
//     whether an image may be shown. Most programs need only this one.
//   - blocklist: the list of what is blocked now: keys of addresses, digests
//     and hashes, its journal and its snapshot file.
//   - phash: from a picture to a perceptual hash, and from a hash to the
//     registered hashes near it.
//
// docs/architecture.md shows on one page how they fit together.
package staydown
