// Package texts puts problems of requests, and the desk's messages, into the words of
// a language.
package texts
