package request

import (
	"path"
	"strings"
	"unicode/utf8"

	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// Paper is a document that comes with a request, and is no picture to be removed. The
// desk keeps it sealed with the case, and erases it with the case: see
// desk.Desk.Submit. No kind of request requires one.
type Paper struct {
	Kind PaperKind
	// Name is the name of the file, for the reviewer.
	Name string
	// Data is the file. Nobody has looked for harmful contents in it.
	Data []byte
}

// PaperKind is what a paper shows.
type PaperKind string

const (
	PaperMandate PaperKind = "mandate"       // that somebody may act for the person concerned
	PaperCourt   PaperKind = "court_paper"   // a judgment, an order or an action
	PaperPolice  PaperKind = "police_report" // a report to the police
	PaperOther   PaperKind = "other"         // something else, such as a screenshot
)

// PaperKinds returns all kinds of papers.
func PaperKinds() []PaperKind { return []PaperKind{PaperMandate, PaperCourt, PaperPolice, PaperOther} }

// Limits of papers.
const (
	MaxPapers     = 10       // of a request
	MaxPaperBytes = 10 << 20 // of each
	maxPaperName  = 200
)

// Check returns an [*takedown.ArgumentError] for a paper that is not taken.
func (p *Paper) Check() error {
	bad := func(name, why string) error { return &takedown.ArgumentError{Name: "Paper." + name, Why: why} }
	switch {
	case p.Kind != PaperMandate && p.Kind != PaperCourt && p.Kind != PaperPolice && p.Kind != PaperOther:
		return bad("Kind", "it is not one of PaperKinds")
	case len(p.Data) == 0:
		return bad("Data", "the file is empty")
	case len(p.Data) > MaxPaperBytes:
		return bad("Data", "it has more than 10 MiB")
	case !utf8.ValidString(p.Name), strings.ContainsFunc(p.Name, unnamable), utf8.RuneCountInString(p.Name) > maxPaperName:
		return bad("Name", "it has control characters, is not UTF-8, or has more than 200 characters")
	}
	return nil
}

// unnamable reports what no name of a file has.
func unnamable(r rune) bool { return fields.Unprintable(r) || r == '\n' || r == '\r' || r == '\t' }

// PaperName makes a name for Paper.Name of a name that a browser sent: without folders,
// control characters and what changes the direction of a text.
func PaperName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, ""), `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unnamable(r) {
			return -1
		}
		return r
	}, name)
	if name == "." || name == "/" {
		return ""
	}
	if r := []rune(name); len(r) > maxPaperName {
		name = string(r[len(r)-maxPaperName:]) // the end tells what file it is
	}
	return name
}
