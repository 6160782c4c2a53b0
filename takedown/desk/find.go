package desk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/staydown/staydown/internal/aesgcm"
	"github.com/staydown/staydown/internal/contact"
	"github.com/staydown/staydown/internal/urlkey"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Order is an order of cases in a [Page].
type Order uint8

const (
	// ByUrgency is the order of a queue: by priority, then by the earliest
	// deadline, then by receipt. Cases of child safety come first, then intimate
	// images, then orders and confirmed trusted flaggers, then all others.
	ByUrgency Order = iota
	// NewestFirst is the order of receipt, reversed.
	NewestFirst
)

// Query selects cases. The zero value selects all cases. A case has to satisfy all
// fields that are set.
type Query struct {
	// States, Kinds and Regimes select the cases that have one of the given values.
	States  []State
	Kinds   []takedown.Kind
	Regimes []request.Regime
	// Flags selects the cases that have all of these flags.
	Flags []request.Flag
	// Person selects the cases of a requester: an email address, a phone number in
	// international form, or words of a name. A case has to have all of the words.
	// Names are compared without case and accents.
	//
	// A requester is not found after the erasure of personal data.
	Person string
	// Address selects the cases that name an address of a picture or page, in any
	// spelling that package blocklist takes for the same address.
	Address string
	// Picture selects the cases with the same file, or with a hash within the block
	// radius of a PDQ hash, or with another hash that is equal: see
	// [takedown.Inspect].
	Picture takedown.Candidate
	// About selects the replies to a case.
	About takedown.CaseID
	// Assignee selects the cases that are assigned to this reviewer now, Unassigned
	// those that are assigned to nobody: see [Desk.Assign]. With both, it is the cases
	// that the reviewer can take.
	Assignee   string
	Unassigned bool
	// DueBefore selects the cases with a deadline before that time; see [Desk.Due].
	// For a case whose clock stands still it is the deadline as of when it stopped.
	DueBefore time.Time
	// ReceivedFrom and ReceivedBefore bound the time of the receipt.
	ReceivedFrom, ReceivedBefore time.Time

	Order Order
	// Limit is the maximum number of cases in a page; 0 means 50, and the maximum
	// is 1,000.
	Limit int
	// After is the Next of the previous page. The other fields have to be the same.
	After string
}

// Page is a part of the result of a [Query].
type Page struct {
	// Cases have no request and pictures: see [Desk.Case].
	Cases []Case
	// Next is the [Query].After of the next page; empty when there are no more
	// cases.
	Next string
}

// Limits of a Query.
const (
	defaultPage = 50
	maxPage     = 1000
)

// Find returns a page of the cases that a query selects. It uses the index, not the
// cases. A case that changes between two pages can be missing, or be in both.
//
// It fails with an [*takedown.ArgumentError] for a query that is not valid.
func (d *Desk) Find(ctx context.Context, q Query) (page Page, err error) {
	after, err := q.check()
	if err != nil {
		return Page{}, err
	}
	limit := cmp.Or(q.Limit, defaultPage)
	err = d.search(ctx, &q, func(s *search) error {
		s.after, s.perRun = after, limit+1
		ranks, err := s.first(limit + 1)
		if err != nil {
			return err
		}
		for i, rank := range ranks {
			if i == limit {
				page.Next = q.cursor(ranks[i-1])
				break
			}
			c, err := d.store.getIn(s.tx, idOf(rank))
			if err != nil {
				return err
			}
			page.Cases = append(page.Cases, c.Case)
		}
		return nil
	})
	if err != nil {
		return Page{}, err
	}
	return page, nil
}

// ids returns the first cases that a query selects, without reading them.
func (d *Desk) ids(ctx context.Context, q Query, limit int) (ids []takedown.CaseID, err error) {
	err = d.search(ctx, &q, func(s *search) error {
		s.perRun = limit
		ranks, err := s.first(limit)
		for _, rank := range ranks {
			ids = append(ids, idOf(rank))
		}
		return err
	})
	return ids, err
}

// Count returns the number of cases that a query selects, for example of a backlog.
// It ignores Limit, After and Order.
func (d *Desk) Count(ctx context.Context, q Query) (n int, err error) {
	q.Limit, q.After = 0, ""
	if _, err := q.check(); err != nil {
		return 0, err
	}
	err = d.search(ctx, &q, func(s *search) error {
		return s.each(func([]byte) bool { n++; return true })
	})
	return n, err
}

