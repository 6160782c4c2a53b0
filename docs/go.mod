// This module has no packages. Its go.mod keeps the documentation and its
// pictures out of the zip of the core module, which every user downloads.
module github.com/staydown/staydown/docs

go 1.25.0
