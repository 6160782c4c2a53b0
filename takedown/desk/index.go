package desk

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/staydown/staydown/internal/contact"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// The index of the cases lies in BucketIndex and is written in the transactions
// that write the cases. Its keys have one of the prefixes below. A key has no name,
// no address and no hash of a picture in plain: those are keyed digests, by the
// operator's key, or sealed. docs/decisions/case-index.md has the reasons.
//
// The entries of a case are in groups by what they are made of, and each group is
// replaced as a whole: ixKeys has the keys of a group.
const (
	ixUrgency  = 'q' // state, 0, rank, id → row
	ixNewest   = 'n' // received, negated, id → row
	ixDue      = 'd' // time of the earliest deadline, id
	ixPaused   = 'z' // the same of a case whose clock stands still: its time when it stopped
	ixAbout    = 'r' // the case that a reply is about, id
	ixBegins   = 'b' // start of rules that do not apply yet, id
	ixStarts   = 's' // start of the rules of a case, id
	ixFaceEnds = 'f' // end of faces that were granted for a time, id
	ixPlanned  = 'x' // when Expire has something to do, id
	ixLeft     = 'l' // time 0, id: ended rules of an erased case are still in the files of the list
	ixPerson   = 'w' // digest of a name, an email address or a phone number, id
	ixAddress  = 'a' // digest of an address, id
	ixPicture  = 'p' // digest of a file's SHA-256 or of a hash, id
	ixNear     = 'h' // id → PDQ hashes, sealed
	ixKeys     = 'k' // id, group → the keys of the group, each after its length
)

// Groups of entries.
const (
	groupCase     = 'c'
	groupMaterial = 'm'
	groupPerson   = 'w'
)

// indexVersion is raised whenever the entries of a case change. Open then builds
// the index anew.
const indexVersion = 3

var keyIndex = []byte("index") // in BucketMeta: digest of what the index was built by

// indexTerms are the options that entries depend on.
type indexTerms struct {
	deadlines []Deadline
	calendars map[string]Calendar
	retention Retention
}

// digest tells one set of terms from another.
func (t *indexTerms) digest() []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d %+v %+v", indexVersion, t.deadlines, t.retention)
	for _, name := range slices.Sorted(maps.Keys(t.calendars)) {
		c := t.calendars[name]
		fmt.Fprintf(h, " %q %q %v %q %v", name, c.Version, c.location(), c.Holidays, c.Weekend)
	}
	return h.Sum(nil)
}

// entry is one entry of the index. Most have no value.
type entry struct{ key, value []byte }

// reindex replaces the entries of a group of a case.
func (s *caseStore) reindex(tx StoreTx, id takedown.CaseID, group byte, entries []entry) error {
	list := groupKey(id, group)
	old, err := tx.Get(BucketIndex, list)
	if err != nil {
		return err
	}
	old = bytes.Clone(old)
	before, err := splitKeys(old)
	if err != nil {
		return err
	}
	gone := make(map[string]bool, len(before))
	for _, k := range before {
		gone[string(k)] = true
	}
	keys := joinKeys(entries)
	for _, e := range entries {
		there := gone[string(e.key)]
		delete(gone, string(e.key))
		if there && e.value == nil {
			continue
		}
		if err := tx.Put(BucketIndex, e.key, e.value); err != nil {
			return err
		}
	}
	for k := range gone {
		err = errors.Join(err, tx.Delete(BucketIndex, []byte(k)))
	}
	switch {
	case err != nil || bytes.Equal(old, keys):
		return err
	case len(keys) == 0:
		return tx.Delete(BucketIndex, list)
	}
	return tx.Put(BucketIndex, list, keys)
}

// groupKey is the key under which the keys of a group are.
func groupKey(id takedown.CaseID, group byte) []byte {
	return append(append([]byte{ixKeys}, id[:]...), group)
}

// joinKeys returns the keys of entries, each after its length.
func joinKeys(entries []entry) (keys []byte) {
	for _, e := range entries {
		keys = append(append(keys, byte(len(e.key))), e.key...)
	}
	return keys
}