// search is a query that is answered in one transaction.
type search struct {
	*caseStore
	ctx    context.Context
	tx     StoreTx
	q      *Query
	filter rowFilter
	near   []takedown.CaseID // with a hash near one of the query
	after  []byte            // the rank behind which the answer begins
	perRun int               // how many ranks of each run are needed; 0 is all
}

func (d *Desk) search(ctx context.Context, q *Query, f func(*search) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Before the transaction: it has one of its own when it is first used.
	near, err := d.store.nearTo(q.Picture.Hashes, d.radii.Of(phash.AlgPDQ, 0).Block)
	if err != nil {
		return err
	}
	return d.store.db.View(func(tx StoreTx) error {
		return f(&search{caseStore: d.store, ctx: ctx, tx: tx, q: q, filter: q.filter(d.clock()), near: near})
	})
}

// check looks at a query. after is the rank behind which the page begins.
func (q *Query) check() (after []byte, err error) {
	bad := func(field, why string) error {
		return &takedown.ArgumentError{Name: "desk.Query." + field, Why: why}
	}
	if q.Limit < 0 || q.Limit > maxPage {
		return nil, bad("Limit", fmt.Sprintf("%d is not between 0 and %d", q.Limit, maxPage))
	}
	if q.Order > NewestFirst {
		return nil, bad("Order", "it is not one of the orders")
	}
	if q.Person != "" && len(personQuery(q.Person)) == 0 {
		return nil, bad("Person", "it is not an email address, phone number or name")
	}
	if q.Address != "" {
		if _, err := urlkey.Canonical(q.Address); err != nil {
			return nil, bad("Address", err.Error())
		}
	}
	if q.After == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil || len(b) == 0 || b[0] != byte(q.Order) || len(b)-1 != len((&row{}).rank(q.Order)) {
		return nil, bad("After", "it is not the Next of a page of this query")
	}
	return b[1:], nil
}

func (q *Query) cursor(rank []byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{byte(q.Order)}, rank...))
}

// idOf returns the case at the end of a key.
func idOf(key []byte) takedown.CaseID { return takedown.CaseID(key[len(key)-16:]) }

// personQuery reads what is asked for as a person.
func personQuery(text string) (terms []personTerm) {
	text = strings.TrimSpace(text)
	if strings.Contains(text, "@") {
		if e := emailTerm(text); e != "" {
			return []personTerm{{"email", e}}
		}
		return nil
	}
	if p, ok := contact.Phone(text, ""); ok {
		return []personTerm{{"phone", p}}
	}
	for _, w := range nameWords(text) {
		terms = append(terms, personTerm{"name", w})
	}
	return terms
}

// first returns the first n ranks, in the order of the query.
func (s *search) first(n int) (ranks [][]byte, err error) {
	err = s.each(func(rank []byte) bool {
		ranks = append(ranks, bytes.Clone(rank))
		if len(ranks) >= 4*n {
			ranks = firstOf(ranks, n)
		}
		return true
	})
	return firstOf(ranks, n), err
}

func firstOf(ranks [][]byte, n int) [][]byte {
	slices.SortFunc(ranks, bytes.Compare)
	return ranks[:min(n, len(ranks))]
}

// each calls f with the rank of every case that is selected, until f returns false.
// The ranks come in runs; those of a run are in order.
func (s *search) each(f func(rank []byte) bool) error {
	sets, err := s.named()
	if err != nil {
		return err
	}
	if sets != nil {
		return s.eachNamed(sets, f)
	}
	if s.q.Order == NewestFirst {
		return s.eachIn([]byte{ixNewest}, f)
	}
	states, err := s.states()
	if err != nil {
		return err
	}
	for _, state := range states {
		if err := s.eachIn(append(append([]byte{ixUrgency}, state...), 0), f); err != nil {
			return err
		}
	}
	return nil
}

