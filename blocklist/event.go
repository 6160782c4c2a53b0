package blocklist

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/phash"
)

// Scope is how far a rule reaches around the picture of a request. The values are
// stored and never change their meaning; zero is invalid.
type Scope uint8

const (
	// ScopeURL blocks the given addresses and nothing else.
	ScopeURL Scope = 1
	// ScopeBytes blocks the same file at any address.
	ScopeBytes Scope = 2
	// ScopeIdentical blocks the same picture, re-encoded or resized.
	ScopeIdentical Scope = 3
	// ScopeDuplicate blocks the same picture, also mirrored, cropped, captioned.
	ScopeDuplicate Scope = 4
	// ScopeFace blocks every picture in which a face appears.
	ScopeFace Scope = 5
	// ScopeHost blocks all addresses on a host and on those below it.
	ScopeHost Scope = 6
	// ScopePrefix blocks all addresses on a host whose path begins with the same
	// segments.
	ScopePrefix Scope = 7
)

// String returns "url", "bytes", "identical", "duplicate", "face", "host", "prefix" or "Scope(n)".
func (w Scope) String() string {
	if w > 0 && int(w) < len(scopeNames) {
		return scopeNames[w]
	}
	return fmt.Sprintf("Scope(%d)", uint8(w))
}

var scopeNames = [...]string{"", "url", "bytes", "identical", "duplicate", "face", "host", "prefix"}

// ParseScope reads the name of a scope, as [Scope.String] writes it.
func ParseScope(name string) (Scope, error) {
	if i := slices.Index(scopeNames[:], name); i > 0 {
		return Scope(i), nil
	}
	return 0, fmt.Errorf("blocklist: not a scope; %s are", strings.Join(scopeNames[1:], ", "))
}

// Effect is the effect of a rule on the images that it covers. The values are
// stored and never change their meaning; zero is invalid.
type Effect uint8

const (
	// EffectBlock takes it away.
	EffectBlock Effect = 1
	// EffectReview holds it for a person.
	EffectReview Effect = 2
)

// String returns "block", "review" or "Effect(n)".
func (e Effect) String() string {
	if names := [...]string{"", "block", "review"}; e > 0 && int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("Effect(%d)", uint8(e))
}

// Rule is the set of keys and terms that one granted request blocks. It never
// holds a name, an email address, a text or a plain address.
type Rule struct {
	Scope  Scope
	Effect Effect
	// Case refers to the case of the request; the list does not interpret it.
	Case [16]byte
	// Kind is the kind of the request; the list does not interpret it.
	Kind uint8
	// Territories are where the rule holds. Empty means worldwide.
	Territories []Territory
	// Start and End bound the time in which the rule holds: from Start on, until
	// just before End, to the second. A zero Start means at once, a zero End means
	// for ever.
	Start, End time.Time
	// Purposes, unless zero, are the only uses that the rule restricts: see
	// State.For.
	Purposes Purposes
	// Keys are the keys that the rule blocks.
	Keys Keys
}

// Keys are ways to recognise a picture.
type Keys struct {
	Addresses []Address
	Bytes     [][32]byte // SHA-256 of files
	SHA1      [][20]byte // of files, from lists that have no SHA-256
	MD5       [][16]byte // the same
	Hashes    []HashKey
	// Features are local features in their compact form; at most MaxFeatures.
	Features []Features
	// FeatureViews, unless nil, has for each of the Features the number of its
	// View, as HashKey.View.
	FeatureViews []uint8
	// Faces belong to added rules of ScopeFace only; List.SealFaces makes them.
	// At most MaxFaces.
	Faces []Face
	// Views are the parts of files that hashes and features were computed from; at
	// most MaxViews.
	Views []View
}

// Len returns the number of keys.
func (k Keys) Len() int {
	return len(k.Addresses) + len(k.Bytes) + len(k.SHA1) + len(k.MD5) + len(k.Hashes) + len(k.Features) + len(k.Faces)
}

