package takedown_test

import (
	"testing"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

var accepted = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)

func stated(text string) takedown.Statement {
	return takedown.Statement{Text: text, Accepted: accepted}
}

var person = takedown.Requester{Name: "Requester", Email: "requester@example.org"}

// pdq returns the PDQ hash of a test picture.
func pdq(tb testing.TB, seed uint32) phash.Hash {
	tb.Helper()
	return hashes(tb, testJPEG(tb, seed))[0]
}

// samples returns a complete request of each kind; about is the case that
// replies refer to.
func samples(tb testing.TB, about takedown.CaseID) map[takedown.Kind]takedown.Request {
	tb.Helper()
	withPost := takedown.Requester{Name: "Requester", Phone: "+1 202 555 0100", PostalAddress: "1 Example Street, Springfield"}
	return map[takedown.Kind]takedown.Request{
		takedown.KindImageOptOut: optOut(tb, 1),
		takedown.KindOpenOptOut: takedown.OpenOptOut{
			Requester: person, Images: [][]byte{testJPEG(tb, 2)}, Claim: takedown.ClaimDepicted, Biometric: stated("You may make a template of my face to enforce this."),
		},
		takedown.KindFaceOptOut: takedown.FaceOptOut{
			Requester: takedown.Requester{Name: "Requester", Email: "requester@example.org", Authority: "I am her mother."},
			Faces:     []takedown.Face{portrait(tb, 1, 0), portrait(tb, 1, 1)}, Subject: takedown.SubjectChild, Biometric: stated(consent), Reason: "She is a child.",
		},
		takedown.KindDSANotice: notice("https://example.org/a.jpg"),
		takedown.KindDMCANotice: takedown.DMCANotice{
			Requester: person, Works: []takedown.Work{{Description: "Photograph of a lighthouse", Kind: "photograph", Original: "https://photographer.example/lighthouse.jpg"}},
			ImageURLs: []string{"https://example.org/b.jpg"}, GoodFaith: stated("Not authorised; fair use was considered."),
			Accurate: stated("The information is accurate."), Authorised: stated("Under penalty of perjury, I may act for the owner."), Signature: "Requester",
		},
		takedown.KindGDPRRequest: takedown.GDPRRequest{
			Requester: person, Rights: []takedown.Right{takedown.RightErasure, takedown.RightObjection}, ImageURLs: []string{"https://example.org/c.jpg"},
			Situation: "The picture shows me as a child.", Ground: takedown.ErasureObjection, Reply: takedown.ChannelEmail,
		},
		takedown.KindIntimateImage: takedown.IntimateImage{
			Requester: person, ImageURLs: []string{"https://example.org/d.jpg"}, Hashes: []phash.Hash{pdq(tb, 4)},
			NoConsent: stated("I did not consent."), Synthetic: takedown.AnswerNo, MinorDepicted: takedown.AnswerNo, Signature: "Requester",
		},
		takedown.KindAuthorityOrder: takedown.AuthorityOrder{
			Requester: takedown.Requester{Email: "registry@court.example", Role: takedown.RoleAuthority}, Authority: "District Court of Example", Reference: "1 O 23/26",
			LegalBasis: "Section 1 of the Act", Reasons: "The picture violates the plaintiff's rights.", Redress: "Appeal within a month.",
			ImageURLs: []string{"https://example.org/e.jpg"}, Territories: []string{"DE", "AT"},
		},
		takedown.KindHashEntry: takedown.HashEntry{Requester: person, Hashes: []phash.Hash{pdq(tb, 5)}, Claim: takedown.ClaimDepicted},
		takedown.KindCounterNotice: takedown.CounterNotice{
			Requester: withPost, Case: about, ImageURLs: []string{"https://example.org/b.jpg"}, Mistake: stated("Under penalty of perjury, it was a mistake."),
			Jurisdiction: stated("I consent to the jurisdiction of the court."), Disclosure: stated("The claimant gets a copy."), Reason: takedown.CounterOwner, Signature: "Requester",
		},
		takedown.KindObjection: takedown.Objection{
			Requester: person, Case: about, Reason: takedown.CounterAuthorised, Explanation: "The person agreed in writing.", GoodFaith: stated("Accurate and complete."),
		},
		takedown.KindComplaint:  takedown.Complaint{Requester: person, Case: about, Party: takedown.PartyNotifier, Grounds: "The picture does show me."},
		takedown.KindWithdrawal: takedown.WithdrawalRequest{Requester: person, Case: about},
	}
}
