package cases

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// withAVIF decodes AVIF too, as an operator can.
var withAVIF = phash.DecodeOptions{
	AcceptTruncated: true,
	Decoders:        map[phash.Format]phash.Decoder{phash.FormatAVIF: avif.Decode},
}

// registration is a desk at which one opt-out of a picture was submitted and, if
// it could be, accepted by one reviewer.
type registration struct {
	desk *desk.Desk
	// warnings are the codes of all risks, flags and problems that the reviewer
	// or the requester was told.
	warnings []string
	refused  error
}

func register(tb testing.TB, file []byte) registration {
	tb.Helper()
	ctx := context.Background()
	dk, err := desk.Open(tb.TempDir(), &desk.Options{OneReviewer: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { dk.Close() })
	r := registration{desk: dk}
	c, err := dk.Submit(ctx, optOut(file))
	if err != nil {
		return r.refuse(tb, err)
	}
	p, err := dk.Preview(ctx, c.ID, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range append(p.Risks, c.Flags...) {
		r.warnings = append(r.warnings, string(f))
	}
	if err := dk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "reviewer"}}); err != nil {
		return r.refuse(tb, err)
	}
	return r
}

func (r registration) refuse(tb testing.TB, err error) registration {
	tb.Helper()
	var invalid *request.ValidationError
	var grant *desk.GrantError
	switch {
	case errors.As(err, &invalid):
		for _, p := range invalid.Problems {
			r.warnings = append(r.warnings, string(p.Code))
		}
	case !errors.As(err, &grant):
		tb.Fatal(err)
	}
	r.refused = err
	return r
}

func optOut(file []byte) request.Request {
	return request.ImageOptOut{
		Requester: request.Requester{Name: "A Person", Email: "a@example.org"},
		Claim:     request.ClaimOwner,
		Images:    []request.File{request.FromBytes(file)},
	}
}

// answers are what a crawler and a ranker are told of one file.
type answers struct {
	crawler, ranker takedown.Verdict
	note            string
}

// ask asks as a crawler does, with all that Inspect finds, and as a ranker does,
// with the first hash. flags are those of expect.tsv.
func (r registration) ask(tb testing.TB, file []byte, flags string) answers {
	tb.Helper()
	o := &takedown.InspectOptions{FirstFrame: false}
	if strings.Contains(flags, "avif") {
		o.Decode = &withAVIF
	}
	c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, o)
	e := r.desk.Enforcer()
	d := e.Check(c)
	a := answers{crawler: d.Verdict, note: d.String()}
	if err != nil {
		a.note += "; " + err.Error()
	}
	if len(c.Hashes) > 0 {
		a.ranker = e.Filter("", c.Hashes[0]).Verdict
	}
	return a
}

// right reports whether a verdict is what a word of expect.tsv asks for.
func right(tb testing.TB, want string, got takedown.Verdict) bool {
	tb.Helper()
	switch want {
	case "":
		return true
	case "block":
		return got == takedown.Block
	case "found":
		return got == takedown.Block || got == takedown.Review
	case "notblock":
		return got == takedown.Allow || got == takedown.Review
	case "allow":
		return got == takedown.Allow
	}
	tb.Fatalf("expect.tsv has no answer %q", want)
	return false
}
