package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown/desk"
)

// RunJoint tests a journal that shares the transactions of a store. open opens both,
// empty at first, and the same ones again each time it is called.
func RunJoint(t *testing.T, open func(testing.TB) (desk.Store, desk.JointJournal)) {
	s, j := open(t)
	defer func() { s.Close(); j.Close() }()
	if !j.With(s) || j.With(Memory()) || j.With(nil) {
		t.Errorf("With its store: %v, with another one: %v, with none: %v", j.With(s), j.With(Memory()), j.With(nil))
	}
	joint := &joint{t: t, s: s, j: j}
	if err := j.SetMeta([]byte("meta")); err != nil {
		t.Fatal(err)
	}

	joint.want(0)
	joint.must(3)
	joint.want(3)
	joint.fails("an error of the function", func(tx desk.StoreTx) error {
		return errors.Join(j.AppendIn(tx, entries(4, 2)), errStopped)
	}, errStopped)
	joint.fails("an error of the function before", func(tx desk.StoreTx) error { return errStopped }, errStopped)
	joint.fails("a gap", func(tx desk.StoreTx) error { return j.AppendIn(tx, entries(5, 1)) }, blocklist.ErrJournal)
	joint.fails("a number twice", func(tx desk.StoreTx) error { return j.AppendIn(tx, entries(3, 1)) }, blocklist.ErrJournal)
	joint.fails("a transaction of another store", func(desk.StoreTx) error {
		return Memory().Update(func(tx desk.StoreTx) error { return j.AppendIn(tx, entries(4, 1)) })
	}, nil)
	joint.must(2)
	joint.want(5)
	if err := s.Update(func(tx desk.StoreTx) error { // twice in a transaction
		return errors.Join(j.AppendIn(tx, entries(6, 1)), j.AppendIn(tx, entries(7, 1)), joint.put(tx, 7))
	}); err != nil {
		t.Fatal(err)
	}
	joint.n = 7
	if err := j.Append(entries(8, 1)); err != nil { // and beside it
		t.Fatal(err)
	}
	if err := s.Update(func(tx desk.StoreTx) error { return joint.put(tx, 8) }); err != nil {
		t.Fatal(err)
	}
	joint.n = 8
	joint.want(8)
	joint.together()

	if err := errors.Join(s.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	s, j = open(t)
	joint.s, joint.j = s, j
	joint.want(joint.n)
	joint.must(1)
	if meta, err := j.Meta(); err != nil || string(meta) != "meta" {
		t.Errorf("the metadata is %q, %v", meta, err)
	}
}

var errStopped = errors.New("stopped")

// entries makes entries from a number on.
func entries(from uint64, n int) (list []blocklist.Entry) {
	for seq := from; seq < from+uint64(n); seq++ {
		e := blocklist.Entry{Seq: seq, Digest: sha256.Sum256(fmt.Append(nil, seq)), Target: seq - 1, Data: fmt.Appendf(nil, "entry %d", seq)}
		copy(e.ID[:], e.Digest[8:])
		list = append(list, e)
	}
	return list
}

// joint are a store and a journal; the store has the number of the last entry.
type joint struct {
	t *testing.T
	s desk.Store
	j desk.JointJournal
	n uint64
}

var lastKey = []byte("last entry")

func (x *joint) put(tx desk.StoreTx, n uint64) error {
	return tx.Put(desk.BucketMeta, lastKey, fmt.Append(nil, n))
}

// must adds entries, and their number, in one transaction.
func (x *joint) must(n int) {
	x.t.Helper()
	if err := x.s.Update(func(tx desk.StoreTx) error {
		return errors.Join(x.put(tx, x.n+uint64(n)), x.j.AppendIn(tx, entries(x.n+1, n)))
	}); err != nil {
		x.t.Fatal(err)
	}
	x.n += uint64(n)
}

// fails runs a transaction that has to fail, and to leave nothing of itself.
func (x *joint) fails(what string, f func(desk.StoreTx) error, want error) {
	x.t.Helper()
	err := x.s.Update(func(tx desk.StoreTx) error {
		return errors.Join(x.put(tx, 99), tx.Put(desk.BucketCases, []byte("half"), []byte("done")), f(tx))
	})
	if err == nil || want != nil && !errors.Is(err, want) {
		x.t.Errorf("%s: %v, want %v", what, err, want)
	}
	x.want(x.n)
}

// want looks whether both have entries up to a number, and nothing else.
func (x *joint) want(n uint64) {
	x.t.Helper()
	last, err := x.j.Last()
	there, failed := x.stored()
	if err != nil || failed != nil || last != n || there != n {
		x.t.Errorf("the journal is at %d, %v, and the store at %d, %v; want %d", last, err, there, failed, n)
	}
	if err := x.s.View(func(tx desk.StoreTx) error {
		v, err := tx.Get(desk.BucketCases, []byte("half"))
		if v != nil {
			x.t.Errorf("the store has %q", v)
		}
		return err
	}); err != nil {
		x.t.Error(err)
	}
	x.wantEntries(n)
}

// wantEntries looks whether the journal has entries up to a number.
func (x *joint) wantEntries(n uint64) {
	x.t.Helper()
	var all []blocklist.Entry
	for more := true; more; {
		some, err := x.j.Read(uint64(len(all))+1, 100)
		if err != nil {
			x.t.Fatal(err)
		}
		all, more = append(all, some...), len(some) > 0
	}
	expected := entries(1, int(n))
	for i := range all {
		if i >= len(expected) || all[i].ID != expected[i].ID || all[i].Digest != expected[i].Digest || all[i].Target != expected[i].Target || !bytes.Equal(all[i].Data, expected[i].Data) {
			x.t.Errorf("entry %d is %+v", i+1, all[i])
			return
		}
	}
	if uint64(len(all)) != n {
		x.t.Errorf("%d entries, want %d", len(all), n)
	}
	ahead := entries(n+1, 1)[0]
	if seqs, err := x.j.Find(ahead.ID); err != nil || seqs[0] != 0 {
		x.t.Errorf("an entry that is not there is found: %v, %v", seqs, err)
	}
}

func (x *joint) stored() (n uint64, err error) {
	err = x.s.View(func(tx desk.StoreTx) error {
		v, err := tx.Get(desk.BucketMeta, lastKey)
		if err == nil && v != nil {
			_, err = fmt.Sscan(string(v), &n)
		}
		return err
	})
	return n, err
}

// together reads both while a writer goes on: neither is ever ahead of the other.
func (x *joint) together() {
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	var looked atomic.Int64
	wg.Go(func() {
		for ctx.Err() == nil {
			before, err := x.j.Last()
			there, failed := x.stored()
			after, last := x.j.Last()
			if err := errors.Join(err, failed, last); err != nil || there < before || after < there {
				x.t.Errorf("the journal is at %d, then the store at %d, then the journal at %d: %v", before, there, after, err)
				return
			}
			looked.Add(1)
		}
	})
	for i := 0; i < 60 || looked.Load() < 20 && !x.t.Failed(); i++ {
		if i%3 == 2 {
			x.fails("beside readers", func(tx desk.StoreTx) error { return errors.Join(x.j.AppendIn(tx, entries(x.n+1, 1)), errStopped) }, errStopped)
			continue
		}
		x.must(1 + i%2)
	}
	stop()
	wg.Wait()
}
