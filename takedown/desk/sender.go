package desk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/takedown"
)

// Messages are sent by one goroutine of the desk, which [Open] starts and
// [Desk.Close] ends. A call of the desk stores its messages in the transaction of
// its move, wakes the goroutine and returns.
//
// The order is: the attempt is stored, with the time of the next one; the Notifier
// is called; the message is removed. So a crash loses no message. A crash between
// the last two steps repeats the message, with the same ID. docs/decisions/sender.md
// has the reasons.

const (
	// notifyTimeout bounds one call of the Notifier.
	notifyTimeout = time.Minute
	// firstRetry is the delay of the second attempt. It doubles with each further
	// one, up to lastRetry.
	firstRetry = time.Minute
	lastRetry  = 6 * time.Hour
	// claimed is how many attempts are stored in one transaction.
	claimed = 32
	// maxPause bounds how long the goroutine waits after failures that follow one
	// another, whatever message is due.
	maxPause = 5 * time.Minute
	// failuresInRow is after how many failures in a row the others wait.
	failuresInRow = 3
	// closeWait is how long Close waits for a Notifier that does not end with its
	// context.
	closeWait = 5 * time.Second
)

// Default caps of messages to one address in one day.
const (
	DefaultMessagesPerDay    = 100
	DefaultUnconfirmedPerDay = 3
)

// sender is the state of the goroutine.
type sender struct {
	wake   chan struct{} // has room for one
	turn   chan struct{} // holds a value while somebody sends
	cancel context.CancelFunc
	done   chan struct{}
}

// startSender starts the goroutine, if there is somebody to call.
func (d *Desk) startSender() {
	if d.opts.Notifier == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.sender = sender{wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.sender.done)
		d.runSender(ctx)
	}()
}

// stopSender ends the goroutine.
func (d *Desk) stopSender() {
	if d.sender.cancel == nil {
		return
	}
	d.sender.cancel()
	select {
	case <-d.sender.done:
	case <-time.After(closeWait):
	}
}

// wakeSender makes the goroutine look for messages.
func (d *Desk) wakeSender() {
	if d.sender.wake == nil {
		return
	}
	select {
	case d.sender.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// runSender sends what is due until the context ends.
func (d *Desk) runSender(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		var next time.Time
		var sent int
		err := d.report(OpNotify, true, func() error {
			begun := d.begin(ctx)
			var err error
			sent, next, err = d.sendDue(ctx)
			if err != nil && ctx.Err() == nil && !errors.Is(err, takedown.ErrClosed) {
				err = ErrNotTaken // what a Notifier returns may name its recipient
			}
			return errors.Join(begun, err)
		})
		if err != nil && sent == 0 {
			failures++
			if !pause(ctx, min(time.Second<<min(failures, 20), maxPause)) {
				return
			}
			continue
		}
		failures = 0
		wait := time.Hour
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(d.clock()), time.Second))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-d.sender.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause waits, and reports whether the context goes on.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// take waits for the turn to send.
func (s *sender) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendDue sends the messages that are due, until several fail one after the other.
// next is when another one is due.
func (d *Desk) sendDue(ctx context.Context) (sent int, next time.Time, err error) {
	if err := d.sender.take(ctx); err != nil {
		return 0, next, err
	}
	defer func() { <-d.sender.turn }()
	for {
		list, next, failed := d.store.claim(d.clock(), false, nil)
		errs := []error{err, failed}
		inRow := 0
		for i, m := range list {
			if ctx.Err() != nil || inRow == failuresInRow {
				return sent, next, errors.Join(append(errs, ctx.Err(), d.store.unclaim(list[i:], d.clock()))...)
			}
			if err := d.sendOne(ctx, m); err != nil {
				errs = append(errs, err)
				inRow++
				continue
			}
			inRow = 0
			sent++
		}
		err = errors.Join(errs...)
		if len(list) == 0 || inRow > 0 {
			return sent, next, err
		}
	}
}

// Notify passes all waiting messages to the Notifier and returns its errors. It
// does not wait for the time of the next attempt of a message, except for messages
// that wait for another day because of [Options].MessagesPerDay, or for the
// confirmation of an address. Messages about granted rules whose start date has come
// are included.
//
// The desk sends messages by itself. Call Notify to retry at once after an outage,
// or before a process ends.
func (d *Desk) Notify(ctx context.Context) error {
	begun := d.begin(ctx) // a case that cannot be read keeps no message of another from its recipient
	if d.opts.Notifier == nil {
		return begun
	}
	if err := d.sender.take(ctx); err != nil {
		return errors.Join(begun, err)
	}
	defer func() { <-d.sender.turn }()
	errs := []error{begun}
	for tried := map[uint64]bool{}; ; {
		list, _, err := d.store.claim(d.clock(), true, tried)
		errs = append(errs, err)
		if len(list) == 0 {
			return errors.Join(errs...)
		}
		for _, m := range list {
			if err := ctx.Err(); err != nil {
				return errors.Join(append(errs, err)...)
			}
			errs = append(errs, d.sendOne(ctx, m))
		}
	}
}

// flush does what has become due by the time of a call, and wakes the sender.
func (d *Desk) flush(ctx context.Context) {
	_ = d.report(OpNotify, true, func() error { return d.begin(ctx) })
	d.wakeSender()
}

// ErrNotTaken is returned when the Notifier did not take a message. Only
// [Desk.Notify] returns the Notifier's own errors, because they may name people.
var ErrNotTaken = errors.New("takedown: messages were not taken; they are offered again later, and Desk.Notify returns why")

// backoff is the delay after an attempt, counted from 1.
func backoff(attempt uint32) time.Duration {
	return min(firstRetry<<min(attempt-1, 20), lastRetry)
}

// sendOne hands over one message whose attempt is stored.
func (d *Desk) sendOne(ctx context.Context, m message) error {
	if there, err := d.store.waits(m); err != nil || !there {
		return err // it was dropped after its attempt was stored, as by a rejection as spam
	}
	msg, to, err := d.compose(m)
	if errors.Is(err, ErrErased) || errors.Is(err, ErrNoCase) {
		return nil // it goes with the erasure that is under way
	}
	if err != nil {
		return err
	}
	now := d.clock()
	if d.outdated(m, to, now) {
		return d.store.db.Update(func(tx StoreTx) error { return dropMessage(tx, m) })
	}
	until, err := d.store.heldUntil(m, to, now, d.caps())
	if err != nil {
		return err
	}
	if !until.IsZero() {
		return d.store.db.Update(func(tx StoreTx) error { return reschedule(tx, m, until, m.attempts-1) })
	}
	call, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	if err := d.opts.Notifier.Notify(call, msg); err != nil {
		return err
	}
	return d.sent(m, to)
}

// waits reports whether a message is still to be sent.
func (s *caseStore) waits(m message) (there bool, err error) {
	err = s.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketMessages, messageKey(m.id, m.Case))
		there = b != nil
		return err
	})
	return there, err
}

