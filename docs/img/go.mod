// This module has no packages. Its go.mod keeps the pictures of the documentation
// out of the zip of the core module, which every user downloads.
module github.com/staydown/staydown/docs/img

go 1.25.0