// splitKeys is the reverse of joinKeys.
func splitKeys(b []byte) (keys [][]byte, err error) {
	for len(b) > 0 {
		n := int(b[0])
		if n >= len(b) {
			return nil, fmt.Errorf("%w: the keys of a case in the index", ErrStore)
		}
		keys, b = append(keys, b[1:1+n]), b[1+n:]
	}
	return keys, nil
}

// ixTime is a time in a key: later times have greater bytes. The zero time comes
// last.
func ixTime(b []byte, t time.Time) []byte {
	u := int64(math.MaxInt64)
	if !t.IsZero() {
		u = t.Unix()
	}
	return binary.BigEndian.AppendUint64(b, uint64(u)^1<<63)
}

// timeOf reads a time of a key.
func timeOf(b []byte) time.Time {
	u := int64(binary.BigEndian.Uint64(b) ^ 1<<63)
	if u == math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(u, 0).UTC()
}

func timed(prefix byte, t time.Time, id takedown.CaseID) entry {
	return entry{key: append(ixTime([]byte{prefix}, t), id[:]...)}
}

// digest is the keyed digest of something that cases are found by.
func (s *caseStore) digest(use, what string) []byte {
	mac := hmac.New(sha256.New, s.operator[:])
	mac.Write([]byte("index " + use + ":" + what))
	return mac.Sum(nil)[:16]
}

func (s *caseStore) digested(prefix byte, use, what string, id takedown.CaseID) entry {
	return entry{key: append(append([]byte{prefix}, s.digest(use, what)...), id[:]...)}
}

// caseEntries are the entries that are made of the case alone.
func (s *caseStore) caseEntries(c *caseRecord) []entry {
	due, paused := s.terms.earliest(&c.Case)
	row := row{
		id: c.ID, state: string(c.State), kind: c.Kind, regime: string(c.Regime), flags: c.Flags,
		priority: priorityOf(&c.Case), due: due, received: c.Received, assignee: c.Assignee, until: c.AssignedUntil,
	}
	value := row.encode()
	entries := []entry{
		{append(append(append([]byte{ixUrgency}, c.State...), 0), row.rank(ByUrgency)...), value},
		{append([]byte{ixNewest}, row.rank(NewestFirst)...), value},
	}
	if !due.IsZero() {
		prefix := byte(ixDue)
		if paused {
			prefix = ixPaused
		}
		entries = append(entries, timed(prefix, due, c.ID))
	}
	if c.About != (takedown.CaseID{}) {
		entries = append(entries, entry{key: append(append([]byte{ixAbout}, c.About[:]...), c.ID[:]...)})
	}
	if c.Begins {
		entries = append(entries, timed(ixBegins, c.Start, c.ID))
	}
	if len(c.Rules) > 0 && !c.Start.IsZero() {
		entries = append(entries, timed(ixStarts, c.Start, c.ID))
	}
	if len(c.Rules) > 0 && !c.End.IsZero() && len(templatesOf(c)) > 0 {
		entries = append(entries, timed(ixFaceEnds, c.End, c.ID))
	}
	if p, ok := s.terms.planned(c); ok {
		entries = append(entries, timed(ixPlanned, p.At, c.ID))
	}
	if c.Erased() && len(c.Past) > 0 {
		entries = append(entries, timed(ixLeft, time.Unix(0, 0), c.ID))
	}
	return entries
}

// earliest returns the earliest time by which something has to be done about a
// case, or zero. If the clock stands still, the time is that of when it stopped,
// and the real one is never earlier.
func (t *indexTerms) earliest(c *Case) (at time.Time, paused bool) {
	var now time.Time
	if n := len(c.Pauses); n > 0 && c.Pauses[n-1].To.IsZero() {
		now = c.Pauses[n-1].From
	}
	for _, x := range due(c, t.deadlines, t.calendars, now) {
		by, ok := x.by()
		if ok && (at.IsZero() || by.Before(at)) {
			at = by
		}
		paused = paused || x.Paused
	}
	return at, paused
}

// priorityOf ranks the cases of a queue before their deadlines do; 0 comes first.
func priorityOf(c *Case) byte {
	switch {
	case slices.Contains(c.Flags, request.FlagChildSafety):
		return 0
	case c.Kind == request.KindIntimateImage:
		return 1
	case c.Kind == request.KindAuthorityOrder, slices.Contains(c.Flags, FlagFlaggerConfirmed), slices.Contains(c.Flags, FlagAuthorityConfirmed):
		return 2
	}
	return 3
}

