package request_test

import (
	"testing"

	"github.com/staydown/staydown/internal/requesttest"
	"github.com/staydown/staydown/takedown"
)

// The requests of the tests are those of package requesttest.
var (
	accepted      = requesttest.Accepted
	samples       = requesttest.Samples
	images        = requesttest.Images
	testJPEG      = requesttest.JPEG
	optOut        = requesttest.OptOut
	notice        = requesttest.Notice
	hasProblem    = requesttest.HasProblem
	problems      = requesttest.Problems
	compileSchema = requesttest.CompileSchema
	checkSchema   = requesttest.CheckSchema
	greys         = requesttest.Greys
)

const consent = requesttest.Consent

func portrait(tb testing.TB, person, photo uint64) takedown.Face {
	tb.Helper()
	return requesttest.Portrait(tb, person, photo)
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
