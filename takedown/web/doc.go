// Package web has the pages of a takedown desk: those on which people ask for
// removals, and the console on which reviewers decide.
//
//	pages, err := web.New(d, &web.Options{Service: web.Service{Name: "Example"}, Key: key, Login: login})
//	http.Handle("/takedown/", http.StripPrefix("/takedown", pages))
//
// A [Handler] works in any Go server, at any path: see [Options].Path. It needs no
// JavaScript. It stores nothing of its own: cases are in the desk. What somebody is
// typing is in memory for an hour, files sealed, so that nothing typed is lost
// when something is missing or the language is switched.
//
// The host brings the desk, a log-in for reviewers ([Login]), and the desk's
// Notifier. [Handler.Message] writes letters with links to the pages.
//
// # What the pages keep to themselves
//
// No page shows a person where copies of a picture were found, and no answer
// tells whether a case of somebody else exists. Addresses of pages have no case
// numbers. The pages never fetch a submitted address. Numbers of cases work with
// their secret only.
package web
