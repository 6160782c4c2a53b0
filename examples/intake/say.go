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
)

// say puts what a case holds into the words of a reviewer; what has none stands
// for itself.
func say(x any) string { return cmp.Or(said[x], fmt.Sprint(x)) }

var said = map[any]string{
	takedown.KindDSANotice:   "Notice about links",
	takedown.KindImageOptOut: "Opt-out of a picture",
	takedown.KindOpenOptOut:  "Opt-out of a picture or a face",
	takedown.KindWithdrawal:  "Withdrawal",

	takedown.StateUnconfirmed:  "waits for its email address",
	takedown.StateNeedsInfo:    "waits for the requester",
	takedown.StateInReview:     "waits for a reviewer",
	takedown.StateSecondReview: "waits for a second reviewer",
	takedown.StateInForce:      "in force",
	takedown.StateCourtHold:    "in force, before a court",

	takedown.WidthURL:       "the addresses alone",
	takedown.WidthBytes:     "the same file",
	takedown.WidthIdentical: "the identical picture",
	takedown.WidthDuplicate: "every copy of the picture",
	takedown.WidthFace:      "every picture of the face",

	takedown.Allow:      "allowed",
	takedown.Restricted: "blocked in some countries",
	takedown.Review:     "held for a person",
	takedown.Block:      "blocked",

	takedown.TierAddress:  "its address",
	takedown.TierBytes:    "the same file",
	takedown.TierHash:     "its hash",
	takedown.TierFeatures: "the picture is inside it",
	takedown.TierFace:     "the face",

	takedown.FlagChildSafety:    "a child may be shown",
	takedown.FlagTrustedFlagger: "by a trusted flagger",
	takedown.FlagEarlierClaim:   "blocked for somebody else already",
	takedown.FlagContradiction:  "somebody else claims to own it too",
	takedown.FlagLate:           "late",
	takedown.FlagOtherParty:     "not by who made the request",
	takedown.FlagWider:          "more than was asked",
	takedown.FlagUnseen:         "nobody has seen the picture",
	takedown.FlagFace:           "a face",
	takedown.FlagSeveralPeople:  "faces of several people",
	takedown.FlagCommon:         "on or near the never-block list",
	takedown.FlagFlat:           "a picture with little in it",
	takedown.FlagCrowded:        "it hits very many pictures",
	takedown.FlagOverBudget:     "too many loose matches",
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
