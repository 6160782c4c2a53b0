package desk

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// change is what one transaction writes.
type change struct {
	cases    []*caseRecord     // with the entries of their logs
	target   *caseRecord       // of a step of a reply: the case that it is about, whose events these are
	events   []blocklist.Event // of the first case; into its outbox unless they are written with the change
	finished bool              // the outbox of the first case is empty now
	// delivered is where the list is with these events.
	delivered reached
	messages  []message
	confirmed bool // the email address of the first case is confirmed
	// Of the first case, when it is new or amended.
	request  request.Request
	files    []storedFile       // the images of the request
	material []request.Material // also when a grant named further views
	keep     []int              // numbers of images of the first case that are kept
	// templates are sealed; the ids of their keys are in the items of the case.
	templates map[[16]byte][]byte
	// extra, unless nil, stores something else in the same transaction.
	extra func(StoreTx) error
	// evidence is numbered from firstEvidence on.
	evidence      []Evidence
	firstEvidence int
	// erase forgets the personal data of the first case, and then destroys its
	// key; a crash between the two is made up for by Open.
	erase bool
	// forget removes what the rules of the first case were made of.
	forget bool
}

// apply writes a change in one transaction.
func (s *caseStore) apply(ch change) error {
	sealed, err := s.prepare(&ch)
	if err != nil {
		return err
	}
	if err := s.db.Update(func(tx StoreTx) error { return s.write(tx, &ch, sealed) }); err != nil {
		s.doubt(ch.made()...)
		return err
	}
	return s.written(&ch)
}

// write writes a change in a transaction.
func (s *caseStore) write(tx StoreTx, ch *change, sealed sealedChange) error {
	for _, step := range []func(StoreTx, *change, sealedChange) error{
		s.putRequest, s.putPictures, s.putOutbox, s.forget, s.putMessages, s.putCases,
	} {
		if err := step(tx, ch, sealed); err != nil {
			return err
		}
	}
	if ch.extra != nil {
		if err := ch.extra(tx); err != nil {
			return err
		}
	}
	for _, c := range ch.cases {
		c.log = nil // it is written
	}
	return nil
}

// written does what follows when the transaction of a change is durable.
func (s *caseStore) written(ch *change) error {
	switch {
	case ch.request != nil || ch.material != nil:
		s.near.set(ch.cases[0].ID, nearOf(ch.material))
	case ch.forget:
		s.near.set(ch.cases[0].ID, nil)
	}
	gone := ch.destroys()
	for _, c := range ch.cases {
		c.gone = nil
	}
	if len(gone) == 0 {
		return nil
	}
	if err := s.keys.f.Destroy(asKeyIDs(gone)...); err != nil {
		return keyError(err)
	}
	s.done(gone...)
	return nil
}

// destroys returns the keys that are destroyed once the change is stored.
func (ch *change) destroys() (gone []takedown.CaseID) {
	if ch.erase {
		gone = append(gone, ch.cases[0].ID)
	}
	for _, c := range ch.cases {
		for _, id := range c.gone {
			gone = append(gone, takedown.CaseID(id))
		}
	}
	return gone
}

// made returns the keys that may have been made for the change.
func (ch *change) made() (ids []takedown.CaseID) {
	if ch.request != nil {
		ids = append(ids, ch.cases[0].ID)
	}
	for id := range ch.templates {
		ids = append(ids, id)
	}
	return ids
}

// sealedChange is what a change has under the key of its first case.
type sealedChange struct {
	request  []byte
	evidence [][]byte
}

// prepare drops templates that no item needs any more, and seals what a change has of
// its first case.
func (s *caseStore) prepare(ch *change) (sealed sealedChange, err error) {
	for _, c := range ch.cases {
		c.dropTemplates()
	}
	if ch.request == nil && len(ch.evidence) == 0 {
		return sealed, nil
	}
	id := ch.cases[0].ID
	key, err := s.keys.get(id)
	if err != nil {
		return sealed, err
	}
	if ch.request != nil {
		b, err := encodeStored(ch.request, ch.cases[0].Pictures, ch.files)
		if err != nil {
			return sealed, err
		}
		sealed.request = seal(key, label("request", id), b)
	}
	for _, e := range ch.evidence {
		b, err := json.Marshal(e)
		if err != nil {
			return sealed, fmt.Errorf("takedown: case store: %w", err)
		}
		sealed.evidence = append(sealed.evidence, seal(key, label("evidence", id), b))
	}
	return sealed, nil
}

