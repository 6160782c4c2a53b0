// Package phash recognises copies of pictures by perceptual hashes. It computes
// the hashes that a registration stores and a query asks with, and finds the
// registered hashes near a hash.
//
//	           Decode             HashesToStore
//	bytes ───▶ limits, sniffing ─┬─────────────▶ up to 16 hashes, each with its Transform (stored once)
//	           orientation       │  HashesToAsk
//	                             └─────────────▶ the picture's hash, and without borders (asked often)
//
// # Basics
//
// A [Hash] is a small comparable value that names its algorithm: PDQ with 256
// bits, or the perception hash of goimagehash with 64. Two pictures are copies of
// one another when their hashes differ in few bits. [BlockRadius] and
// [ReviewRadius] are the limits. docs/accuracy.md describes how they were measured
// and which copies are missed.
//
// PDQ represents a picture as 16 × 16 coarse waves. It is robust against
// compression, scaling and changes of tone. It does not match a picture that is
// mirrored, turned, cropped or framed. This package handles these edits when a
// picture is registered, which is rare, and not when one is looked up, which is
// frequent. [HashesToStore] stores the hash of the picture in its eight
// orientations and of slightly cropped views. The one hash that a service has
// stored of a copy then finds it.
//
// A [Segment] finds the registered hashes near one in microseconds, from memory or
// straight from a file. It never changes; package blocklist keeps several, and a
// short list of recent hashes. [BKTree] and [Linear] are for comparison. All are
// exact. docs/benchmarks.md has their figures.
//
// # Caveats
//
// A hash is not a proof. Different pictures of one scene, pages of text, and
// recoloured drawings can be close together. Flat pictures are all close together:
// [HashesToStore] refuses them with a [*RefusedError], and [HashesToAsk] does not
// return the hash of a blank one. A hash does not find a crop of more than about a
// tenth, a collage or a screenshot. A hash is not anonymous: a recognisable
// thumbnail can be made from it.
//
// [Decode] refuses unknown formats (AVIF, HEIC, JPEG XL unless [DecodeOptions] has
// a decoder) with an error. The error means that the picture was not examined. It
// does not mean that there is no match.
package phash
