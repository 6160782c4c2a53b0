// Package texts writes problems of requests, and the desk's messages, in the
// language of the reader.
package texts
