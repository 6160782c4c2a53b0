package takedown

import (
	"errors"
	"fmt"
	"slices"
)

// Kind is the kind of the request that led to a rule. The values are stored with
// cases and rules and never change their meaning; package request names them.
type Kind uint8

// kindNames has the stable name of each kind: the value of "kind" in JSON.
var kindNames = [...]string{
	1:  "image_opt_out",
	2:  "dsa_notice",
	3:  "dmca_notice",
	4:  "counter_notice",
	5:  "objection",
	6:  "gdpr_request",
	7:  "intimate_image",
	8:  "authority_order",
	9:  "hash_entry",
	10: "complaint",
	11: "withdrawal",
	12: "open_opt_out",
	13: "face_opt_out",
	14: "preference",
	15: "thai_notice",
}

var errKind = errors.New("takedown: it is none of the kinds of requests; see request.Kinds")

// ParseKind reads the stable name of a kind.
func ParseKind(name string) (Kind, error) {
	if k := slices.Index(kindNames[:], name); k > 0 {
		return Kind(k), nil
	}
	return 0, errKind
}

// String returns the stable name of the kind.
func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}
