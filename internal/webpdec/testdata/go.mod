// This module has no packages. Its go.mod keeps the test pictures out of the zip
// of the core module, which every user downloads. Tests that need them are
// skipped in that zip.
module github.com/staydown/staydown/internal/webpdec/testdata

go 1.25.0
