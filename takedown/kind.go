package takedown

import (
	"encoding/json"
	"fmt"
)

// Kind is the kind of a request. The values are stored with cases and rules
// and never change their meaning.
type Kind uint8

const (
	// KindImageOptOut asks for a picture and all its copies to go: see
	// [ImageOptOut].
	KindImageOptOut Kind = 1
	// KindDSANotice is a notice of illegal content at given addresses: see
	// [DSANotice].
	KindDSANotice Kind = 2
)

// requestTypes has one row for each kind of request: its stable name and how
// it is read from JSON.
var requestTypes = map[Kind]struct {
	name   string
	decode func([]byte) (Request, error)
}{
	KindImageOptOut: {"image_opt_out", decode[ImageOptOut]},
	KindDSANotice:   {"dsa_notice", decode[DSANotice]},
}

func decode[T Request](b []byte) (Request, error) {
	var r T
	err := json.Unmarshal(b, &r)
	return r, err
}

// String returns the stable name of the kind.
func (k Kind) String() string {
	if t, ok := requestTypes[k]; ok {
		return t.name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}
