package desk_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// interrupted is a store in which something happens between two steps of a
// reader: after it has read a value of a bucket, while its transaction goes on
// to see the state before.
type interrupted struct {
	desk.Store
	after     desk.Bucket
	meanwhile atomic.Pointer[func()]
	// committed, if it is set, is called when an update is durable.
	committed atomic.Pointer[func()]
}

func (s *interrupted) Update(f func(desk.StoreTx) error) error {
	err := s.Store.Update(f)
	if g := s.committed.Load(); g != nil && err == nil {
		(*g)()
	}
	return err
}

// View hands out a copy, so that an update need not wait for its end.
func (s *interrupted) View(f func(desk.StoreTx) error) error {
	copied := storetest.Memory()
	if err := s.Store.View(func(from desk.StoreTx) error {
		return copied.Update(func(to desk.StoreTx) (err error) {
			for _, b := range desk.Buckets {
				err = errors.Join(err, from.Scan(b, nil, nil, func(k, v []byte) error { return to.Put(b, k, v) }))
			}
			return err
		})
	}); err != nil {
		return err
	}
	return copied.View(func(tx desk.StoreTx) error { return f(interruptedTx{tx, s}) })
}

type interruptedTx struct {
	desk.StoreTx
	s *interrupted
}

func (t interruptedTx) Get(b desk.Bucket, key []byte) ([]byte, error) {
	v, err := t.StoreTx.Get(b, key)
	if b == t.s.after {
		if f := t.s.meanwhile.Swap(nil); f != nil {
			(*f)()
		}
	}
	return v, err
}

// Who reads a case sees it before or after a move, whenever the move is made,
// and never one that looks damaged: the answer to that would be a backup, with
// the face in it.
func TestCase_MovesMeanwhile(t *testing.T) {
	t.Parallel()
	withdraw := func(d *desk.Desk, id takedown.CaseID) error { return d.Withdraw(ctx, id, desk.Actor{}) }
	erase := func(d *desk.Desk, id takedown.CaseID) error { return d.Erase(ctx, id, alice) }
	type found struct {
		State desk.State
		Faces int // −1 without a request
	}
	for _, tc := range []struct {
		name      string
		meanwhile func(*desk.Desk, takedown.CaseID) error
		after     desk.Bucket
		done      bool // also the key is destroyed then
		want      found
	}{
		{"withdrawn after the case was read", withdraw, desk.BucketCases, true, found{desk.StateWithdrawn, 0}},
		{"withdrawn after the request was read", withdraw, desk.BucketRequests, true, found{desk.StateWithdrawn, 0}},
		{"withdrawn after a template was read", withdraw, desk.BucketTemplates, true, found{desk.StateWithdrawn, 0}},
		{"on the way out", withdraw, desk.BucketCases, false, found{desk.StateInForce, 2}},
		{"erased after the case was read", erase, desk.BucketCases, true, found{desk.StateWithdrawn, -1}},
		{"erased after the request was read", erase, desk.BucketRequests, true, found{desk.StateWithdrawn, -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &interrupted{Store: storetest.Memory(), after: tc.after}
			d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Store = s })
			id := accept(t, d, faceOptOut(portrait(t, 1, 0), portrait(t, 1, 1)), desk.Grant{})
			moved, goOn := make(chan error, 1), make(chan struct{})
			meanwhile := func() {
				committed := make(chan struct{}, 100)
				if !tc.done {
					stop := func() { committed <- struct{}{}; <-goOn }
					s.committed.Store(&stop)
				}
				go func() { moved <- tc.meanwhile(d, id); close(committed) }()
				<-committed
			}
			s.meanwhile.Store(&meanwhile)
			c, err := d.Case(ctx, id)
			close(goOn)
			ok(t, err)
			ok(t, <-moved)
			got := found{c.State, -1}
			if r, ok := c.Request.(request.FaceOptOut); ok {
				got.Faces = len(r.Faces)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

// A preview of a face that is withdrawn meanwhile says that it is destroyed, also
// while its key is still to be.
func TestPreview_MovesMeanwhile(t *testing.T) {
	t.Parallel()
	s := &interrupted{Store: storetest.Memory(), after: desk.BucketMaterial}
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Store = s })
	id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	moved, goOn := make(chan error, 1), make(chan struct{})
	meanwhile := func() {
		committed := make(chan struct{}, 100)
		stop := func() { committed <- struct{}{}; <-goOn }
		s.committed.Store(&stop)
		go func() { moved <- d.Withdraw(ctx, id, desk.Actor{}) }()
		<-committed
	}
	s.meanwhile.Store(&meanwhile)
	_, err := d.Preview(ctx, id, nil, nil)
	close(goOn)
	if !errors.Is(err, desk.ErrTemplateDestroyed) {
		t.Errorf("Preview: %v", err)
	}
	ok(t, <-moved)
}

// What a reply decides of another case is done when its caller gives up in the
// middle of it, and when the store fails there, by the next look at the reply.
func TestReply_CutShort(t *testing.T) {
	t.Parallel()
	s := &interrupted{Store: storetest.Memory()}
	o := newOffice(t, func(opts *desk.Options) { opts.Store = s })
	id := accept(t, o.Desk, dmca(t, published[0]), desk.Grant{Actor: alice})
	x := o.submit(t, objection(t, id))
	cancelled, cancel := context.WithCancel(ctx)
	stop := func() { cancel() }
	s.committed.Store(&stop)
	ok(t, o.Accept(cancelled, x.ID, desk.Grant{Actor: bob}))
	o.wantState(t, id, desk.StateReversed)
	o.wantBlocked(t)
	if cancelled.Err() == nil {
		t.Error("nobody gave up")
	}

	f := &faulty{Store: storetest.Memory()}
	o = newOffice(t, func(opts *desk.Options) { opts.Store = f })
	id = accept(t, o.Desk, dmca(t, published[0]), desk.Grant{Actor: alice})
	x = o.submit(t, objection(t, id))
	f.fail(2, false)
	if err := o.Accept(ctx, x.ID, desk.Grant{Actor: bob}); !errors.Is(err, errInjected) {
		t.Errorf("the store fails: %v", err)
	}
	o.wantState(t, id, desk.StateRevoking)
	var me *desk.MoveError
	if err := o.Accept(ctx, x.ID, desk.Grant{Actor: bob}); !errors.As(err, &me) || me.ID != x.ID || me.From != desk.StateClosed {
		t.Errorf("again: %v", err)
	}
	o.wantState(t, id, desk.StateReversed)
	o.wantBlocked(t)
}