// materialEntries are the entries of what a case is recognised by.
func (s *caseStore) materialEntries(id takedown.CaseID, mats []request.Material) (entries []entry) {
	add := func(e entry) {
		if !slices.ContainsFunc(entries, func(o entry) bool { return bytes.Equal(o.key, e.key) }) {
			entries = append(entries, e)
		}
	}
	for i := range mats {
		m := &mats[i]
		if m.Address != "" {
			add(s.digested(ixAddress, "address", m.Address, id))
		}
		if m.Bytes != nil {
			add(s.digested(ixPicture, "file", string(m.Bytes[:]), id))
		}
		for _, k := range asItIs(m.Hashes) {
			add(s.digested(ixPicture, "hash", k.Hash.String(), id))
		}
	}
	if near := nearOf(mats); len(near) > 0 {
		entries = append(entries, entry{append([]byte{ixNear}, id[:]...), seal(s.operator, label("near", id), near)})
	}
	return entries
}

// personEntries are the entries of the requester.
func (s *caseStore) personEntries(id takedown.CaseID, who request.Requester) (entries []entry) {
	for _, p := range personDigests(who) {
		entries = append(entries, s.digested(ixPerson, p.use, p.what, id))
	}
	return entries
}

// personTerm is something that a person is found by.
type personTerm struct{ use, what string }

// maxNameWords bounds the words of names that a case is found by.
const maxNameWords = 40

func personDigests(who request.Requester) (terms []personTerm) {
	if e := emailTerm(who.Email); e != "" {
		terms = append(terms, personTerm{"email", e})
	}
	if p, ok := contact.Phone(who.Phone, who.Country); ok {
		terms = append(terms, personTerm{"phone", p})
	}
	var words []string
	for _, name := range []string{who.Name, who.GivenName, who.FamilyName, who.Organisation, who.OnBehalfOf} {
		words = append(words, nameWords(name)...)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	for _, w := range words[:min(len(words), maxNameWords)] {
		terms = append(terms, personTerm{"name", w})
	}
	return terms
}

func emailTerm(email string) string { return strings.ToLower(contact.Email(email)) }

// nameWords splits a name into the words by which it is found: in lower case, and
// without the accents of Latin, Greek and Cyrillic letters.
func nameWords(name string) []string {
	plain := strings.Map(func(r rune) rune {
		if r >= 0x300 && r < 0x370 {
			return -1
		}
		return r
	}, norm.NFKD.String(strings.ToLower(name)))
	return strings.FieldsFunc(plain, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}

// buildIndex builds the index anew if it was built by another indexVersion, other
// options or another operator key. Until it is complete, keyIndex is not there.
func (s *caseStore) buildIndex() error {
	want := append(s.terms.digest(), s.digest("key", "")...)
	var is []byte
	if err := s.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketMeta, keyIndex)
		is = bytes.Clone(b)
		return err
	}); err != nil || bytes.Equal(is, want) {
		return err
	}
	if err := s.db.Update(func(tx StoreTx) error { return tx.Delete(BucketMeta, keyIndex) }); err != nil {
		return err
	}
	for more := true; more; {
		if err := s.db.Update(func(tx StoreTx) (err error) {
			more, err = deleteSome(tx, BucketIndex, nil, 10_000)
			return err
		}); err != nil {
			return err
		}
	}
	for from, more := []byte(nil), true; more; {
		if err := s.db.Update(func(tx StoreTx) (err error) {
			from, more, err = s.indexSome(tx, from, 500)
			return err
		}); err != nil {
			return err
		}
	}
	return s.db.Update(func(tx StoreTx) error { return tx.Put(BucketMeta, keyIndex, want) })
}

// deleteSome deletes up to n keys with a prefix. more reports that there may be
// others.
func deleteSome(tx StoreTx, b Bucket, prefix []byte, n int) (more bool, err error) {
	var keys [][]byte
	err = tx.Scan(b, prefix, nil, func(k, _ []byte) error {
		if len(keys) == n {
			return errStop
		}
		keys = append(keys, bytes.Clone(k))
		return nil
	})
	more = err == errStop
	if more {
		err = nil
	}
	for _, k := range keys {
		err = errors.Join(err, tx.Delete(b, k))
	}
	return more, err
}