// putRequest stores the request of the first case, with what belongs to it.
func (s *caseStore) putRequest(tx StoreTx, ch *change, sealed sealedChange) error {
	id := ch.cases[0].ID
	for id, t := range ch.templates {
		if err := tx.Put(BucketTemplates, id[:], t); err != nil {
			return err
		}
	}
	if sealed.request != nil || ch.material != nil {
		b, err := json.Marshal(ch.material)
		if err != nil {
			return fmt.Errorf("takedown: case store: %w", err)
		}
		if err := tx.Put(BucketMaterial, id[:], seal(s.operator, label("material", id), b)); err != nil {
			return err
		}
		if err := s.reindex(tx, id, groupMaterial, s.materialEntries(id, ch.material)); err != nil {
			return err
		}
	}
	if sealed.request != nil {
		if err := tx.Put(BucketRequests, id[:], sealed.request); err != nil {
			return err
		}
		if err := errors.Join(
			takeFiles(tx, id, ch.files), s.sweepFiles(tx, id, ch.files),
			s.reindex(tx, id, groupPerson, s.personEntries(id, ch.request.From())),
		); err != nil {
			return err
		}
		ch.cases[0].files = ch.files
	}
	for i, e := range sealed.evidence {
		if err := tx.Put(BucketEvidence, numbered(id, ch.firstEvidence+i), e); err != nil {
			return err
		}
	}
	return nil
}

// putPictures stores the pictures that are kept, and removes those of items that
// are not accepted.
func (s *caseStore) putPictures(tx StoreTx, ch *change, _ sealedChange) error {
	for _, c := range ch.cases {
		for i := range c.Items {
			it := &c.Items[i]
			if n, ok := it.imageNumber(); ok && it.Outcome != "" && it.Outcome != OutcomeAccepted {
				if err := tx.Delete(BucketPictures, numbered(c.ID, n)); err != nil {
					return err
				}
			}
		}
	}
	for _, i := range ch.keep {
		if err := s.keepPicture(tx, ch.cases[0].ID, i, ch.cases[0].files[i]); err != nil {
			return err
		}
	}
	return nil
}

// putOutbox empties the outbox of the first case, or puts events into it.
func (s *caseStore) putOutbox(tx StoreTx, ch *change, _ sealedChange) error {
	id := ch.cases[0].ID
	if ch.finished {
		if err := unqueue(tx, id, ch.delivered); err != nil {
			return err
		}
	}
	return s.queue(tx, id, ch.events)
}

// forget removes the personal data of the first case, and what its rules were made
// of, as far as the change asks for it.
func (s *caseStore) forget(tx StoreTx, ch *change, _ sealedChange) error {
	id := ch.cases[0].ID
	if ch.erase {
		if err := errors.Join(
			tx.Delete(BucketRequests, id[:]), deletePrefix(tx, BucketEvidence, id[:]), deletePrefix(tx, BucketNotes, id[:]), s.reindex(tx, id, groupPerson, nil),
		); err != nil {
			return err
		}
		if err := s.dropMessages(tx, id); err != nil {
			return err
		}
	}
	if ch.forget {
		if err := errors.Join(
			tx.Delete(BucketMaterial, id[:]), deletePrefix(tx, BucketPictures, id[:]), s.reindex(tx, id, groupMaterial, nil),
		); err != nil {
			return err
		}
	}
	if ch.erase || ch.cases[0].Erased() {
		return s.sweepFiles(tx, id, nil)
	}
	return nil
}

func (s *caseStore) putMessages(tx StoreTx, ch *change, _ sealedChange) error {
	if c := ch.cases[0]; ch.confirmed && c.Request != nil {
		if err := s.confirmed(tx, c.ID, c.Request.From().Email, s.now()); err != nil {
			return err
		}
	}
	for _, m := range ch.messages {
		if err := s.putMessage(tx, m); err != nil {
			return err
		}
	}
	return nil
}

// putCases stores the cases, and their steps in the log.
func (s *caseStore) putCases(tx StoreTx, ch *change, _ sealedChange) error {
	if err := putDestroyed(tx, ch.destroys()); err != nil {
		return err
	}
	for _, c := range ch.cases {
		for _, id := range c.gone {
			if err := tx.Delete(BucketTemplates, id); err != nil {
				return err
			}
		}
		if err := appendLog(tx, s.policy, c.log); err != nil {
			return err
		}
		if err := s.putCase(tx, c); err != nil {
			return err
		}
	}
	return nil
}