// recipientState is what the sender has to know of the recipient of a message.
type recipientState struct {
	digest      []byte    // of the address; nil if there is none
	unconfirmed bool      // the desk asks for confirmations, and this address has none in this case
	until       time.Time // when the token ends that is valid; zero if there is none
}

// outdated reports whether a message has lost its purpose: a token that is not valid
// any more.
func (d *Desk) outdated(m message, to recipientState, now time.Time) bool {
	return m.Type == MessageConfirmEmail && (now.After(m.Until) || !m.Until.Equal(to.until))
}

// caps are the options about how many messages an address gets in a day.
type caps struct{ all, unconfirmed int }

func (d *Desk) caps() caps { return caps{d.opts.MessagesPerDay, d.opts.UnconfirmedPerDay} }

// of returns the cap that holds for an address; negative is none.
func (c caps) of(unconfirmed bool) int {
	n, otherwise := c.all, DefaultMessagesPerDay
	if unconfirmed {
		n, otherwise = c.unconfirmed, DefaultUnconfirmedPerDay
	}
	if n == 0 {
		return otherwise
	}
	return n
}

// heldUntil returns until when a message has to wait; the zero time if it does not.
func (s *caseStore) heldUntil(m message, to recipientState, now time.Time, c caps) (until time.Time, err error) {
	if m.AfterConfirm && to.unconfirmed {
		return now.Add(confirmFor), nil // Confirm makes it due before
	}
	if to.digest == nil {
		return time.Time{}, nil
	}
	err = s.db.View(func(tx StoreTx) error {
		n, err := sentCount(tx, now, to.digest)
		if err != nil {
			return err
		}
		known, err := tx.Get(BucketSent, confirmedKey(to.digest))
		if err != nil {
			return err
		}
		if limit := c.of(to.unconfirmed && known == nil); limit >= 0 && n >= limit {
			until = now.Truncate(24 * time.Hour).Add(24 * time.Hour)
		}
		return nil
	})
	return until, err
}

// The keys of BucketSent: 'n', the day, the digest of an address → how many
// messages it got; and 'c', the digest → when the address was confirmed. Both are
// kept for the caps only, so old ones are removed.

