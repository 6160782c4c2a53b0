// Package features finds a registered picture inside another picture: cropped,
// turned, mirrored, stretched, captioned, in a screenshot or a collage.
//
// Extract brings a picture to a working size and describes some hundred places
// that stand out in it, each by 256 comparisons of brightness around it, turned
// with the place. A Segment is an immutable index of registered pictures.
// Segment.Search looks up pictures that share like places with the asked one,
// asks which of these agree on one map between the two pictures, looks for the
// other places under that map, fits an affine map to all of them, and at last
// lays a small thumbnail of one picture over that of the other: places that fit
// are no proof where both pictures sit in the same frame, the pixels between
// them are.
//
// # Basics
//
// The places are maxima of the determinant of the Hessian over a pyramid of
// scales, in all three directions (Lindeberg 1998; Bay et al., SURF, 2008),
// their orientation is the strongest sum of gradients within a sixth of a turn,
// the tests compare means of square boxes (Calonder et al., BRIEF, 2010; Levi
// and Hassner, LATCH, 2016; Suárez et al., BEBLID, 2020). The pattern of tests is
// mirror-symmetric, so that the descriptors of a mirrored picture are a
// rearrangement of bits: a mirrored copy is found without a second extraction.
//
// Everything up to the features is computed in integers; the fits use floating
// point without fused operations. The same pixels give the same features and
// the same matches on every architecture.
//
// # Caveats
//
// Features are not anonymous: the thumbnail shows the picture. Two photographs
// of the same flat thing (a poster, a page, a package) are copies to this
// package if an affine map takes one to the other.
package features
