package desk_test

import (
	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/internal/requesttest"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown/desk"
)

// The requests of the tests are those of package requesttest.
var (
	person        = requesttest.Person
	stated        = requesttest.Stated
	pdq           = requesttest.PDQ
	samples       = requesttest.Samples
	images        = requesttest.Images
	content       = requesttest.Content
	testJPEG      = requesttest.JPEG
	optOut        = requesttest.OptOut
	notice        = requesttest.Notice
	hashes        = requesttest.Hashes
	hasProblem    = requesttest.HasProblem
	problems      = requesttest.Problems
	compileSchema = requesttest.CompileSchema
	checkSchema   = requesttest.CheckSchema
	greys         = requesttest.Greys
)

var hashText = cmp.Transformer("text", func(h phash.Hash) string { return h.String() })

// eachCase and eachEntry call f for all until it returns false.
func eachCase(d *desk.Desk, f func(desk.Case) bool) error {
	for c, err := range d.Cases(ctx) {
		if err != nil || !f(c) {
			return err
		}
	}
	return nil
}

func eachEntry(d *desk.Desk, from uint64, f func(desk.LogEntry) bool) error {
	for e, err := range d.Log(ctx, from) {
		if err != nil || !f(e) {
			return err
		}
	}
	return nil
}