func sentKey(now time.Time, digest []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{'n'}, uint32(now.Unix()/86400)), digest...)
}

func confirmedKey(digest []byte) []byte { return append([]byte{'c'}, digest...) }

func sentCount(tx StoreTx, now time.Time, digest []byte) (int, error) {
	b, err := tx.Get(BucketSent, sentKey(now, digest))
	if err != nil || len(b) != 4 {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(b)), nil
}

// countSent counts a message to an address, and forgets the counts of other days.
func countSent(tx StoreTx, now time.Time, digest []byte) error {
	n, err := sentCount(tx, now, digest)
	if err != nil {
		return err
	}
	key := sentKey(now, digest)
	var old [][]byte
	err = tx.Scan(BucketSent, []byte{'n'}, nil, func(k, _ []byte) error {
		if len(k) < 5 || bytes.Equal(k[:5], key[:5]) || len(old) == 100 {
			return errStop
		}
		old = append(old, bytes.Clone(k))
		return nil
	})
	if err == errStop {
		err = nil
	}
	for _, k := range old {
		err = errors.Join(err, tx.Delete(BucketSent, k))
	}
	return errors.Join(err, tx.Put(BucketSent, key, binary.BigEndian.AppendUint32(nil, uint32(n+1))))
}

// sent forgets a message that was taken, and counts it. One that tells a decision
// starts the clocks that run from that.
func (d *Desk) sent(m message, to recipientState) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.store.get(m.Case)
	if err != nil {
		return err
	}
	now := d.clock()
	return d.store.db.Update(func(tx StoreTx) error {
		if err := dropMessage(tx, m); err != nil {
			return err
		}
		if to.digest != nil {
			if err := countSent(tx, now, to.digest); err != nil {
				return err
			}
		}
		told := MilestoneInformed
		switch {
		case m.Type == MessageReceipt, m.Type == MessageConfirmEmail: // it says that the request came in
			told = MilestoneReceiptTold
		case !m.Type.decides() || c.Times[MilestoneDecided].IsZero():
			return nil
		}
		if !c.Times[told].IsZero() {
			return nil
		}
		c.happened(told, now)
		return d.store.putCase(tx, c)
	})
}

// The queue. BucketMessages has the messages, by case and number, each with the time
// of its next attempt and the number of attempts before the sealed message itself.
// BucketSchedule has their keys by that time.

func messageKey(id uint64, c takedown.CaseID) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(c[:]), id)
}

func scheduleKey(next time.Time, id uint64, c takedown.CaseID) []byte {
	return append(binary.BigEndian.AppendUint64(ixTime(nil, next), id), c[:]...)
}

const messageHead = 8 + 4

func messageValue(next time.Time, attempts uint32, sealed []byte) []byte {
	return append(binary.BigEndian.AppendUint32(ixTime(nil, next), attempts), sealed...)
}

var errMessage = fmt.Errorf("%w: a message", ErrStore)

// putScheduled stores a message that is due at a time.
func putScheduled(tx StoreTx, id uint64, c takedown.CaseID, next time.Time, attempts uint32, sealed []byte) error {
	return errors.Join(
		tx.Put(BucketMessages, messageKey(id, c), messageValue(next, attempts, sealed)),
		tx.Put(BucketSchedule, scheduleKey(next, id, c), nil),
	)
}

// reschedule changes when a message is due. A message that is gone stays so.
func reschedule(tx StoreTx, m message, next time.Time, attempts uint32) error {
	key := messageKey(m.id, m.Case)
	v, err := tx.Get(BucketMessages, key)
	if err != nil || v == nil {
		return err
	}
	if len(v) < messageHead {
		return errMessage
	}
	sealed := bytes.Clone(v[messageHead:])
	if err := tx.Delete(BucketSchedule, scheduleKey(timeOf(v), m.id, m.Case)); err != nil {
		return err
	}
	return putScheduled(tx, m.id, m.Case, next, attempts, sealed)
}

// dropMessage removes a message.
func dropMessage(tx StoreTx, m message) error {
	key := messageKey(m.id, m.Case)
	v, err := tx.Get(BucketMessages, key)
	if err != nil || v == nil {
		return err
	}
	if len(v) < messageHead {
		return errMessage
	}
	return errors.Join(tx.Delete(BucketSchedule, scheduleKey(timeOf(v), m.id, m.Case)), tx.Delete(BucketMessages, key))
}