// states returns the states in which selected cases can be.
func (s *search) states() (states []State, err error) {
	if len(s.q.States) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(s.q.States))), nil
	}
	for from := []byte{ixUrgency}; ; {
		found := false
		err := s.tx.Scan(BucketIndex, []byte{ixUrgency}, from, func(k, _ []byte) error {
			n := bytes.IndexByte(k, 0)
			if n < 1 {
				return errRow
			}
			states, found = append(states, State(k[1:n])), true
			from = append(bytes.Clone(k[:n]), 1)
			return errStop
		})
		if err != nil && err != errStop || !found {
			return states, err
		}
	}
}

// eachIn is each for the rows with a prefix.
func (s *search) eachIn(prefix []byte, f func([]byte) bool) error {
	var from []byte
	if s.after != nil {
		from = append(append(bytes.Clone(prefix), s.after...), 0)
	}
	n, seen := 0, 0
	err := s.tx.Scan(BucketIndex, prefix, from, func(k, v []byte) error {
		if seen++; seen%1024 == 0 && s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		r, err := parseRow(v)
		if err != nil {
			return err
		}
		if !s.filter.selects(&r) {
			return nil
		}
		if n++; !f(k[len(prefix):]) || n == s.perRun {
			return errStop
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}

// eachNamed is each for the cases that are in all of the sets.
func (s *search) eachNamed(sets []map[takedown.CaseID]bool, f func([]byte) bool) error {
	slices.SortFunc(sets, func(a, b map[takedown.CaseID]bool) int { return cmp.Compare(len(a), len(b)) })
	for id := range sets[0] {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if slices.ContainsFunc(sets[1:], func(set map[takedown.CaseID]bool) bool { return !set[id] }) {
			continue
		}
		rank, r, err := s.rowOf(id)
		if err != nil {
			return err
		}
		if s.filter.selects(&r) && bytes.Compare(rank, s.after) > 0 && !f(rank) {
			return nil
		}
	}
	return nil
}

// rowOf reads the row of a case.
func (s *search) rowOf(id takedown.CaseID) (rank []byte, r rowFields, err error) {
	b, err := s.tx.Get(BucketIndex, groupKey(id, groupCase))
	if err != nil {
		return nil, r, err
	}
	keys, err := splitKeys(bytes.Clone(b))
	if err != nil {
		return nil, r, err
	}
	prefix := byte(ixUrgency)
	if s.q.Order == NewestFirst {
		prefix = ixNewest
	}
	i := slices.IndexFunc(keys, func(k []byte) bool { return k[0] == prefix })
	if i < 0 {
		return nil, r, errRow
	}
	v, err := s.tx.Get(BucketIndex, keys[i])
	if err != nil {
		return nil, r, err
	}
	r, err = parseRow(bytes.Clone(v))
	return keys[i][len(keys[i])-len((&row{}).rank(s.q.Order)):], r, err
}

// named returns the sets of cases that are found by what the query names; nil if it
// names nothing.
func (s *search) named() (sets []map[takedown.CaseID]bool, err error) {
	q := s.q
	add := func(prefixes ...[]byte) (set map[takedown.CaseID]bool) {
		set = map[takedown.CaseID]bool{}
		for _, p := range prefixes {
			err = errors.Join(err, s.tx.Scan(BucketIndex, p, nil, func(k, _ []byte) error {
				set[idOf(k)] = true
				return nil
			}))
		}
		sets = append(sets, set)
		return set
	}
	digested := func(prefix byte, use, what string) []byte { return append([]byte{prefix}, s.digest(use, what)...) }
	if q.Person != "" {
		for _, t := range personQuery(q.Person) {
			add(digested(ixPerson, t.use, t.what))
		}
	}
	if q.Address != "" {
		address, _ := urlkey.Canonical(q.Address) // check has looked at it
		add(digested(ixAddress, "address", address))
	}
	if q.About != (takedown.CaseID{}) {
		add(append([]byte{ixAbout}, q.About[:]...))
	}
	if q.Picture.SHA256 == [32]byte{} && len(q.Picture.Hashes) == 0 {
		return sets, err
	}
	var prefixes [][]byte
	if q.Picture.SHA256 != [32]byte{} {
		prefixes = append(prefixes, digested(ixPicture, "file", string(q.Picture.SHA256[:])))
	}
	for _, h := range q.Picture.Hashes {
		prefixes = append(prefixes, digested(ixPicture, "hash", h.String()))
	}
	set := add(prefixes...)
	for _, id := range s.near {
		set[id] = true
	}
	return sets, err
}

// rowFilter is the part of a query that rows answer.
type rowFilter struct {
	q                 *Query
	due               uint64
	received, earlier uint64
	now               time.Time
}

func (q *Query) filter(now time.Time) rowFilter {
	// Times in the index are whole seconds: of a bound, the next one.
	key := func(t time.Time) uint64 {
		return binary.BigEndian.Uint64(ixTime(nil, t.Add(time.Second-1).Truncate(time.Second)))
	}
	return rowFilter{q, key(q.DueBefore), key(q.ReceivedFrom), key(q.ReceivedBefore), now}
}

func (f *rowFilter) selects(r *rowFields) bool {
	q := f.q
	switch {
	case len(q.States) > 0 && !slices.ContainsFunc(q.States, func(s State) bool { return string(s) == string(r.state) }),
		len(q.Kinds) > 0 && !slices.Contains(q.Kinds, r.kind),
		len(q.Regimes) > 0 && !slices.ContainsFunc(q.Regimes, func(s request.Regime) bool { return string(s) == string(r.regime) }),
		(q.Assignee != "" || q.Unassigned) && !f.assigned(r),
		!q.DueBefore.IsZero() && r.due >= f.due,
		!q.ReceivedFrom.IsZero() && r.received < f.received,
		!q.ReceivedBefore.IsZero() && r.received >= f.earlier:
		return false
	}
	for _, flag := range q.Flags {
		if !r.has(flag) {
			return false
		}
	}
	return true
}

// assigned reports whether a row has the assignment that is asked for.
func (f *rowFilter) assigned(r *rowFields) bool {
	to := r.assignedTo(f.now)
	if to == nil {
		return f.q.Unassigned
	}
	return f.q.Assignee != "" && string(to) == f.q.Assignee
}

// nearTable holds the PDQ hashes of the pictures of all cases, to find those near
// a given one. It is read from the index when it is first used.
type nearTable struct {
	mu     sync.Mutex
	loaded bool
	rows   []nearRow
}

type nearRow struct {
	hash phash.Hash
	id   takedown.CaseID
}

// nearOf returns the PDQ hashes of the pictures of a case, one after the other.
func nearOf(mats []request.Material) (b []byte) {
	for i := range mats {
		for _, k := range asItIs(mats[i].Hashes) {
			if k.Hash.Algorithm() == phash.AlgPDQ {
				b = append(b, k.Hash.Bytes()...)
			}
		}
	}
	return b
}

// nearTo returns the cases with a hash near one of the given ones.
func (s *caseStore) nearTo(hashes []phash.Hash, radius int) (ids []takedown.CaseID, err error) {
	if !slices.ContainsFunc(hashes, func(h phash.Hash) bool { return h.Algorithm() == phash.AlgPDQ }) {
		return nil, nil
	}
	t := &s.near
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.loaded {
		if err := t.load(s); err != nil {
			return nil, err
		}
	}
	for _, h := range hashes {
		for i := range t.rows {
			if n, ok := t.rows[i].hash.Distance(h); ok && n <= radius {
				ids = append(ids, t.rows[i].id)
			}
		}
	}
	return ids, nil
}

// load reads the table. The mutex is held, so that a change that is stored meanwhile
// comes after it.
func (t *nearTable) load(s *caseStore) error {
	operator := aesgcm.New(s.operator)
	t.rows = t.rows[:0]
	err := s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketIndex, []byte{ixNear}, nil, func(k, v []byte) error {
			id := idOf(k)
			b, err := operator.Open(nil, nil, v, label("near", id))
			if err != nil {
				return fmt.Errorf("%w: %w", ErrSealed, err)
			}
			t.add(id, b)
			return nil
		})
	})
	t.loaded = err == nil
	return err
}

func (t *nearTable) add(id takedown.CaseID, b []byte) {
	for ; len(b) >= 32; b = b[32:] {
		t.rows = append(t.rows, nearRow{phash.FromPDQ([32]byte(b)), id})
	}
}

// set replaces the hashes of a case, after the transaction that stores them.
func (t *nearTable) set(id takedown.CaseID, hashes []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded {
		t.rows = slices.DeleteFunc(t.rows, func(r nearRow) bool { return r.id == id })
		t.add(id, hashes)
	}
}
