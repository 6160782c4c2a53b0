// Package embedding matches vectors of the caller's own face model: a picture
// shows a registered face if the cosine similarity of the two vectors is at
// least a threshold.
//
// # Basics
//
// New turns a model's float32 numbers into a Vector: normalised, of a named
// Model, stored as one byte a dimension. NewSegment indexes vectors of one
// model; Search yields those within a threshold, most of them after looking at
// 64 bytes of each instead of the whole. Vectors of different models have no
// similarity, and meet nowhere.
//
// All arithmetic that decides is on integers, or on float64 operations whose
// results the language fixes, so a decision at the threshold is the same on
// every machine.
//
// # What is exact, and what is not
//
// Similarities are those of the stored vectors, exactly. Storing vectors of 512
// dimensions moves the similarity of two by some 0.0004 (standard deviation),
// and by 0.0015 where a few components carry most of the length. Search misses
// fewer than one in 10,000 of the vectors that lie exactly at the threshold,
// and fewer still of those above it; docs/decisions/face-vectors.md says what
// that rests on. It never yields a vector below the threshold.
//
// # Caveats
//
// A face vector is biometric data, from which a face can be recognised and to
// some extent redrawn. Vector prints nothing of itself; Seal makes a template
// that is worthless without its key. Which threshold is right depends on the
// model: measure it with the tool in calibrate, see docs/faces.md.
package embedding
