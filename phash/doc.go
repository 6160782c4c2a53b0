// Package phash recognises copies of pictures: from the bytes of a picture to
// the hashes that a registration stores and a query asks with, and from a hash
// to the registered hashes near it.
//
//	           Decode             HashesToStore
//	bytes ───▶ limits, sniffing ─┬─────────────▶ up to 16 hashes, each with its Transform (stored once)
//	           orientation       │  HashesToAsk
//	                             └─────────────▶ the picture's hash, and without borders (asked often)
//
// # Basics
//
// A [Hash] is a small comparable value that names its algorithm: PDQ with 256
// bits, or the perception hash of goimagehash with 64. Two pictures are copies
// of one another when their hashes differ in few bits; [BlockRadius] and
// [ReviewRadius] say how few, and docs/accuracy.md how that was measured and
// what slips through.
//
// PDQ sees a picture as 16 × 16 coarse waves. It does not notice compression,
// scaling, or changes of tone, and loses sight of a picture that is mirrored,
// turned, cropped or framed. This package pays for those when a picture is
// registered, which is rare, and not when one is looked up, which is not:
// [HashesToStore] stores the hash of the picture in its eight orientations and of
// slightly cropped views, so that the one hash that a service has stored of a
// copy finds it.
//
// A [Segment] finds the registered hashes near one in microseconds, from memory
// or straight from a file. It never changes; package blocklist keeps several, and
// a short list of what came last. [BKTree] and [Linear] are there to compare with.
// All are exact. docs/benchmarks.md has their figures.
//
// # Caveats
//
// A hash is not a proof. Different pictures of one scene, pages of text, and
// recoloured drawings can lie close together; flat pictures all do, and
// [HashesToStore] refuses them with a [*RefusedError], and [HashesToAsk] does not ask with
// the hash of a blank one. A crop of more than about a tenth, a collage or a
// screenshot is not found by a hash. And a hash is not anonymous: a recognisable
// thumbnail can be made from it.
//
// [Decode] refuses what it does not know (AVIF, HEIC, JPEG XL unless
// [DecodeOptions] has a decoder) with an error. That means "not looked at",
// never "no match".
package phash
