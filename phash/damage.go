package phash

import "fmt"

// Damage describes the damage of a file that was decoded nevertheless, because
// viewers show it too. The zero Damage means that the file is sound.
type Damage struct {
	// Reason is the gravest reason of all that were found.
	Reason DamageReason
	// Missing is the share of the picture that was not decoded, from 0 to 1. The
	// missing part is drawn as viewers draw it: transparent, or grey in a JPEG. A
	// picture without missing parts can still have wrong pixels; see Reason.
	Missing float64
}

// DamageReason is the reason why a picture is damaged. Greater values are graver.
// The values are stored and never change their meaning.
type DamageReason uint8

const (
	// DamageNone: no fault was found.
	DamageNone DamageReason = 0
	// DamageStructure: the file breaks rules of its format, such as a wrong
	// checksum. The pixels are all there.
	DamageStructure DamageReason = 1
	// DamageCut: the data end before the picture does.
	DamageCut DamageReason = 2
	// DamageData: the data of the pixels is wrong. The data behind it is missing
	// or wrong.
	DamageData DamageReason = 3
	// DamageBudget: decoding stopped because it exceeded the limit of work.
	DamageBudget DamageReason = 4
)

// String returns "none", "structure", "cut", "data", "budget" or
// "DamageReason(n)".
func (r DamageReason) String() string {
	switch r {
	case DamageNone:
		return "none"
	case DamageStructure:
		return "structure"
	case DamageCut:
		return "cut"
	case DamageData:
		return "data"
	case DamageBudget:
		return "budget"
	}
	return fmt.Sprintf("DamageReason(%d)", uint8(r))
}

// Visible reports whether the decoded picture may differ from the intended
// picture: a part is missing, or the data of its pixels is wrong.
func (d Damage) Visible() bool { return d.Missing > 0 || d.Reason >= DamageCut }

// String returns the reason and, if something is missing, how much.
func (d Damage) String() string {
	if d.Missing > 0 {
		return fmt.Sprintf("%v, %.1f %% missing", d.Reason, 100*d.Missing)
	}
	return d.Reason.String()
}