// indexSome writes the entries of up to n cases, from a key on.
func (s *caseStore) indexSome(tx StoreTx, from []byte, n int) (next []byte, more bool, err error) {
	var cases []*caseRecord
	err = tx.Scan(BucketCases, nil, from, func(k, v []byte) error {
		if len(cases) == n {
			next, more = bytes.Clone(k), true
			return errStop
		}
		id, err := caseKey(BucketCases, k, 0)
		if err != nil {
			return err
		}
		c := new(caseRecord)
		cases = append(cases, c)
		return unmarshalCase(id, v, c)
	})
	if err != nil && err != errStop {
		return nil, false, err
	}
	for _, c := range cases {
		groups, err := s.entriesOf(tx, c)
		if err != nil {
			return nil, false, err
		}
		for g, entries := range groups {
			if err := s.reindex(tx, c.ID, g, entries); err != nil {
				return nil, false, err
			}
		}
	}
	return next, more, nil
}

// entriesOf computes all entries of a stored case. What does not open, because its key
// is gone or it is damaged, is not found, and keeps nobody from opening the desk.
func (s *caseStore) entriesOf(tx StoreTx, c *caseRecord) (map[byte][]entry, error) {
	groups := map[byte][]entry{groupCase: s.caseEntries(c)}
	mats, err := s.materialIn(tx, c.ID)
	if errors.Is(err, takedown.ErrClosed) {
		return nil, err
	}
	groups[groupMaterial] = s.materialEntries(c.ID, mats)
	whole := *c
	_, err = s.addRequest(tx, &whole)
	if errors.Is(err, takedown.ErrClosed) {
		return nil, err
	}
	if err == nil && whole.Request != nil {
		groups[groupPerson] = s.personEntries(c.ID, whole.Request.From())
	}
	return groups, nil
}

// verifyEntries compares the index with one case, and returns an error that wraps
// ErrStore if an entry is missing or differs.
func (s *caseStore) verifyEntries(id takedown.CaseID) error {
	return s.db.View(func(tx StoreTx) error {
		c, err := s.getIn(tx, id)
		if err != nil {
			return err
		}
		groups, err := s.entriesOf(tx, c)
		if err != nil {
			return err
		}
		for _, g := range []byte{groupCase, groupMaterial, groupPerson} {
			for _, e := range groups[g] {
				v, err := tx.Get(BucketIndex, e.key)
				if err != nil {
					return err
				}
				if v == nil || (e.key[0] == ixUrgency || e.key[0] == ixNewest) && !bytes.Equal(v, e.value) {
					return fmt.Errorf("%w: the index lacks the entry %q of case %v", ErrStore, e.key[:1], id)
				}
			}
			if is, err := tx.Get(BucketIndex, groupKey(id, g)); err != nil {
				return err
			} else if !bytes.Equal(is, joinKeys(groups[g])) {
				return fmt.Errorf("%w: the index has other keys of case %v in group %q", ErrStore, id, g)
			}
		}
		return nil
	})
}

// verifyOwners returns an error that wraps ErrStore if the index has entries of no case.
// It relies on verifyEntries for the entries of each case.
func (s *caseStore) verifyOwners(ctx context.Context) error {
	return s.db.View(func(tx StoreTx) error {
		entries, owned := 0, 0
		err := tx.Scan(BucketIndex, nil, nil, func(k, v []byte) error {
			if k[0] != ixKeys {
				entries++
				return ctx.Err()
			}
			keys, err := splitKeys(v)
			if err != nil {
				return err
			}
			owned += len(keys)
			if len(k) != 1+16+1 {
				return fmt.Errorf("%w: a key of %d bytes in the index", ErrStore, len(k))
			}
			c, err := tx.Get(BucketCases, k[1:17])
			if err == nil && c == nil {
				err = fmt.Errorf("%w: the index has entries of case %v, which does not exist", ErrStore, takedown.CaseID(k[1:17]))
			}
			return err
		})
		if err == nil && entries != owned {
			err = fmt.Errorf("%w: the index has %d entries, and its cases have %d", ErrStore, entries, owned)
		}
		return err
	})
}