// Address is the key of an address: see State.Digest.
type Address struct {
	Kind   AddressKind
	Digest Digest
}

// scope returns the scope of rules that have addresses of this kind.
func (k AddressKind) scope() Scope {
	switch k {
	case HostAddress:
		return ScopeHost
	case PrefixAddress:
		return ScopePrefix
	}
	return ScopeURL
}

// HashKey is a perceptual hash, and the form of the picture that it was computed
// from.
type HashKey struct {
	Hash phash.Hash
	// Variant is the transform of the picture that gave the hash. The list returns
	// it in Hit.Variant and does not look into it.
	Variant uint8
	// Reach is the maximum distance of a match with the hash, if that is less than
	// the radius of the query.
	Reach Reach
	// View is the number of the View in Keys.Views, from 1 on, or 0.
	View uint8
}

// EventType is the action of an event. The values are stored and never change
// their meaning; zero is invalid.
type EventType uint8

const (
	// EventAdded adds a rule. Its sequence number is the rule's public id.
	EventAdded EventType = 1
	// EventDerived adds keys, under which a copy was found, to the rule Target.
	EventDerived EventType = 2
	// EventException names pictures, by file or hash, that the rule Target must
	// not match. With Target 0 the pictures are excepted from all rules (the allow
	// list): see State.AllowedDistance.
	EventException EventType = 3
	// EventRevoked ends the rule Target, with its derived keys and exceptions. An
	// ended rule does not become active again.
	EventRevoked EventType = 4
	// EventReverted reverts the derived or exception event Target.
	EventReverted EventType = 5
)

// String returns "added", "derived", "exception", "revoked", "reverted" or
// "EventType(n)".
func (t EventType) String() string {
	if names := [...]string{"", "added", "derived", "exception", "revoked", "reverted"}; t > 0 && int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("EventType(%d)", uint8(t))
}

// Event is one step of a list. Append assigns its sequence number.
//
// An event whose Target does not exist, is of another type, or has ended, is
// accepted and has no effect.
type Event struct {
	// Seq is the position in the journal, from 1 on, without gaps. Append
	// ignores it.
	Seq uint64
	// ID is chosen by the caller, at random or derived from the cause, and not
	// zero. A second event with the same ID is not appended.
	ID [16]byte
	// List is the tenant, as in Options.List.
	List uint32
	// Time is the time of the decision, to the second; Append replaces a zero
	// Time.
	Time time.Time
	Type EventType
	// Rule belongs to EventAdded only.
	Rule *Rule
	// Target is the sequence number of the event that this one refers to: the
	// added event of a rule, or the event to undo. It is required, except for
	// EventException.
	Target uint64
	// Keys belong to EventDerived, without faces, and to EventException, without
	// addresses and features too.
	Keys Keys
	// Until is when a derived key or an exception ends by itself, to the second.
	// Zero means together with its rule.
	Until time.Time
	// Batch, unless zero, is the same for all events of one move or import. The
	// list does not interpret it.
	Batch [16]byte
	// Salt hides the payload in its digest. Append chooses it.
	Salt [16]byte
	// Erased, unless zero, is the digest that is left of an event whose salt and
	// payload were destroyed. Only events that are read have it; Rule, Keys and
	// Until are zero then.
	Erased [32]byte
	// Extra are optional fields that a newer version wrote, ascending by tag. They
	// are written again with the event.
	Extra []Field
}

// Field is a field of a record that this version does not know and may ignore:
// docs/format/record.md.
type Field struct {
	Tag   uint64
	Value []byte
}

// IsErased reports whether the payload of the event was destroyed.
func (e *Event) IsErased() bool { return e.Erased != [32]byte{} }

// Limits of an event. They bound what a damaged length can make a reader
// allocate.
const (
	// MaxKeys is the largest number of keys in one event.
	MaxKeys = 1 << 16
	// MaxViews is the largest number of views in one event.
	MaxViews = 255
	// maxRecord is the largest encoded event in bytes.
	maxRecord = 1 << 22
)

