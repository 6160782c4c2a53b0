package blocklist

import (
	"fmt"
	"strings"
)

// Territory is a country or area of ISO 3166-1, by its two-letter code. It is a
// small value: compare it with ==. The zero Territory is no territory.
type Territory struct{ a, b byte }

// assigned holds the officially assigned alpha-2 codes of ISO 3166-1.
const assigned = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ " +
	"BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ " +
	"DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY " +
	"HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY " +
	"MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA " +
	"RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ " +
	"TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ " +
	"VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"

// ParseTerritory reads an officially assigned two-letter code of ISO 3166-1,
// in upper or lower case. UK is read as GB and EL as GR, because websites and
// institutions of the EU write them so.
func ParseTerritory(code string) (Territory, error) {
	if len(code) == 2 {
		t := Territory{code[0] &^ 0x20, code[1] &^ 0x20}
		switch t {
		case Territory{'U', 'K'}:
			t = Territory{'G', 'B'}
		case Territory{'E', 'L'}:
			t = Territory{'G', 'R'}
		}
		if t.isAssigned() {
			return t, nil
		}
	}
	return Territory{}, fmt.Errorf("blocklist: territory of %d bytes is no officially assigned two-letter code of ISO 3166-1, such as DE", len(code))
}

func (t Territory) isAssigned() bool {
	return 'A' <= t.a && t.a <= 'Z' && 'A' <= t.b && t.b <= 'Z' && strings.Contains(assigned, t.String())
}

// IsZero reports whether t is the zero Territory.
func (t Territory) IsZero() bool { return t == Territory{} }

// String returns the two-letter code in upper case, "" for the zero Territory.
func (t Territory) String() string {
	if t.IsZero() {
		return ""
	}
	return string([]byte{t.a, t.b})
}
