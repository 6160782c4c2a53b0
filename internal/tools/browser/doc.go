// Package browser asks a Chromium what it shows of picture files, and compares
// that with what the library looks at.
//
//	go test -v ./internal/tools/browser                 # a sample of the bytes, as .ci/run browser
//	go test -v ./internal/tools/browser -each 0 -timeout 3h   # every byte
//
// The browser runs with --no-sandbox: give it only files that were made for the
// purpose. It reaches nothing but a server of this process on the loopback
// interface.
package browser