// check returns what is wrong with an event as Append takes it. An event that
// was erased is in order if its header is.
func (e *Event) check(list uint32) *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: field, Why: why} }
	switch {
	case e.ID == [16]byte{}:
		return fail("ID", "is zero; choose one that is random or derived from the cause")
	case e.List != list:
		return fail("List", fmt.Sprintf("is %d; this list is %d", e.List, list))
	case !wholeSecond(e.Time) && !e.Time.IsZero():
		return fail("Time", notWhole)
	case e.Type < EventAdded || e.Type > EventReverted:
		return fail("Type", fmt.Sprintf("%v is no type of event", e.Type))
	case e.Type == EventAdded && e.Target != 0:
		return fail("Target", "must be 0 in an added event")
	case e.Type != EventAdded && e.Type != EventException && e.Target == 0:
		return fail("Target", "is zero")
	}
	if why := checkExtra(e.Extra); why != "" {
		return fail("Extra", why)
	}
	if e.IsErased() {
		if e.Rule != nil || e.Keys.Len() != 0 || !e.Until.IsZero() {
			return fail("Erased", "is set beside a payload")
		}
		return nil
	}
	return e.checkPayload()
}

func (e *Event) checkPayload() *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: field, Why: why} }
	if e.Type == EventAdded {
		switch {
		case e.Rule == nil:
			return fail("Rule", "is missing")
		case e.Keys.Len() != 0 || len(e.Keys.Views) != 0:
			return fail("Keys", "must be empty in an added event; those of a rule are in Rule.Keys")
		case !e.Until.IsZero():
			return fail("Until", "must be zero in an added event; Rule.End ends a rule")
		}
		err := e.Rule.check()
		if err == nil {
			err = e.Rule.Keys.check()
		}
		if err != nil {
			err.Field = "Rule." + err.Field
		}
		return err
	}
	switch {
	case e.Rule != nil:
		return fail("Rule", "belongs to added events only")
	case !e.Until.IsZero() && !wholeSecond(e.Until):
		return fail("Until", notWhole)
	}
	if e.Type == EventDerived || e.Type == EventException {
		if err := e.checkDerived(); err != nil {
			return err
		}
		return e.Keys.check()
	}
	switch {
	case e.Keys.Len() != 0 || len(e.Keys.Views) != 0:
		return fail("Keys", "belong to learned and excepted events only")
	case !e.Until.IsZero():
		return fail("Until", "belongs to learned and excepted events only")
	}
	return nil
}

// checkDerived looks for keys that can be neither learned nor excepted.
func (e *Event) checkDerived() *EventError {
	k := &e.Keys
	fail := func(field, why string) *EventError { return &EventError{Field: field, Why: why} }
	if k.Len() == 0 {
		return fail("Keys", "are missing")
	}
	if len(k.Faces) > 0 {
		return fail("Keys.Faces", "belong to added rules only; a face is registered by its person, and a picture is excepted by file or hash")
	}
	if e.Type == EventDerived {
		if slices.ContainsFunc(k.Addresses, func(a Address) bool { return a.Kind.scope() >= ScopeHost }) {
			return fail("Keys.Addresses", "hold a host or a prefix, which belong to added rules only")
		}
		return nil
	}
	for _, x := range []struct {
		name string
		n    int
	}{{"Addresses", len(k.Addresses)}, {"SHA1", len(k.SHA1)}, {"MD5", len(k.MD5)}, {"Features", len(k.Features)}, {"Views", len(k.Views)}} {
		if x.n > 0 {
			return fail("Keys."+x.name, "cannot be excepted; a picture is excepted by file or hash")
		}
	}
	return nil
}

