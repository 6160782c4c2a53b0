package desk

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// The queue of matches: what crawlers and rankers hold for a person comes here, once
// for each rule and picture, and the answers go back to them.
//
// Keys of BucketMatches, by their first byte:
const (
	mxRecord = 'm' // 8 bytes → a QueuedMatch, sealed under the operator's key
	mxSame   = 's' // digest of rule and picture → 8 bytes, the number of the match
	mxRank   = 'q' // rank, 8 bytes → nothing; of matches that wait
	mxAnswer = 'r' // 8 bytes → a MatchAnswer, sealed under the operator's key
)

var (
	keyMatches = []byte("matches") // the number of the last match
	keyAnswers = []byte("answers") // the number of the last answer
	keyWaiting = []byte("waiting") // how many matches wait
)

// maxWaitingMatches is how many matches can wait. Beyond that, nobody looks at them.
const maxWaitingMatches = 200_000

// ErrMatchesFull is returned when too many matches wait: the terms of a rule are
// wrong, or nobody answers.
var ErrMatchesFull = errors.New("takedown: 200,000 matches wait for an answer; no more are taken")

// QueuedMatch is a match that waits for a reviewer.
type QueuedMatch struct {
	// Number names the match in [Desk.ResolveMatch].
	Number uint64 `json:"number"`
	// First and Last are when it was reported for the first and the last time, and
	// Times how often.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	// Match is as it was reported first, without local features and faces. Addresses
	// of later reports are added, up to 20.
	Match takedown.Match `json:"match"`
}

// MatchAnswer is what a reviewer said of a match. Nodes ask for answers with
// [Desk.MatchAnswers].
type MatchAnswer struct {
	Number uint64 `json:"number"` // of the answer; the last one that a node has seen is where it goes on
	Match  uint64 `json:"match"`
	Time   time.Time
	Rule   uint64          `json:"rule"`
	Case   takedown.CaseID `json:"case"`
	// SHA256 and Hash are those of the picture, as far as it was reported with them.
	SHA256 [32]byte   `json:"sha256"`
	Hash   phash.Hash `json:"hash"`
	// Resolution is the answer; 0 if the rule ended before anybody looked.
	Resolution Resolution `json:"resolution"`
}

// AddedMatches counts what [Desk.AddMatches] did.
type AddedMatches struct {
	New   int // that wait now
	Again int // that wait already
	Known int // that were answered before, or whose rule has ended
}

