package request

import (
	"maps"
	"slices"

	"github.com/staydown/staydown/takedown"
)

// Kind is the kind of a request. The values are stored with cases and rules and
// never change their meaning.
type Kind = takedown.Kind

// The kinds of requests.
const (
	KindImageOptOut    Kind = 1  // [ImageOptOut]
	KindDSANotice      Kind = 2  // [DSANotice]
	KindDMCANotice     Kind = 3  // [DMCANotice]
	KindCounterNotice  Kind = 4  // [CounterNotice]
	KindObjection      Kind = 5  // [Objection]
	KindGDPRRequest    Kind = 6  // [GDPRRequest]
	KindIntimateImage  Kind = 7  // [IntimateImage]
	KindAuthorityOrder Kind = 8  // [AuthorityOrder]
	KindHashEntry      Kind = 9  // [HashEntry]
	KindComplaint      Kind = 10 // [Complaint]
	KindWithdrawal     Kind = 11 // [Withdrawal]
	KindOpenOptOut     Kind = 12 // [OpenOptOut]
	KindFaceOptOut     Kind = 13 // [FaceOptOut]
	KindPreference     Kind = 14 // [Preference]
	KindThaiNotice     Kind = 15 // [ThaiNotice]
)

// Kinds returns all kinds, in the order of their numbers.
func Kinds() []Kind { return slices.Sorted(maps.Keys(requestTypes)) }
