package takedown

import (
	"errors"
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

// kindNames has the stable name of each kind: the value of "kind" in JSON.
var kindNames = map[Kind]string{
	KindImageOptOut:    "image_opt_out",
	KindDSANotice:      "dsa_notice",
	KindDMCANotice:     "dmca_notice",
	KindCounterNotice:  "counter_notice",
	KindObjection:      "objection",
	KindGDPRRequest:    "gdpr_request",
	KindIntimateImage:  "intimate_image",
	KindAuthorityOrder: "authority_order",
	KindHashEntry:      "hash_entry",
	KindComplaint:      "complaint",
	KindWithdrawal:     "withdrawal",
	KindOpenOptOut:     "open_opt_out",
	KindFaceOptOut:     "face_opt_out",
}

// Kinds returns all kinds, in the order of their numbers.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kindNames)) }

// ErrKind says that a text is not the name of a kind of requests.
var ErrKind = errors.New("takedown: it is none of the kinds of requests; see Kinds")

// ParseKind reads the stable name of a kind. The error is [ErrKind].
func ParseKind(name string) (Kind, error) {
	for k, n := range kindNames {
		if n == name {
			return k, nil
		}
	}
	return 0, ErrKind
}

// String returns the stable name of the kind.
func (k Kind) String() string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}
