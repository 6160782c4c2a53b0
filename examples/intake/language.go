package main

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// say puts what a case holds into the words of a reviewer; what has none stands
// for itself.
func say(x any) string { return cmp.Or(said[x], fmt.Sprint(x)) }

var said = map[any]string{
	request.KindDSANotice:   "Notice about links",
	request.KindImageOptOut: "Opt-out of a picture",
	request.KindOpenOptOut:  "Opt-out of a picture or a face",
	request.KindWithdrawal:  "Withdrawal",

	desk.StateUnconfirmed:  "waits for its email address",
	desk.StateNeedsInfo:    "waits for the requester",
	desk.StateInReview:     "waits for a reviewer",
	desk.StateSecondReview: "waits for a second reviewer",
	desk.StateInForce:      "in force",
	desk.StateCourtHold:    "in force, before a court",

	takedown.ScopeURL:       "the addresses alone",
	takedown.ScopeBytes:     "the same file",
	takedown.ScopeIdentical: "the identical picture",
	takedown.ScopeDuplicate: "every copy of the picture",
	takedown.ScopeFace:      "every picture of the face",

	takedown.Allow:      "allowed",
	takedown.Restricted: "blocked in some countries",
	takedown.Review:     "held for a person",
	takedown.Block:      "blocked",

	takedown.TierURL:      "its address",
	takedown.TierBytes:    "the same file",
	takedown.TierHash:     "its hash",
	takedown.TierFeatures: "the picture is inside it",
	takedown.TierFace:     "the face",

	request.FlagChildSafety:    "a child may be shown",
	request.FlagTrustedFlagger: "by a trusted flagger",
	desk.FlagEarlierClaim:      "blocked for somebody else already",
	desk.FlagContradiction:     "somebody else claims to own it too",
	desk.FlagLate:              "late",
	desk.FlagOtherParty:        "not by who made the request",
	desk.FlagWider:             "more than was asked",
	desk.FlagUnseen:            "nobody has seen the picture",
	desk.FlagFace:              "a face",
	desk.FlagSeveralPeople:     "faces of several people",
	desk.FlagAllowListed:       "on or near the allow list",
	desk.FlagFlat:              "a picture with little in it",
	desk.FlagCrowded:           "it hits very many pictures",
	desk.FlagOverBudget:        "too many loose matches",
}

type nation struct{ code, name string }

// countries are those that a request can name, in each language of the pages, in
// its order.
var countries = func() map[string][]nation {
	all := map[string][]nation{}
	for _, tag := range []language.Tag{language.English, language.Thai} {
		var list []nation
		for a := 'A'; a <= 'Z'; a++ {
			for b := 'A'; b <= 'Z'; b++ {
				code := string(a) + string(b)
				region, err := language.ParseRegion(code)
				if _, bad := blocklist.ParseTerritory(code); err == nil && bad == nil {
					list = append(list, nation{code, display.Regions(tag).Name(region)})
				}
			}
		}
		order := collate.New(tag)
		slices.SortFunc(list, func(a, b nation) int { return order.CompareString(a.name, b.name) })
		all[tag.String()] = list
	}
	return all
}()