func (r *Rule) check() *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: field, Why: why} }
	if r.Scope < ScopeURL || r.Scope > ScopePrefix {
		return fail("Scope", fmt.Sprintf("%v is no scope", r.Scope))
	}
	if r.Effect < EffectBlock || r.Effect > EffectReview {
		return fail("Effect", fmt.Sprintf("%v is no effect", r.Effect))
	}
	if r.Purposes&^allPurposes != 0 {
		return fail("Purposes", fmt.Sprintf("%v are not known", r.Purposes))
	}
	seen := make(map[Territory]bool, len(r.Territories))
	for _, t := range r.Territories {
		if !t.isAssigned() || seen[t] {
			return fail("Territories", "hold a code that is not assigned, or one twice")
		}
		seen[t] = true
	}
	switch {
	case !r.Start.IsZero() && !wholeSecond(r.Start):
		return fail("Start", notWhole)
	case !r.End.IsZero() && !wholeSecond(r.End):
		return fail("End", notWhole)
	case !r.End.IsZero() && !r.Start.Before(r.End):
		return fail("End", "is not after Start")
	case r.Scope >= ScopeHost && r.Keys.Len() != len(r.Keys.Addresses):
		return fail("Keys", fmt.Sprintf("of a rule of scope %v must be addresses of that kind", r.Scope))
	case slices.ContainsFunc(r.Keys.Addresses, func(a Address) bool { return a.Kind.scope() != r.Scope && max(r.Scope, a.Kind.scope()) >= ScopeHost }):
		return fail("Keys.Addresses", fmt.Sprintf("hold one of a kind that does not belong to a rule of scope %v", r.Scope))
	case len(r.Keys.Faces) > 0 && r.Scope != ScopeFace:
		return fail("Keys.Faces", fmt.Sprintf("belong to rules of scope %v; this one has %v", ScopeFace, r.Scope))
	}
	return nil
}

func (k *Keys) check() *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: "Keys." + field, Why: why} }
	if k.Len() > MaxKeys {
		return &EventError{Field: "Keys", Why: fmt.Sprintf("are %d; at most %d are accepted", k.Len(), MaxKeys)}
	}
	for _, a := range k.Addresses {
		if a.Kind < ImageAddress || a.Kind > PrefixAddress {
			return fail("Addresses", fmt.Sprintf("hold one of kind %v", a.Kind))
		}
	}
	if why := checkFeatures(k.Features); why != "" {
		return fail("Features", why)
	}
	if why := checkFaces(k.Faces); why != "" {
		return fail("Faces", why)
	}
	return k.checkViews()
}

// checkViews looks at the views, and at what refers to them.
func (k *Keys) checkViews() *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: "Keys." + field, Why: why} }
	if len(k.Views) > MaxViews {
		return fail("Views", fmt.Sprintf("are %d; at most %d are accepted", len(k.Views), MaxViews))
	}
	for i := range k.Views {
		if why := k.Views[i].check(); why != "" {
			return fail("Views", why)
		}
	}
	for _, h := range k.Hashes {
		switch {
		case !h.Hash.Algorithm().IsValid():
			return fail("Hashes", fmt.Sprintf("hold one of algorithm %v", h.Hash.Algorithm()))
		case int(h.View) > len(k.Views):
			return fail("Hashes", fmt.Sprintf("hold one of view %d; there are %d", h.View, len(k.Views)))
		}
	}
	if k.FeatureViews != nil && len(k.FeatureViews) != len(k.Features) {
		return fail("FeatureViews", fmt.Sprintf("are %d; there are %d features", len(k.FeatureViews), len(k.Features)))
	}
	for _, n := range k.FeatureViews {
		if int(n) > len(k.Views) {
			return fail("FeatureViews", fmt.Sprintf("hold view %d; there are %d", n, len(k.Views)))
		}
	}
	return nil
}

const notWhole = "has a fraction of a second, is the first second of 1970, or lies outside of the years 1 to 9999"

// wholeSecond reports whether t can be stored as a number of seconds that is
// not zero, which stands for no time.
func wholeSecond(t time.Time) bool {
	return t.Nanosecond() == 0 && t.Unix() != 0 && t.Year() >= 1 && t.Year() <= 9999
}
