// Package webtest walks through the pages of package web in a real browser: every
// way from the first question to the last letter, in both languages, on a phone
// and on a desk, without JavaScript and with the keyboard alone. On every state
// axe-core looks for barriers.
//
//	scripts/setup pages && go test ./internal/tools/webtest -v
//
// The flag -pictures names a folder for a picture of each state.
package webtest
