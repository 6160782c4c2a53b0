// Package requesttest has requests of all kinds for the tests of packages request,
// desk and form.
package requesttest

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// JPEG returns a JPEG with enough detail to be registered; seed chooses
// among unlike pictures.
func JPEG(tb testing.TB, seed uint32) []byte {
	tb.Helper()
	// Value noise in octaves, each twice as fine and half as strong as the one
	// before: the spectrum of a photograph.
	const w, h = 256, 192
	sum := make([]float64, w*h)
	strength := 60.0
	for cell := 64; cell >= 2; cell /= 2 {
		columns := w/cell + 2
		grid := make([]float64, columns*(h/cell+2))
		for i := range grid {
			seed = seed*1664525 + 1013904223
			grid[i] = strength * (float64(seed>>24)/128 - 1)
		}
		for i := range sum {
			x, y := i%w, i/w
			g := y/cell*columns + x/cell
			fx, fy := float64(x%cell)/float64(cell), float64(y%cell)/float64(cell)
			top := grid[g]*(1-fx) + grid[g+1]*fx
			bottom := grid[g+columns]*(1-fx) + grid[g+columns+1]*fx
			sum[i] += top*(1-fy) + bottom*fy
		}
		strength /= 2
	}
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i, v := range sum {
		m.Pix[i] = uint8(min(max(128+v, 0), 255))
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 92}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// OptOut returns an opt-out of the picture of a seed.
func OptOut(tb testing.TB, seed uint32) request.ImageOptOut {
	return request.ImageOptOut{
		Requester: request.Requester{Name: "Requester", Email: "requester@example.org"},
		Images:    Images(JPEG(tb, seed)),
		Claim:     request.ClaimDepicted,
	}
}

// Notice returns a notice for addresses.
func Notice(urls ...string) request.DSANotice {
	return request.DSANotice{
		Requester:   request.Requester{Name: "Requester", Email: "requester@example.org"},
		ImageURLs:   urls,
		Explanation: "Shown without consent.",
		GoodFaith:   request.Statement{Text: "Accurate and complete.", Accepted: time.Unix(1, 0)},
	}
}

// Accepted is when statements were accepted.
var Accepted = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)

// Stated returns a statement that was accepted.
func Stated(text string) request.Statement {
	return request.Statement{Text: text, Accepted: Accepted}
}

// Person makes the requests.
var Person = request.Requester{Name: "Requester", Email: "requester@example.org"}

// PDQ returns the PDQ hash of a test picture.
func PDQ(tb testing.TB, seed uint32) phash.Hash {
	tb.Helper()
	return Hashes(tb, JPEG(tb, seed))[0]
}

// Samples returns a complete request of each kind; about is the case that
// replies refer to.
func Samples(tb testing.TB, about takedown.CaseID) map[takedown.Kind]request.Request {
	tb.Helper()
	withPost := request.Requester{Name: "Requester", Phone: "+1 202 555 0100", PostalAddress: "1 Example Street, Springfield"}
	return map[takedown.Kind]request.Request{
		request.KindImageOptOut: OptOut(tb, 1),
		request.KindOpenOptOut: request.OpenOptOut{
			Requester: Person, Images: Images(JPEG(tb, 2)), Claim: request.ClaimDepicted, Biometric: Stated("You may make a template of my face to enforce this."),
		},
		request.KindFaceOptOut: request.FaceOptOut{
			Requester: request.Requester{Name: "Requester", Email: "requester@example.org", Authority: "I am her mother."},
			Faces:     []takedown.Face{Portrait(tb, 1, 0), Portrait(tb, 1, 1)}, Subject: request.SubjectChild, Biometric: Stated(Consent), Reason: "She is a child.",
		},
		request.KindDSANotice: Notice("https://example.org/a.jpg"),
		request.KindDMCANotice: request.DMCANotice{
			Requester: Person, Works: []request.Work{{Description: "Photograph of a lighthouse", Kind: "photograph", Original: "https://photographer.example/lighthouse.jpg"}},
			ImageURLs: []string{"https://example.org/b.jpg"}, GoodFaith: Stated("Not authorised; fair use was considered."),
			Accurate: Stated("The information is accurate."), Authorised: Stated("Under penalty of perjury, I may act for the owner."), Signature: "Requester",
		},
		request.KindGDPRRequest: request.GDPRRequest{
			Requester: Person, Rights: []request.Right{request.RightErasure, request.RightObjection}, ImageURLs: []string{"https://example.org/c.jpg"},
			Situation: "The picture shows me as a child.", Ground: request.ErasureObjection, Reply: request.ChannelEmail,
		},
		request.KindIntimateImage: request.IntimateImage{
			Requester: Person, ImageURLs: []string{"https://example.org/d.jpg"}, Hashes: []phash.Hash{PDQ(tb, 4)},
			NoConsent: Stated("I did not consent."), Synthetic: request.AnswerNo, MinorDepicted: request.AnswerNo, Signature: "Requester",
		},
		request.KindAuthorityOrder: request.AuthorityOrder{
			Requester: request.Requester{Email: "registry@court.example", Role: request.RoleAuthority}, Authority: "District Court of Example", Reference: "1 O 23/26",
			LegalBasis: "Section 1 of the Act", Reasons: "The picture violates the plaintiff's rights.", Redress: "Appeal within a month.",
			ImageURLs: []string{"https://example.org/e.jpg"}, Territories: []string{"DE", "AT"},
		},
		request.KindHashEntry: request.HashEntry{Requester: Person, Hashes: []phash.Hash{PDQ(tb, 5)}, Claim: request.ClaimDepicted},
		request.KindThaiNotice: request.ThaiNotice{
			Requester: request.Requester{Name: "Requester", Email: "requester@example.org", PostalAddress: "1 Example Road, Bangkok", Country: "TH"},
			ImageURLs: []string{"https://example.org/g.jpg"}, Offence: request.OffenceFalse, Explanation: "The picture is forged.", Damage: "My customers left.",
			Accurate: Stated("This complaint is true."), Signature: "Requester",
		},
		request.KindPreference: request.Preference{
			Requester: Person, Uses: []request.Use{request.UseTrain}, ImageURLs: []string{"https://example.org/f.jpg"}, Hosts: []string{"photographer.example"}, Claim: request.ClaimOwner,
		},
		request.KindCounterNotice: request.CounterNotice{
			Requester: withPost, Case: about, ImageURLs: []string{"https://example.org/b.jpg"}, Mistake: Stated("Under penalty of perjury, it was a mistake."),
			Jurisdiction: Stated("I consent to the jurisdiction of the court."), Disclosure: Stated("The claimant gets a copy."), Reason: request.CounterOwner, Signature: "Requester",
		},
		request.KindObjection: request.Objection{
			Requester: Person, Case: about, Reason: request.CounterAuthorised, Explanation: "The person agreed in writing.", GoodFaith: Stated("Accurate and complete."),
		},
		request.KindComplaint:  request.Complaint{Requester: Person, Case: about, Party: request.PartyNotifier, Grounds: "The picture does show me."},
		request.KindWithdrawal: request.Withdrawal{Requester: Person, Case: about},
	}
}