// AddMatches puts matches of nodes into the queue. A match of the same rule and
// picture is there once. Local features and faces are not kept. When it returns
// nil, all are durable.
func (d *Desk) AddMatches(ctx context.Context, matches ...takedown.Match) (added AddedMatches, err error) {
	if err := ctx.Err(); err != nil {
		return added, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	err = d.store.db.Update(func(tx StoreTx) error {
		added = AddedMatches{}
		for i := range matches {
			if err := d.addMatch(tx, &matches[i], now, &added); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return AddedMatches{}, err
	}
	return added, nil
}

func (d *Desk) addMatch(tx StoreTx, m *takedown.Match, now time.Time, added *AddedMatches) error {
	same, ok := d.store.sameMatch(m)
	if !ok {
		return fmt.Errorf("takedown: a match of rule %d has no address, digest or hash by which its picture could be told", m.Decision.Rule)
	}
	if _, state, ok := d.list.State().Rule(m.Decision.Rule); !ok || state == blocklist.RuleRevoked {
		added.Known++
		return nil
	}
	b, err := tx.Get(BucketMatches, same)
	if err != nil {
		return err
	}
	if len(b) == 8 {
		return d.addAgain(tx, binary.BigEndian.Uint64(b), m, now, added)
	}
	if n, err := counter(tx, keyWaiting, 1); err != nil {
		return err
	} else if n > maxWaitingMatches {
		return ErrMatchesFull
	}
	n, err := counter(tx, keyMatches, 1)
	if err != nil {
		return err
	}
	q := QueuedMatch{Number: n, First: now, Last: now, Times: 1, Match: *m}
	q.Match.Candidate.Features, q.Match.Candidate.Faces, q.Match.Candidate.Frames = takedown.Features{}, nil, slices.Clone(m.Candidate.Frames)
	for i := range q.Match.Candidate.Frames {
		q.Match.Candidate.Frames[i].Features, q.Match.Candidate.Frames[i].Faces = takedown.Features{}, nil
	}
	added.New++
	return errors.Join(
		tx.Put(BucketMatches, same, binary.BigEndian.AppendUint64(nil, n)),
		tx.Put(BucketMatches, rankOf(&q), []byte{}),
		d.store.putMatch(tx, &q),
	)
}

// addAgain notes that a match was reported once more.
func (d *Desk) addAgain(tx StoreTx, n uint64, m *takedown.Match, now time.Time, added *AddedMatches) error {
	q, err := d.store.match(tx, n)
	if errors.Is(err, ErrNoMatch) {
		added.Known++
		return nil
	}
	if err != nil {
		return err
	}
	added.Again++
	q.Last, q.Times = now, q.Times+1
	for _, u := range m.Candidate.ImageURLs {
		if len(q.Match.Candidate.ImageURLs) < 20 && !slices.Contains(q.Match.Candidate.ImageURLs, u) {
			q.Match.Candidate.ImageURLs = append(slices.Clone(q.Match.Candidate.ImageURLs), u)
		}
	}
	return d.store.putMatch(tx, q)
}

// counter adds to a number in the bucket of numbers, and returns it.
func counter(tx StoreTx, key []byte, add int64) (uint64, error) {
	b, err := tx.Get(BucketMeta, key)
	if err != nil {
		return 0, err
	}
	var n uint64
	if len(b) == 8 {
		n = binary.BigEndian.Uint64(b)
	}
	n += uint64(add)
	return n, tx.Put(BucketMeta, key, binary.BigEndian.AppendUint64(nil, n))
}

// sameMatch returns the key of all matches of the same rule and picture.
func (s *caseStore) sameMatch(m *takedown.Match) (key []byte, ok bool) {
	c := &m.Candidate
	picture := ""
	hashes := c.Picture(m.Decision.Frame).Hashes
	switch {
	case len(hashes) > 0:
		picture = hashes[0].String()
	case c.SHA256 != [32]byte{}:
		picture = string(c.SHA256[:])
	case len(c.ImageURLs) > 0:
		picture = c.ImageURLs[0]
	default:
		return nil, false
	}
	return s.sameKey(m.Decision.Rule, picture), true
}

func (s *caseStore) sameKey(rule uint64, picture string) []byte {
	mac := hmac.New(sha256.New, s.operator[:])
	fmt.Fprintf(mac, "match:%d:%s", rule, picture)
	return append([]byte{mxSame}, mac.Sum(nil)[:16]...)
}

// rankOf returns the key by which a match is in order: the strongest verdict first,
// then the nearest, then the oldest.
func rankOf(q *QueuedMatch) []byte {
	d := &q.Match.Decision
	far := 0 // an address, or a file
	switch d.Why {
	case takedown.TierFeatures:
		far = 100
	case takedown.TierHash:
		far = 200 + d.Distance
	case takedown.TierFace:
		far = 1000 + int(1000*(1-min(max(d.Similarity, 0), 1)))
	}
	b := binary.BigEndian.AppendUint16([]byte{mxRank, ^byte(d.Verdict)}, uint16(far))
	return binary.BigEndian.AppendUint64(b, q.Number)
}

func matchKey(prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, n)
}

var labelMatch = []byte("match")

func (s *caseStore) putMatch(tx StoreTx, q *QueuedMatch) error {
	b, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("takedown: a match: %w", err)
	}
	return tx.Put(BucketMatches, matchKey(mxRecord, q.Number), seal(s.operator, labelMatch, b))
}

// ErrNoMatch is returned when no waiting match has the given number.
var ErrNoMatch = errors.New("takedown: no match of that number waits")

func (s *caseStore) match(tx StoreTx, n uint64) (*QueuedMatch, error) {
	b, err := tx.Get(BucketMatches, matchKey(mxRecord, n))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, fmt.Errorf("%w: %d", ErrNoMatch, n)
	}
	if b, err = unseal(s.operator, labelMatch, b); err != nil {
		return nil, err
	}
	q := new(QueuedMatch)
	if err := json.Unmarshal(b, q); err != nil {
		return nil, fmt.Errorf("%w: match %d is no JSON", ErrStore, n)
	}
	return q, nil
}

// QueuedMatch returns a match that waits, by its number. The error wraps [ErrNoMatch]
// if it was answered.
func (d *Desk) QueuedMatch(ctx context.Context, number uint64) (q QueuedMatch, err error) {
	err = d.store.db.View(func(tx StoreTx) error {
		m, err := d.store.match(tx, number)
		if err != nil {
			return err
		}
		q = *m
		return ctx.Err()
	})
	return q, err
}

// MatchPage is a part of the queue of matches.
type MatchPage struct {
	Matches []QueuedMatch
	Next    string // the after of the next page; empty when there are no more
	Waiting int    // in the whole queue
}

