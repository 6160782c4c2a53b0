package desk_test

import (
	"testing"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

var accepted = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)

func stated(text string) request.Statement {
	return request.Statement{Text: text, Accepted: accepted}
}

var person = request.Requester{Name: "Requester", Email: "requester@example.org"}

// pdq returns the PDQ hash of a test picture.
func pdq(tb testing.TB, seed uint32) phash.Hash {
	tb.Helper()
	return hashes(tb, testJPEG(tb, seed))[0]
}

// samples returns a complete request of each kind; about is the case that
// replies refer to.
func samples(tb testing.TB, about takedown.CaseID) map[takedown.Kind]request.Request {
	tb.Helper()
	withPost := request.Requester{Name: "Requester", Phone: "+1 202 555 0100", PostalAddress: "1 Example Street, Springfield"}
	return map[takedown.Kind]request.Request{
		request.KindImageOptOut: optOut(tb, 1),
		request.KindOpenOptOut: request.OpenOptOut{
			Requester: person, Images: images(testJPEG(tb, 2)), Claim: request.ClaimDepicted, Biometric: stated("You may make a template of my face to enforce this."),
		},
		request.KindFaceOptOut: request.FaceOptOut{
			Requester: request.Requester{Name: "Requester", Email: "requester@example.org", Authority: "I am her mother."},
			Faces:     []takedown.Face{portrait(tb, 1, 0), portrait(tb, 1, 1)}, Subject: request.SubjectChild, Biometric: stated(consent), Reason: "She is a child.",
		},
		request.KindDSANotice: notice("https://example.org/a.jpg"),
		request.KindDMCANotice: request.DMCANotice{
			Requester: person, Works: []request.Work{{Description: "Photograph of a lighthouse", Kind: "photograph", Original: "https://photographer.example/lighthouse.jpg"}},
			ImageURLs: []string{"https://example.org/b.jpg"}, GoodFaith: stated("Not authorised; fair use was considered."),
			Accurate: stated("The information is accurate."), Authorised: stated("Under penalty of perjury, I may act for the owner."), Signature: "Requester",
		},
		request.KindGDPRRequest: request.GDPRRequest{
			Requester: person, Rights: []request.Right{request.RightErasure, request.RightObjection}, ImageURLs: []string{"https://example.org/c.jpg"},
			Situation: "The picture shows me as a child.", Ground: request.ErasureObjection, Reply: request.ChannelEmail,
		},
		request.KindIntimateImage: request.IntimateImage{
			Requester: person, ImageURLs: []string{"https://example.org/d.jpg"}, Hashes: []phash.Hash{pdq(tb, 4)},
			NoConsent: stated("I did not consent."), Synthetic: request.AnswerNo, MinorDepicted: request.AnswerNo, Signature: "Requester",
		},
		request.KindAuthorityOrder: request.AuthorityOrder{
			Requester: request.Requester{Email: "registry@court.example", Role: request.RoleAuthority}, Authority: "District Court of Example", Reference: "1 O 23/26",
			LegalBasis: "Section 1 of the Act", Reasons: "The picture violates the plaintiff's rights.", Redress: "Appeal within a month.",
			ImageURLs: []string{"https://example.org/e.jpg"}, Territories: []string{"DE", "AT"},
		},
		request.KindHashEntry: request.HashEntry{Requester: person, Hashes: []phash.Hash{pdq(tb, 5)}, Claim: request.ClaimDepicted},
		request.KindPreference: request.Preference{
			Requester: person, Uses: []request.Use{request.UseTrain}, ImageURLs: []string{"https://example.org/f.jpg"}, Hosts: []string{"photographer.example"}, Claim: request.ClaimOwner,
		},
		request.KindCounterNotice: request.CounterNotice{
			Requester: withPost, Case: about, ImageURLs: []string{"https://example.org/b.jpg"}, Mistake: stated("Under penalty of perjury, it was a mistake."),
			Jurisdiction: stated("I consent to the jurisdiction of the court."), Disclosure: stated("The claimant gets a copy."), Reason: request.CounterOwner, Signature: "Requester",
		},
		request.KindObjection: request.Objection{
			Requester: person, Case: about, Reason: request.CounterAuthorised, Explanation: "The person agreed in writing.", GoodFaith: stated("Accurate and complete."),
		},
		request.KindComplaint:  request.Complaint{Requester: person, Case: about, Party: request.PartyNotifier, Grounds: "The picture does show me."},
		request.KindWithdrawal: request.Withdrawal{Requester: person, Case: about},
	}
}

// images returns files of bytes.
func images(files ...[]byte) (list []request.File) {
	for _, f := range files {
		list = append(list, request.FromBytes(f))
	}
	return list
}

// content returns the bytes of a file.
func content(tb testing.TB, f request.File) []byte {
	tb.Helper()
	b, err := f.Bytes(f.Size())
	ok(tb, err)
	return b
}

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
