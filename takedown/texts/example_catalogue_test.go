package texts_test

import (
	"fmt"
	"log"
	"testing/fstest"
	"time"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown/texts"
)

// A language is added from two files. What they lack is in English, and Gaps lists it.
func ExampleLoadCatalogue() {
	files := fstest.MapFS{ // os.DirFS, or embed.FS
		"de.json": {Data: []byte(`{"fields": {"requester.email": "E-Mail-Adresse"}}`)},
		"de.tmpl": {Data: []byte(`{{define "receipt.subject"}}Wir haben Ihre Meldung{{end}}{{define "receipt"}}Guten Tag{{end}}`)},
	}
	german, err := texts.LoadCatalogue(files, ".", language.German)
	if err != nil {
		log.Fatal(err)
	}
	t, err := texts.New(&texts.Options{Catalogues: []texts.Catalogue{german}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Field("de", "requester.email"))
	fmt.Println("there are gaps:", len(t.Gaps()) > 0)
	words, known := t.Reason("de", "not_illegal")
	fmt.Println(known, words != "")
	at := time.Date(2026, 12, 1, 18, 10, 0, 0, time.UTC)
	fmt.Println(t.Day("en", at), "or", t.Date("en", at))
	// Output:
	// E-Mail-Adresse
	// there are gaps: true
	// true true
	// 1 December 2026 or 1 December 2026, 18:10 UTC
}
