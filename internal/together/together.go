// Package together makes modules of different minor versions a compile error.
//
// Module takedown/desk uses internal packages of the core, which may change with each
// minor version. A program that requires a newer core than desk would otherwise mix
// the two. The constant is named after the minor version of a release, and desk uses
// it: the core of another minor version does not have that name.
package together

// V0_0 is renamed with each minor version; scripts/release checks its name.
const V0_0 = "v0.0"