// Images returns files of bytes.
func Images(files ...[]byte) (list []request.File) {
	for _, f := range files {
		list = append(list, request.FromBytes(f))
	}
	return list
}

// Content returns the bytes of a file.
func Content(tb testing.TB, f request.File) []byte {
	tb.Helper()
	b, err := f.Bytes(f.Size())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Hashes are what a crawler computes of a file.
func Hashes(tb testing.TB, file []byte) []phash.Hash {
	tb.Helper()
	pic, err := phash.Decode(bytes.NewReader(file), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return phash.HashesToAsk(pic)
}

// HasProblem reports whether a validation found a problem with a field.
func HasProblem(err error, field string) bool {
	var invalid *request.ValidationError
	if errors.As(err, &invalid) {
		for _, p := range invalid.Problems {
			if p.Field == field {
				return true
			}
		}
	}
	return false
}

// FaceModel is the model of Portrait, and Consent a text of the consent to it.
const (
	FaceModel = "test-model@1"
	Consent   = "You may make a template of my face, only to keep it out."
)

// Components returns the vector of a made-up photograph of a made-up person:
// the person's own direction, and a part that every photograph has for itself.
func Components(person, photo uint64) []float32 {
	p, q := rand.New(rand.NewPCG(person, 0)), rand.New(rand.NewPCG(person, photo+1))
	v := make([]float32, 128)
	for i := range v {
		v[i] = float32(p.NormFloat64() + 0.33*q.NormFloat64())
	}
	return v
}

// Fataler is what tests and rapid's own have in common.
type Fataler interface {
	Helper()
	Fatal(...any)
}

// Portrait returns the face of a photograph of Components.
func Portrait(tb Fataler, person, photo uint64) takedown.Face {
	tb.Helper()
	f, err := takedown.NewFace(FaceModel, Components(person, photo))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// Problems lists the problems that a validation found.
func Problems(err error) (list []string) {
	var ve *request.ValidationError
	if errors.As(err, &ve) {
		for _, p := range ve.Problems {
			list = append(list, p.Field+": "+string(p.Code)+" "+p.Severity.String())
		}
	}
	return list
}

// CompileSchema compiles a JSON schema.
func CompileSchema(tb testing.TB, b []byte) *jsonschema.Schema {
	tb.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:///schema.json", doc); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Compile("mem:///schema.json")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// CheckSchema checks JSON by a schema.
func CheckSchema(tb testing.TB, s *jsonschema.Schema, b []byte) error {
	tb.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return s.Validate(doc)
}

// Greys are the levels of grey.
var Greys = func() (p color.Palette) {
	for i := range 256 {
		p = append(p, color.Gray{Y: uint8(i)})
	}
	return p
}()