// messagesOf returns the messages of a case, without what is sealed.
func messagesOf(tx StoreTx, id takedown.CaseID) (list []message, err error) {
	err = tx.Scan(BucketMessages, id[:], nil, func(k, v []byte) error {
		if len(k) != 24 || len(v) < messageHead {
			return errMessage
		}
		list = append(list, message{id: binary.BigEndian.Uint64(k[16:]), Case: id, attempts: binary.BigEndian.Uint32(v[8:])})
		return nil
	})
	return list, err
}

// dropMessages removes the messages of a case.
func (s *caseStore) dropMessages(tx StoreTx, id takedown.CaseID) error {
	list, err := messagesOf(tx, id)
	for _, m := range list {
		err = errors.Join(err, dropMessage(tx, m))
	}
	return err
}

// confirmed makes the messages due that wait for the confirmation of an address, and
// notes that the address is confirmed.
func (s *caseStore) confirmed(tx StoreTx, id takedown.CaseID, email string, now time.Time) error {
	list, err := messagesOf(tx, id)
	for _, m := range list {
		if m.attempts == 0 {
			err = errors.Join(err, reschedule(tx, m, now, 0))
		}
	}
	if digest := s.recipientDigest(email, ""); digest != nil {
		err = errors.Join(err, tx.Put(BucketSent, confirmedKey(digest), ixTime(nil, now)))
	}
	return err
}

// recipientDigest is the keyed digest of an address that messages are sent to.
func (s *caseStore) recipientDigest(email, phone string) []byte {
	switch {
	case emailTerm(email) != "":
		return s.digest("recipient", emailTerm(email))
	case strings.TrimSpace(phone) != "":
		return s.digest("recipient", strings.TrimSpace(phone))
	}
	return nil
}

// claim returns messages that are due, the earliest first, and stores an attempt of
// each; with all, also those that are not due, except those tried. next is when
// another message is due.
func (s *caseStore) claim(now time.Time, all bool, tried map[uint64]bool) (list []message, next time.Time, err error) {
	due, next, err := s.due(now, all, tried)
	if err != nil || len(due) == 0 {
		return nil, next, err
	}
	slices.SortFunc(due, func(a, b message) int { return cmp.Compare(a.id, b.id) })
	var damaged error // keeps no other message from its recipient
	err = s.db.Update(func(tx StoreTx) error {
		list, damaged = list[:0], nil
		for _, m := range due {
			v, err := tx.Get(BucketMessages, messageKey(m.id, m.Case))
			if err != nil {
				return err
			}
			if v == nil {
				continue // it was sent, or its case erased, meanwhile
			}
			if len(v) < messageHead {
				return errMessage
			}
			m.attempts = binary.BigEndian.Uint32(v[8:]) + 1
			sealed := bytes.Clone(v[messageHead:])
			if err := reschedule(tx, m, now.Add(backoff(m.attempts)), m.attempts); err != nil {
				return err
			}
			ok, err := s.openMessage(&m, sealed)
			if ok {
				list = append(list, m)
			}
			if tried != nil {
				tried[m.id] = true
			}
			damaged = errors.Join(damaged, err)
		}
		return nil
	})
	return list, next, errors.Join(err, damaged)
}

// unclaim takes back attempts that were not made.
func (s *caseStore) unclaim(list []message, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	return s.db.Update(func(tx StoreTx) (err error) {
		for _, m := range list {
			err = errors.Join(err, reschedule(tx, m, now, m.attempts-1))
		}
		return err
	})
}

// openMessage opens a sealed message. ok is false if its key is gone.
func (s *caseStore) openMessage(m *message, sealed []byte) (ok bool, err error) {
	key, err := s.keys.get(m.Case)
	if errors.Is(err, ErrErased) {
		return false, nil // it goes with the erasure that is under way
	}
	if err != nil {
		return false, err
	}
	b, err := unseal(key, label("message", m.Case), sealed)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, m); err != nil {
		return false, errMessage // err could tell what is in it
	}
	return true, nil
}

// due returns up to claimed messages that are due, without what is sealed. See claim.
func (s *caseStore) due(now time.Time, all bool, tried map[uint64]bool) (list []message, next time.Time, err error) {
	err = s.db.View(func(tx StoreTx) error {
		list = nil
		return tx.Scan(BucketSchedule, nil, nil, func(k, _ []byte) error {
			if len(k) != 32 {
				return errMessage
			}
			m := message{id: binary.BigEndian.Uint64(k[8:]), Case: takedown.CaseID(k[16:])}
			at := timeOf(k)
			switch {
			case !all && at.After(now):
				next = at
				return errStop
			case tried[m.id]:
				return nil
			case len(list) == claimed:
				next = at
				return errStop
			}
			list = append(list, m)
			return nil
		})
	})
	if err == errStop {
		err = nil
	}
	return list, next, err
}