// QueuedMatches returns up to limit matches that wait, the strongest first: by verdict,
// then by how near they are. after is the Next of the page before, or empty.
func (d *Desk) QueuedMatches(ctx context.Context, after string, limit int) (page MatchPage, err error) {
	if limit < 1 || limit > maxPage {
		return page, &takedown.ArgumentError{Name: "limit", Why: fmt.Sprintf("%d is not between 1 and %d", limit, maxPage)}
	}
	from, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil || len(from) > 0 && from[0] != mxRank {
		return page, &takedown.ArgumentError{Name: "after", Why: "it is not the Next of a page"}
	}
	if len(from) > 0 {
		from = append(from, 0)
	}
	err = d.store.db.View(func(tx StoreTx) error {
		n, err := tx.Get(BucketMeta, keyWaiting)
		if err != nil {
			return err
		}
		if len(n) == 8 {
			page.Waiting = int(binary.BigEndian.Uint64(n))
		}
		keys, err := ranked(tx, from, limit+1)
		if err != nil {
			return err
		}
		if len(keys) > limit {
			keys = keys[:limit]
			page.Next = base64.RawURLEncoding.EncodeToString(keys[limit-1])
		}
		for _, k := range keys {
			q, err := d.store.match(tx, binary.BigEndian.Uint64(k[len(k)-8:]))
			if err != nil {
				return err
			}
			page.Matches = append(page.Matches, *q)
		}
		return ctx.Err()
	})
	if err != nil {
		return MatchPage{}, err
	}
	return page, nil
}

// ranked returns the keys of up to n matches from a key on, the strongest first.
func ranked(tx StoreTx, from []byte, n int) (keys [][]byte, err error) {
	err = tx.Scan(BucketMatches, []byte{mxRank}, from, func(k, _ []byte) error {
		if keys = append(keys, bytes.Clone(k)); len(keys) == n {
			return errStop
		}
		return nil
	})
	if err == errStop {
		err = nil
	}
	return keys, err
}

// ResolveMatch answers a match of the queue, as [Desk.Resolve] does, and puts the answer
// where nodes find it. file is the picture that the reviewer looked at; it can be nil.
// A match whose rule has ended leaves the queue, and the error wraps [ErrNoRule].
func (d *Desk) ResolveMatch(ctx context.Context, number uint64, a Actor, r Resolution, file []byte) (done Resolved, err error) {
	var q *QueuedMatch
	if err := d.store.db.View(func(tx StoreTx) (err error) {
		q, err = d.store.match(tx, number)
		return err
	}); err != nil {
		return done, err
	}
	done, err = d.Resolve(ctx, Match{Actor: a, Candidate: q.Match.Candidate, Decision: q.Match.Decision, File: file}, r)
	if err != nil && !errors.Is(err, ErrNoRule) {
		return done, err
	}
	if err != nil {
		r = 0
	}
	return done, errors.Join(err, d.answer(q, r))
}

// answer takes a match out of the queue.
func (d *Desk) answer(q *QueuedMatch, r Resolution) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	return d.store.db.Update(func(tx StoreTx) error {
		if _, err := d.store.match(tx, q.Number); errors.Is(err, ErrNoMatch) {
			return nil // somebody else has answered it meanwhile, in the same way
		}
		n, err := counter(tx, keyAnswers, 1)
		if err != nil {
			return err
		}
		if _, err := counter(tx, keyWaiting, -1); err != nil {
			return err
		}
		x := MatchAnswer{Number: n, Match: q.Number, Time: now, Rule: q.Match.Decision.Rule, Case: q.Match.Decision.Case, SHA256: q.Match.Candidate.SHA256, Resolution: r}
		if hashes := q.Match.Candidate.Picture(q.Match.Decision.Frame).Hashes; len(hashes) > 0 {
			x.Hash = hashes[0]
		}
		// That it was answered stays, without what it was about.
		return errors.Join(
			tx.Delete(BucketMatches, rankOf(q)), tx.Delete(BucketMatches, matchKey(mxRecord, q.Number)),
			d.store.putAnswer(tx, &x),
		)
	})
}

func (s *caseStore) putAnswer(tx StoreTx, x *MatchAnswer) error {
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("takedown: the answer to a match: %w", err)
	}
	return tx.Put(BucketMatches, matchKey(mxAnswer, x.Number), seal(s.operator, labelMatch, b))
}

// MatchAnswers returns up to limit answers after a number, in their order. A node
// remembers the number of the last one.
func (d *Desk) MatchAnswers(ctx context.Context, after uint64, limit int) (list []MatchAnswer, err error) {
	if limit < 1 || limit > maxPage {
		return nil, &takedown.ArgumentError{Name: "limit", Why: fmt.Sprintf("%d is not between 1 and %d", limit, maxPage)}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = d.store.db.View(func(tx StoreTx) error {
		list, err = d.store.answersIn(tx, after, limit)
		return err
	})
	return list, err
}

func (s *caseStore) answersIn(tx StoreTx, after uint64, limit int) (list []MatchAnswer, err error) {
	err = tx.Scan(BucketMatches, []byte{mxAnswer}, matchKey(mxAnswer, after+1), func(_, v []byte) error {
		b, err := unseal(s.operator, labelMatch, v)
		if err != nil {
			return err
		}
		var x MatchAnswer
		if err := json.Unmarshal(b, &x); err != nil {
			return fmt.Errorf("%w: an answer to a match is no JSON", ErrStore)
		}
		if list = append(list, x); len(list) == limit {
			return errStop
		}
		return nil
	})
	if err == errStop {
		err = nil
	}
	return list, err
}