// until returns the cases of an index by time whose time has come, the earliest
// first.
func (s *caseStore) until(prefix byte, now time.Time) (ids []takedown.CaseID, err error) {
	err = s.db.View(func(tx StoreTx) error {
		return s.eachUntil(tx, prefix, now, func(id takedown.CaseID, _ time.Time) error {
			ids = append(ids, id)
			return nil
		})
	})
	return ids, err
}

// after returns the cases of an index by time whose time is not before the second of t.
func (s *caseStore) after(prefix byte, t time.Time) (ids []takedown.CaseID, err error) {
	err = s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketIndex, []byte{prefix}, ixTime([]byte{prefix}, t), func(k, _ []byte) error {
			ids = append(ids, idOf(k))
			return nil
		})
	})
	return ids, err
}

// eachUntil calls f with the cases of an index by time up to a time; zero is all.
func (s *caseStore) eachUntil(tx StoreTx, prefix byte, now time.Time, f func(takedown.CaseID, time.Time) error) error {
	err := tx.Scan(BucketIndex, []byte{prefix}, nil, func(k, _ []byte) error {
		if len(k) != 1+8+16 {
			return fmt.Errorf("%w: a key of %d bytes in the index", ErrStore, len(k))
		}
		at := timeOf(k[1:])
		if !now.IsZero() && at.After(now) {
			return errStop
		}
		return f(takedown.CaseID(k[9:]), at)
	})
	if err == errStop {
		return nil
	}
	return err
}

// row is what the index says of a case, so that a filter reads no cases.
type row struct {
	id            takedown.CaseID
	kind          takedown.Kind
	priority      byte
	due, received time.Time
	state, regime string
	assignee      string
	until         time.Time // of the assignment
	flags         []request.Flag
}

func (r *row) encode() []byte {
	b := ixTime(ixTime([]byte{byte(r.kind), r.priority}, r.due), r.received)
	for _, s := range []string{r.state, r.regime, r.assignee, string(ixTime(nil, r.until))} {
		b = append(append(b, byte(len(s))), s...)
	}
	for _, f := range r.flags {
		b = append(append(b, byte(len(f))), f...)
	}
	return b
}

// rank is the end of a key, by which rows are in order.
func (r *row) rank(o Order) []byte {
	if o == NewestFirst {
		b := ixTime(nil, r.received)
		for i := range b {
			b[i] = ^b[i]
		}
		return append(b, r.id[:]...)
	}
	return append(ixTime(ixTime([]byte{r.priority}, r.due), r.received), r.id[:]...)
}

var errRow = fmt.Errorf("%w: a row of the index", ErrStore)

// rowFields are the parts of an encoded row. They alias it.
type rowFields struct {
	kind          takedown.Kind
	priority      byte
	due, received uint64 // as in keys
	state, regime []byte
	assignee      []byte
	until         []byte // as in keys
	flags         []byte // each after its length
}

func parseRow(b []byte) (r rowFields, err error) {
	if len(b) < 20 {
		return r, errRow
	}
	r = rowFields{kind: takedown.Kind(b[0]), priority: b[1], due: binary.BigEndian.Uint64(b[2:]), received: binary.BigEndian.Uint64(b[10:])}
	b = b[18:]
	for _, to := range []*[]byte{&r.state, &r.regime, &r.assignee, &r.until} {
		if len(b) == 0 || int(b[0]) >= len(b) {
			return r, errRow
		}
		n := int(b[0])
		*to, b = b[1:1+n], b[1+n:]
	}
	if r.flags = b; len(r.until) != 8 {
		return r, errRow
	}
	return r, nil
}

// assignedTo returns to whom the case is assigned at a time; nil if to nobody.
func (r *rowFields) assignedTo(now time.Time) []byte {
	if len(r.assignee) == 0 || !now.Before(timeOf(r.until)) {
		return nil
	}
	return r.assignee
}

func (r *rowFields) has(flag request.Flag) bool {
	for b := r.flags; len(b) > 0; {
		n := int(b[0])
		if n >= len(b) {
			return false
		}
		if string(b[1:1+n]) == string(flag) {
			return true
		}
		b = b[1+n:]
	}
	return false
}
