package phash

import (
	"database/sql/driver"
	"fmt"
)

// Scan implements sql.Scanner. It accepts NULL, which is the zero Hash; text that
// [Parse] accepts, also as bytes; the 32 bytes of a PDQ hash; and the form of
// [Hash.AppendBinary].
//
// Other columns do not contain their algorithm, for example an integer. Read those
// into a variable of their own type and call [FromBytes] or [FromPerception].
// Errors wrap [ErrHashForm], or are of type [*ParseError]. After an error h is
// unchanged.
func (h *Hash) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*h = Hash{}
		return nil
	case string:
		return h.UnmarshalText([]byte(v))
	case []byte:
		return h.scanBytes(v)
	case int64:
		return fmt.Errorf("phash: cannot scan an integer, which does not tell its algorithm; "+
			"scan into an int64 and call FromPerception(uint64(v)) if goimagehash's perception hash is in it: %w", ErrHashForm)
	}
	return fmt.Errorf("phash: cannot scan a %T: %w", src, ErrHashForm)
}

// scanBytes tells the forms apart by their length: texts have an even one that
// is not 32, and the form of AppendBinary has an odd one.
func (h *Hash) scanBytes(b []byte) error {
	if len(b)%2 == 1 {
		if a := Algorithm(b[0]); a.IsValid() && len(b) == 1+a.Bits()/8 {
			return h.UnmarshalBinary(b)
		}
	}
	if len(b) == 32 {
		p, err := FromPDQSlice(b)
		if err != nil {
			return err
		}
		*h = p
		return nil
	}
	if len(b) == 8 {
		return fmt.Errorf("phash: 8 bytes do not tell their algorithm; "+
			"scan into a []byte and call FromBytes: %w", ErrHashForm)
	}
	return h.UnmarshalText(b)
}

// Value implements driver.Valuer: the text form, and NULL for the zero Hash.
func (h Hash) Value() (driver.Value, error) {
	if h.IsZero() {
		return nil, nil
	}
	return h.String(), nil
}
