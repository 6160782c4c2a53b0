package takedown

import (
	"fmt"
	"maps"
	"slices"

	"github.com/staydown/staydown/internal/radius"
)

// Kind is the kind of a request. The values are stored with cases and rules
// and never change their meaning.
type Kind uint8

const (
	KindImageOptOut    Kind = 1                         // [ImageOptOut]
	KindDSANotice      Kind = 2                         // [DSANotice]
	KindDMCANotice     Kind = 3                         // [DMCANotice]
	KindCounterNotice  Kind = 4                         // [CounterNotice]
	KindObjection      Kind = 5                         // [Objection]
	KindGDPRRequest    Kind = 6                         // [GDPRRequest]
	KindIntimateImage  Kind = radius.KindIntimateImage  // [IntimateImage]
	KindAuthorityOrder Kind = radius.KindAuthorityOrder // [AuthorityOrder]
	KindHashEntry      Kind = 9                         // [HashEntry]
	KindComplaint      Kind = 10                        // [Complaint]
	KindWithdrawal     Kind = 11                        // [WithdrawalRequest]
	KindOpenOptOut     Kind = 12                        // [OpenOptOut]
	KindFaceOptOut     Kind = 13                        // [FaceOptOut]
)

// A requestType is what the desk has to know of one kind of request.
type requestType struct {
	name   string // stable: the value of "kind" in JSON
	decode func([]byte) (Request, error)
	empty  Request // for the schema and for forms
	// regime is the law whose clocks run; see [Deadlines].
	regime Regime
	// waits says that the case is not looked at before the email address is
	// confirmed, where the desk asks for that. Where a legal clock runs from the
	// receipt it does not wait.
	waits bool
	// target is what accepting does to the case that the request refers to; the
	// zero value is for requests that block something themselves.
	target targetMove
	// origin says who brought the matter up, for a statement of reasons.
	origin Origin
}

// requestTypes has one row for each kind of request.
var requestTypes = map[Kind]requestType{
	KindImageOptOut: {name: "image_opt_out", empty: ImageOptOut{}, decode: decode[ImageOptOut],
		regime: RegimeOperator, waits: true, origin: OriginOther},
	KindOpenOptOut: {name: "open_opt_out", empty: OpenOptOut{}, decode: decode[OpenOptOut],
		regime: RegimeOperator, waits: true, origin: OriginOther},
	KindFaceOptOut: {name: "face_opt_out", empty: FaceOptOut{}, decode: decode[FaceOptOut],
		regime: RegimeOperator, waits: true, origin: OriginOther},
	KindDSANotice: {name: "dsa_notice", empty: DSANotice{}, decode: decode[DSANotice],
		regime: RegimeDSA, origin: OriginArticle16},
	KindDMCANotice: {name: "dmca_notice", empty: DMCANotice{}, decode: decode[DMCANotice],
		regime: RegimeDMCA, origin: OriginOther},
	KindGDPRRequest: {name: "gdpr_request", empty: GDPRRequest{}, decode: decode[GDPRRequest],
		regime: RegimeGDPR, origin: OriginOther},
	KindIntimateImage: {name: "intimate_image", empty: IntimateImage{}, decode: decode[IntimateImage],
		regime: RegimeTakeItDown, origin: OriginOther},
	KindAuthorityOrder: {name: "authority_order", empty: AuthorityOrder{}, decode: decode[AuthorityOrder],
		regime: RegimeOrder, origin: OriginOther},
	KindHashEntry: {name: "hash_entry", empty: HashEntry{}, decode: decode[HashEntry],
		regime: RegimeOperator, origin: OriginOther},
	KindCounterNotice: {name: "counter_notice", empty: CounterNotice{}, decode: decode[CounterNotice],
		regime: RegimeDMCA, target: targetCounter},
	KindObjection: {name: "objection", empty: Objection{}, decode: decode[Objection],
		regime: RegimeOperator, target: targetReverse},
	KindComplaint: {name: "complaint", empty: Complaint{}, decode: decode[Complaint],
		regime: RegimeDSA, target: targetComplain},
	KindWithdrawal: {name: "withdrawal", empty: WithdrawalRequest{}, decode: decode[WithdrawalRequest],
		regime: RegimeOperator, waits: true, target: targetWithdraw},
}

// Kinds returns all kinds, in the order of their numbers.
func Kinds() []Kind { return slices.Sorted(maps.Keys(requestTypes)) }

// ParseKind reads the stable name of a kind.
func ParseKind(name string) (Kind, error) {
	for k, t := range requestTypes {
		if t.name == name {
			return k, nil
		}
	}
	return 0, &FormatError{Field: "kind", Why: "it is none of the kinds of requests; see Kinds"}
}

// String returns the stable name of the kind.
func (k Kind) String() string {
	if t, ok := requestTypes[k]; ok {
		return t.name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}
