package desk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// ErrUnfinished is returned when the rules for addresses have changed while moves
// of cases were interrupted. The program version that began the moves has to
// finish them: open the desk once with it.
var ErrUnfinished = errors.New("takedown: moves of cases are not finished")

// rekeyAddresses makes a list that follows older rules for addresses anew. The
// desk has the addresses of its cases sealed, and so can make their digests by
// today's rules.
//
// Of a rule that has ended nobody needs the addresses: random digests take
// their place. The same holds for addresses that were learned: they are not
// kept, and are learned again when a crawler meets the copy there.
func (d *Desk) rekeyAddresses(dir string, o *blocklist.Options) error {
	ids, err := d.store.unfinished()
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		return fmt.Errorf("%w: %d cases; open the desk once with the version that follows the older rules for addresses", ErrUnfinished, len(ids))
	}
	r := rekeying{store: d.store}
	if err := boltjournal.Rekey(context.Background(), dir, o, o, r.addresses); err != nil {
		return fmt.Errorf("takedown: the list could not be made anew by the current rules for addresses: %w", err)
	}
	return nil
}

// rekeying finds the addresses of events. The events of one case mostly follow
// each other, so the last case is kept.
type rekeying struct {
	store *caseStore
	c     *caseRecord
	mats  []request.Material
}

func (r *rekeying) addresses(e blocklist.Event, digest func(blocklist.AddressKind, string) (blocklist.Digest, error)) ([]blocklist.Address, error) {
	if e.Rule == nil {
		return lostAddresses(e.Keys.Addresses), nil
	}
	if err := r.load(e.Rule.Case); err != nil {
		return nil, err
	}
	var list []blocklist.Address
	for i, it := range r.items() {
		if it.Rule != e.Seq || it.Kind != request.ItemImageURL && it.Kind != request.ItemPageURL && it.Kind != request.ItemHost {
			continue
		}
		if i >= len(r.mats) {
			return nil, fmt.Errorf("%w: case %v has lost the address of item %d", ErrStore, r.c.ID, i)
		}
		for _, kind := range it.addressKinds() {
			key, err := digest(kind, r.mats[i].Address)
			var refused *blocklist.AddressError
			if errors.As(err, &refused) {
				continue // by today's rules it is no address, and nothing has it
			}
			if err != nil {
				return nil, err
			}
			list = append(list, blocklist.Address{Kind: kind, Digest: key})
		}
	}
	if list == nil {
		return lostAddresses(e.Rule.Keys.Addresses), nil
	}
	return list, nil
}

// load reads a case and its addresses. A rule may be of a case that is not in
// the store.
func (r *rekeying) load(id takedown.CaseID) error {
	if r.c != nil && r.c.ID == id {
		return nil
	}
	c, err := r.store.get(id)
	if errors.Is(err, ErrNoCase) {
		r.c, r.mats = &caseRecord{Case: Case{ID: id}}, nil
		return nil
	}
	if err == nil {
		r.c = c
		r.mats, err = r.store.material(id)
	}
	return err
}

// items returns the items of the case that are in force.
func (r *rekeying) items() []CaseItem {
	if r.c.ended() {
		return nil
	}
	return r.c.Items
}

// lostAddresses returns as many digests that no address has.
func lostAddresses(old []blocklist.Address) []blocklist.Address {
	list := make([]blocklist.Address, len(old))
	for i, a := range old {
		list[i].Kind = a.Kind
		rand.Read(list[i].Digest[:])
	}
	return list
}
