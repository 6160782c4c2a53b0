package blocklist

import (
	"fmt"
	"time"

	"github.com/staydown/staydown/phash"
)

// Width says how far around the picture of a request a rule reaches. The values
// are stored and never change their meaning; zero is invalid.
type Width uint8

const (
	// WidthURL blocks the given addresses and nothing else.
	WidthURL Width = 1
	// WidthBytes blocks the same file at any address.
	WidthBytes Width = 2
	// WidthIdentical blocks the same picture, re-encoded or resized.
	WidthIdentical Width = 3
	// WidthDuplicate blocks the same picture, also mirrored, cropped, captioned.
	WidthDuplicate Width = 4
	// WidthFace blocks every picture in which a face appears.
	WidthFace Width = 5
)

// String returns "url", "bytes", "identical", "duplicate", "face" or "Width(n)".
func (w Width) String() string {
	if names := [...]string{"", "url", "bytes", "identical", "duplicate", "face"}; w > 0 && int(w) < len(names) {
		return names[w]
	}
	return fmt.Sprintf("Width(%d)", uint8(w))
}

// Effect says what is to happen with what a rule covers. The values are stored
// and never change their meaning; zero is invalid.
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

// Rule is what one granted request blocks. It never holds a name, an email
// address, a text or a plain address.
type Rule struct {
	Width  Width
	Effect Effect
	// Case refers to the case of the request; the list does not look into it.
	Case [16]byte
	// Kind is the kind of the request; the list does not look into it.
	Kind uint8
	// Territories are where the rule holds. None means worldwide.
	Territories []Territory
	// Start and End bound the time in which the rule holds: from Start on,
	// until just before End, to the second. Zero means at once, and for ever.
	Start, End time.Time
	// Keys are what it blocks.
	Keys Keys
}

// Keys are ways to recognise a picture.
type Keys struct {
	Addresses []Address
	Bytes     [][32]byte // SHA-256 of files
	Hashes    []HashKey
	// Features are local features in their compact form; at most MaxFeatures.
	Features []Features
	// Faces belong to added rules of WidthFace only; List.SealFaces makes them.
	// At most MaxFaces.
	Faces []Face
}

// Len returns the number of keys.
func (k Keys) Len() int {
	return len(k.Addresses) + len(k.Bytes) + len(k.Hashes) + len(k.Features) + len(k.Faces)
}

// Address is the key of an address: see State.Digest.
type Address struct {
	Kind   AddressKind
	Digest Digest
}

// HashKey is a perceptual hash, and which variant of the picture gave it; the
// list hands the variant back in Hit.Variant and does not look into it.
type HashKey struct {
	Hash    phash.Hash
	Variant uint8
}

// EventType says what an event does. The values are stored and never change
// their meaning; zero is invalid.
type EventType uint8

const (
	// EventAdded adds a rule. Its sequence number is the rule's public id.
	EventAdded EventType = 1
	// EventLearned adds keys, under which a copy was found, to the rule Target.
	EventLearned EventType = 2
	// EventExcepted names pictures, by file or hash, that the rule Target must
	// leave alone. With Target 0 they are common ones, which no rule must take for
	// its own picture: see State.CommonDistance.
	EventExcepted EventType = 3
	// EventRevoked ends the rule Target, with all that was learned for it and
	// excepted from it. A rule that has ended does not come back.
	EventRevoked EventType = 4
	// EventUndone undoes the learned or excepted event Target.
	EventUndone EventType = 5
)

// String returns "added", "learned", "excepted", "revoked", "undone" or
// "EventType(n)".
func (t EventType) String() string {
	if names := [...]string{"", "added", "learned", "excepted", "revoked", "undone"}; t > 0 && int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("EventType(%d)", uint8(t))
}

// Event is one step of a list. Append gives it its sequence number.
//
// An event whose Target is not there, or is of another type, or has ended, is
// accepted and has no effect: what it would change is gone already.
type Event struct {
	// Seq is the position in the journal, from 1 on, without gaps. Append
	// ignores it.
	Seq uint64
	// ID is chosen by the caller, at random or derived from the cause, and not
	// zero. A second event with the same ID is not appended.
	ID [16]byte
	// List is the tenant, as in Options.List.
	List uint32
	// Time is when it was decided, to the second; Append replaces a zero Time.
	Time time.Time
	Type EventType
	// Rule belongs to EventAdded only.
	Rule *Rule
	// Target is the sequence number of the event that this one refers to: the
	// added event of a rule, or the event to undo. Only EventExcepted can have
	// none.
	Target uint64
	// Keys belong to EventLearned, without faces, and to EventExcepted, without
	// addresses and features too.
	Keys Keys
	// Until is when a learned or excepted event ends by itself, to the second.
	// Zero means together with its rule.
	Until time.Time
}

// Limits of an event. They bound what a damaged length can make a reader
// allocate.
const (
	// MaxKeys is the largest number of keys in one event.
	MaxKeys = 1 << 16
	// maxRecord is the largest encoded event in bytes.
	maxRecord = 1 << 22
)

