// Package storetest has the tests that every desk.Store and every desk.JointJournal
// must pass, and a store in memory for the tests of hosts.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown/desk"
)

// Run tests a store. open opens the same store again each time it is called,
// as after a restart; it is never called while the store is open.
func Run(t *testing.T, open func(testing.TB) desk.Store) {
	s := open(t)
	defer func() { s.Close() }()
	put := func(s desk.Store, b desk.Bucket, key, value string) {
		t.Helper()
		if err := s.Update(func(tx desk.StoreTx) error { return tx.Put(b, []byte(key), []byte(value)) }); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, b desk.Bucket, prefix string, pairs ...string) {
		t.Helper()
		var got []string
		err := s.View(func(tx desk.StoreTx) error {
			return tx.Scan(b, []byte(prefix), nil, func(k, v []byte) error {
				got = append(got, string(k)+"="+string(v))
				return nil
			})
		})
		if diff := cmp.Diff(pairs, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}

	for _, b := range desk.Buckets {
		want("a new store", b, "")
		put(s, b, "k", string(b))
	}
	for _, b := range desk.Buckets {
		want("each bucket for itself", b, "", "k="+string(b))
	}

	const b = desk.BucketCases
	put(s, b, "b", "2")
	put(s, b, "a\x00", "0")
	put(s, b, "a\xff", "1")
	put(s, b, "b", "two")
	want("in the order of the bytes, replaced", b, "", "a\x00=0", "a\xff=1", "b=two", "k=cases")
	want("by prefix", b, "a", "a\x00=0", "a\xff=1")
	want("by a prefix that none has", b, "z")

	from := func(prefix, from string, pairs ...string) {
		t.Helper()
		var got []string
		err := s.View(func(tx desk.StoreTx) error {
			return tx.Scan(b, []byte(prefix), []byte(from), func(k, v []byte) error {
				got = append(got, string(k)+"="+string(v))
				return nil
			})
		})
		if diff := cmp.Diff(pairs, got); diff != "" || err != nil {
			t.Errorf("prefix %q from %q: %v (-want +got):\n%s", prefix, from, err, diff)
		}
	}
	from("", "a\x01", "a\xff=1", "b=two", "k=cases")
	from("", "b", "b=two", "k=cases")
	from("a", "a\x00\x00", "a\xff=1")
	from("b", "a", "b=two") // from before the prefix
	from("a", "b")
	many(t, s)

	failed := errors.New("failed")
	err := s.Update(func(tx desk.StoreTx) error {
		return errors.Join(tx.Put(b, []byte("c"), []byte("3")), tx.Delete(b, []byte("b")), tx.Put(desk.BucketLog, []byte("c"), nil), failed)
	})
	if !errors.Is(err, failed) {
		t.Errorf("Update returned %v, want the error of its function", err)
	}
	want("nothing of a failed update", b, "b", "b=two")
	want("nothing of a failed update", desk.BucketLog, "c")

	err = s.Update(func(tx desk.StoreTx) error {
		if err := errors.Join(tx.Put(b, []byte("c"), []byte("3")), tx.Delete(b, []byte("b")), tx.Delete(b, []byte("not there"))); err != nil {
			return err
		}
		if v, err := tx.Get(b, []byte("c")); err != nil || string(v) != "3" {
			return fmt.Errorf("a transaction does not see its own write: %q, %v", v, err)
		}
		if v, err := tx.Get(b, []byte("b")); err != nil || v != nil {
			return fmt.Errorf("a transaction sees what it deleted: %q, %v", v, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	want("after an update", b, "", "a\x00=0", "a\xff=1", "c=3", "k=cases")

	stopped := errors.New("stopped")
	n := 0
	err = s.View(func(tx desk.StoreTx) error {
		return tx.Scan(b, nil, nil, func(_, _ []byte) error { n++; return stopped })
	})
	if n != 1 || !errors.Is(err, stopped) {
		t.Errorf("Scan went on %d times after an error and returned %v", n, err)
	}

	// What a caller does with its slices later changes nothing.
	key, value := []byte("mine"), []byte("value")
	if err := s.Update(func(tx desk.StoreTx) error { return tx.Put(b, key, value) }); err != nil {
		t.Fatal(err)
	}
	copy(key, "----")
	copy(value, "-----")
	want("slices of the caller", b, "m", "mine=value")

	// Updates follow one another; each reads what the one before wrote.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if err := s.Update(func(tx desk.StoreTx) error {
					v, err := tx.Get(desk.BucketMeta, []byte("count"))
					if err != nil {
						return err
					}
					return tx.Put(desk.BucketMeta, []byte("count"), append(bytes.Clone(v), 'x'))
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want("80 updates at once", desk.BucketMeta, "count", "count="+strings.Repeat("x", 80))

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t)
	want("opened again", b, "", "a\x00=0", "a\xff=1", "c=3", "k=cases", "mine=value")
}

// many scans more keys than a store is likely to read at once, and reads others
// meanwhile.
func many(t *testing.T, s desk.Store) {
	t.Helper()
	const n = 3000
	key := func(i int) []byte { return fmt.Appendf(nil, "key %05d", i) }
	if err := s.Update(func(tx desk.StoreTx) (err error) {
		for i := range n {
			err = errors.Join(err, tx.Put(desk.BucketIndex, key(i), bytes.Repeat([]byte{byte(i)}, i%700)))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(func(tx desk.StoreTx) error {
		i := 10
		err := tx.Scan(desk.BucketIndex, []byte("key "), key(i), func(k, v []byte) error {
			if !bytes.Equal(k, key(i)) || !bytes.Equal(v, bytes.Repeat([]byte{byte(i)}, i%700)) {
				return fmt.Errorf("key %q with %d bytes where %d should be", k, len(v), i)
			}
			if i++; i%100 == 0 {
				other, err := tx.Get(desk.BucketIndex, key(n-i))
				if err != nil || len(other) != (n-i)%700 {
					return fmt.Errorf("key %d, read beside a scan, has %d bytes: %v", n-i, len(other), err)
				}
			}
			return nil
		})
		if err == nil && i != n {
			err = fmt.Errorf("a scan ends at key %d of %d", i, n)
		}
		for i := range n {
			err = errors.Join(err, tx.Delete(desk.BucketIndex, key(i)))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// Memory returns a store that forgets everything when the process ends; closing
// it changes nothing.
func Memory() desk.Store { return newMemory() }

// MemoryWithJournal returns a store as Memory does, and a journal that shares its
// transactions.
func MemoryWithJournal() (desk.Store, desk.JointJournal) {
	m := newMemory()
	m.journal = blocklist.NewMemoryJournal()
	return m, memoryJournal{m.journal, m}
}

func newMemory() *memory {
	m := &memory{buckets: map[desk.Bucket]map[string][]byte{}}
	for _, b := range desk.Buckets {
		m.buckets[b] = map[string][]byte{}
	}
	return m
}

type memory struct {
	mu      sync.RWMutex
	buckets map[desk.Bucket]map[string][]byte
	journal blocklist.Journal // or nil
}

func (m *memory) Close() error { return nil }

func (m *memory) View(f func(desk.StoreTx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return f(&memoryTx{of: m, buckets: m.buckets})
}

func (m *memory) Update(f func(desk.StoreTx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	// A bucket is copied before it is changed, so that a failed update leaves no
	// trace; values are never changed in place.
	tx := &memoryTx{of: m, buckets: maps.Clone(m.buckets), own: map[desk.Bucket]bool{}}
	if err := f(tx); err != nil {
		return err
	}
	if len(tx.entries) > 0 {
		if err := m.journal.Append(tx.entries); err != nil {
			return err
		}
	}
	m.buckets = tx.buckets
	return nil
}

type memoryTx struct {
	of      *memory
	buckets map[desk.Bucket]map[string][]byte
	own     map[desk.Bucket]bool // the buckets that were copied
	entries []blocklist.Entry    // for the journal, with the commit
}

// writable returns a bucket that this transaction may change.
func (t *memoryTx) writable(b desk.Bucket) map[string][]byte {
	if !t.own[b] {
		t.own[b], t.buckets[b] = true, maps.Clone(t.buckets[b])
	}
	return t.buckets[b]
}

func (t *memoryTx) Get(b desk.Bucket, key []byte) ([]byte, error) {
	return t.buckets[b][string(key)], nil
}

func (t *memoryTx) Put(b desk.Bucket, key, value []byte) error {
	t.writable(b)[string(key)] = append([]byte{}, value...)
	return nil
}

func (t *memoryTx) Delete(b desk.Bucket, key []byte) error {
	delete(t.writable(b), string(key))
	return nil
}

func (t *memoryTx) Scan(b desk.Bucket, prefix, from []byte, f func(key, value []byte) error) error {
	var keys []string
	for k := range t.buckets[b] {
		if strings.HasPrefix(k, string(prefix)) && k >= string(from) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := f([]byte(k), t.buckets[b][k]); err != nil {
			return err
		}
	}
	return nil
}

// memoryJournal shows entries when the transaction that has them is stored.
type memoryJournal struct {
	blocklist.Journal
	m *memory
}

func (j memoryJournal) With(s desk.Store) bool {
	m, ok := s.(*memory)
	return ok && m == j.m
}

func (j memoryJournal) Last() (uint64, error) {
	j.m.mu.RLock()
	defer j.m.mu.RUnlock()
	return j.Journal.Last()
}

func (j memoryJournal) AppendIn(tx desk.StoreTx, entries []blocklist.Entry) error {
	t, ok := tx.(*memoryTx)
	if !ok || t.of != j.m {
		return errors.New("storetest: the transaction is of another store")
	}
	last, err := j.Journal.Last()
	if err != nil {
		return err
	}
	for i := range entries {
		if want := last + uint64(len(t.entries)+1); entries[i].Seq != want {
			return fmt.Errorf("storetest: entry %d, and %d is next: %w", entries[i].Seq, want, blocklist.ErrJournal)
		}
		t.entries = append(t.entries, entries[i])
	}
	return nil
}
