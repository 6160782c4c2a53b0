package request

import (
	"github.com/staydown/staydown/takedown"
)

// A requestType is what is known of one kind of request.
type requestType struct {
	decode func([]byte) (Request, error)
	empty  Request // for the schema and for forms
	// regime is the law whose clocks run; see desk.Deadlines.
	regime Regime
	// reply says that it is about another case and blocks nothing itself.
	reply bool
}

// requestTypes has one row for each kind of request.
var requestTypes = map[takedown.Kind]requestType{
	KindImageOptOut:    {empty: ImageOptOut{}, decode: decode[ImageOptOut], regime: RegimeOperator},
	KindOpenOptOut:     {empty: OpenOptOut{}, decode: decode[OpenOptOut], regime: RegimeOperator},
	KindFaceOptOut:     {empty: FaceOptOut{}, decode: decode[FaceOptOut], regime: RegimeOperator},
	KindDSANotice:      {empty: DSANotice{}, decode: decode[DSANotice], regime: RegimeDSA},
	KindDMCANotice:     {empty: DMCANotice{}, decode: decode[DMCANotice], regime: RegimeDMCA},
	KindGDPRRequest:    {empty: GDPRRequest{}, decode: decode[GDPRRequest], regime: RegimeGDPR},
	KindIntimateImage:  {empty: IntimateImage{}, decode: decode[IntimateImage], regime: RegimeTakeItDown},
	KindAuthorityOrder: {empty: AuthorityOrder{}, decode: decode[AuthorityOrder], regime: RegimeOrder},
	KindHashEntry:      {empty: HashEntry{}, decode: decode[HashEntry], regime: RegimeOperator},
	KindPreference:     {empty: Preference{}, decode: decode[Preference], regime: RegimeOperator},
	KindThaiNotice:     {empty: ThaiNotice{}, decode: decode[ThaiNotice], regime: RegimeThaiCCA},
	KindCounterNotice:  {empty: CounterNotice{}, decode: decode[CounterNotice], regime: RegimeDMCA, reply: true},
	KindObjection:      {empty: Objection{}, decode: decode[Objection], regime: RegimeOperator, reply: true},
	KindComplaint:      {empty: Complaint{}, decode: decode[Complaint], regime: RegimeDSA, reply: true},
	KindWithdrawal:     {empty: Withdrawal{}, decode: decode[Withdrawal], regime: RegimeOperator, reply: true},
}

// New returns an empty request of a kind, or nil if the kind does not exist.
func New(k takedown.Kind) Request { return requestTypes[k].empty }

// IsReply reports whether requests of a kind are about another case and block
// nothing themselves.
func IsReply(k takedown.Kind) bool { return requestTypes[k].reply }

// Item is one thing that a request wants blocked: an address, a picture, a hash,
// or a face. An Item does not hold the address, picture, hash or face.
type Item struct {
	// Field is the path of the field of the request that it comes from.
	Field string   `json:"field"`
	Kind  ItemKind `json:"kind"`
	// MaxScope is the widest scope that can be granted for it.
	MaxScope takedown.Scope `json:"max_scope"`
	// MaybePage reports that the address may be that of a page: it was given as that
	// of a picture, and it does not look like one. The desk blocks it as both, unless
	// the reviewer decides: see desk.ItemDecision.
	MaybePage bool `json:"maybe_page,omitempty"`
	// Found is what the operator's index has at the address. It is FoundUnknown
	// without a look-up.
	Found Found `json:"found,omitempty"`
}

// Found is what an operator's index has at an address.
type Found string

const (
	FoundUnknown Found = "" // nobody has looked
	FoundPicture Found = "picture"
	FoundPage    Found = "page"
	FoundNothing Found = "nothing" // the address is not in the index
)

// ItemKind is the type of an item of a request.
type ItemKind string

const (
	ItemImageURL ItemKind = "image_url"
	ItemPageURL  ItemKind = "page_url"
	ItemPicture  ItemKind = "picture"
	ItemHash     ItemKind = "hash"
	ItemFace     ItemKind = "face"
	ItemHost     ItemKind = "host" // all addresses on a host, and on hosts below it
)

// Regime is a set of rules whose clocks run for a case.
type Regime string

const (
	RegimeOperator   Regime = "operator"     // the operator's own terms
	RegimeDSA        Regime = "dsa"          // Regulation (EU) 2022/2065
	RegimeDMCA       Regime = "dmca"         // 17 U.S.C. 512
	RegimeGDPR       Regime = "gdpr"         // Regulation (EU) 2016/679
	RegimeUKGDPR     Regime = "uk_gdpr"      // the UK GDPR
	RegimeTakeItDown Regime = "take_it_down" // 47 U.S.C. 223a
	RegimeOrder      Regime = "order"        // orders of authorities
	RegimePDPA       Regime = "pdpa"         // the Personal Data Protection Act of Thailand
	RegimeThaiCCA    Regime = "thai_cca"     // the Computer Crime Act of Thailand
	RegimeUKOSA      Regime = "uk_osa"       // the Online Safety Act of the UK
	RegimeIndia      Regime = "india"        // the IT Rules of India
)

// Flag is a note on a case for its reviewers. Flags have no effect by themselves,
// except that risky flags require a second reviewer.
type Flag string

const (
	// FlagChildSafety: a minor is, or may be, shown. Pass the case to the people
	// responsible for child safety at once.
	FlagChildSafety Flag = "child_safety"
	// FlagTrustedFlagger: sent as a trusted flagger. The case has priority once
	// the status is checked.
	FlagTrustedFlagger Flag = "trusted_flagger"
	// FlagAuthority: sent as a court or authority. See desk.Desk.ConfirmAuthority.
	FlagAuthority Flag = "authority"
	// FlagMaybePage: an address that was given as that of a picture may be that of a
	// page. See [Item].MaybePage.
	FlagMaybePage Flag = "maybe_page"
)