// check returns what is wrong with an event as Append takes it.
func (e *Event) check(list uint32) *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: field, Why: why} }
	if e.ID == [16]byte{} {
		return fail("ID", "is zero; choose one that is random or derived from the cause")
	}
	if e.List != list {
		return fail("List", fmt.Sprintf("is %d; this list is %d", e.List, list))
	}
	if !wholeSecond(e.Time) && !e.Time.IsZero() {
		return fail("Time", notWhole)
	}
	keys := e.Keys
	switch e.Type {
	case EventAdded:
		switch {
		case e.Rule == nil:
			return fail("Rule", "is missing")
		case e.Target != 0:
			return fail("Target", "must be 0 in an added event")
		case e.Keys.Len() != 0:
			return fail("Keys", "must be empty in an added event; those of a rule are in Rule.Keys")
		case !e.Until.IsZero():
			return fail("Until", "must be zero in an added event; Rule.End ends a rule")
		}
		if err := e.Rule.check(); err != nil {
			return err
		}
		keys = e.Rule.Keys
	case EventLearned, EventExcepted, EventRevoked, EventUndone:
		if e.Rule != nil {
			return fail("Rule", "belongs to added events only")
		}
		if e.Target == 0 && e.Type != EventExcepted {
			return fail("Target", "is zero")
		}
	default:
		return fail("Type", fmt.Sprintf("%v is no type of event", e.Type))
	}
	switch e.Type {
	case EventLearned, EventExcepted:
		if e.Keys.Len() == 0 {
			return fail("Keys", "are missing")
		}
		if len(e.Keys.Faces) > 0 {
			return fail("Keys.Faces", "belong to added rules only; a face is registered by its person, and a picture is excepted by file or hash")
		}
		if e.Type == EventExcepted && len(e.Keys.Addresses) > 0 {
			return fail("Keys.Addresses", "cannot be excepted; a picture is excepted by file or hash")
		}
		if e.Type == EventExcepted && len(e.Keys.Features) > 0 {
			return fail("Keys.Features", "cannot be excepted; a picture is excepted by file or hash")
		}
		if !e.Until.IsZero() && !wholeSecond(e.Until) {
			return fail("Until", notWhole)
		}
	case EventRevoked, EventUndone:
		if e.Keys.Len() != 0 {
			return fail("Keys", "belong to learned and excepted events only")
		}
		if !e.Until.IsZero() {
			return fail("Until", "belongs to learned and excepted events only")
		}
	}
	err := keys.check()
	if err != nil && e.Rule != nil {
		err.Field = "Rule." + err.Field
	}
	return err
}

func (r *Rule) check() *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: "Rule." + field, Why: why} }
	if r.Width < WidthURL || r.Width > WidthFace {
		return fail("Width", fmt.Sprintf("%v is no width", r.Width))
	}
	if r.Effect < EffectBlock || r.Effect > EffectReview {
		return fail("Effect", fmt.Sprintf("%v is no effect", r.Effect))
	}
	seen := make(map[Territory]bool, len(r.Territories))
	for _, t := range r.Territories {
		if !t.isAssigned() || seen[t] {
			return fail("Territories", "hold a code that is not assigned, or one twice")
		}
		seen[t] = true
	}
	if !r.Start.IsZero() && !wholeSecond(r.Start) {
		return fail("Start", notWhole)
	}
	if !r.End.IsZero() && !wholeSecond(r.End) {
		return fail("End", notWhole)
	}
	if !r.End.IsZero() && !r.Start.Before(r.End) {
		return fail("End", "is not after Start")
	}
	if len(r.Keys.Faces) > 0 && r.Width != WidthFace {
		return fail("Keys.Faces", fmt.Sprintf("belong to rules of width %v; this one has %v", WidthFace, r.Width))
	}
	return nil
}

func (k Keys) check() *EventError {
	fail := func(field, why string) *EventError { return &EventError{Field: "Keys." + field, Why: why} }
	if k.Len() > MaxKeys {
		return &EventError{Field: "Keys", Why: fmt.Sprintf("are %d; at most %d are accepted", k.Len(), MaxKeys)}
	}
	for _, a := range k.Addresses {
		if a.Kind != ImageAddress && a.Kind != PageAddress {
			return fail("Addresses", fmt.Sprintf("hold one of kind %v", a.Kind))
		}
	}
	for _, h := range k.Hashes {
		if h.Hash.Algorithm().Bits() == 0 {
			return fail("Hashes", fmt.Sprintf("hold one of algorithm %v", h.Hash.Algorithm()))
		}
	}
	if why := checkFeatures(k.Features); why != "" {
		return fail("Features", why)
	}
	if why := checkFaces(k.Faces); why != "" {
		return fail("Faces", why)
	}
	return nil
}

const notWhole = "has a fraction of a second, is the first second of 1970, or lies outside of the years 1 to 9999"

// wholeSecond reports whether t can be stored as a number of seconds that is
// not zero, which stands for no time.
func wholeSecond(t time.Time) bool {
	return t.Nanosecond() == 0 && t.Unix() != 0 && t.Year() >= 1 && t.Year() <= 9999
}
