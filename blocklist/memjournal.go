package blocklist

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// memoryJournal is a Journal for lists that end with their process.
type memoryJournal struct {
	mu      sync.RWMutex
	meta    []byte
	entries []Entry
	ids     map[[16]byte]uint64
	targets map[uint64][]uint64
	closed  bool
}

// NewMemoryJournal returns an empty Journal in memory. It is for tests and
// examples: its entries are lost with it.
func NewMemoryJournal() Journal {
	return &memoryJournal{ids: map[[16]byte]uint64{}, targets: map[uint64][]uint64{}}
}

// use locks the journal for reading, unless it was closed.
func (m *memoryJournal) use() (unlock func(), err error) {
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return nil, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	return m.mu.RUnlock, nil
}

// change locks it for writing.
func (m *memoryJournal) change() (unlock func(), err error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	return m.mu.Unlock, nil
}

func (m *memoryJournal) Meta() ([]byte, error) {
	unlock, err := m.use()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return slices.Clone(m.meta), nil
}

func (m *memoryJournal) SetMeta(meta []byte) error {
	unlock, err := m.change()
	if err != nil {
		return err
	}
	defer unlock()
	m.meta = slices.Clone(meta)
	return nil
}

func (m *memoryJournal) Last() (uint64, error) {
	unlock, err := m.use()
	if err != nil {
		return 0, err
	}
	defer unlock()
	return uint64(len(m.entries)), nil
}

func (m *memoryJournal) Append(entries []Entry) error {
	unlock, err := m.change()
	if err != nil {
		return err
	}
	defer unlock()
	for i := range entries {
		if want := uint64(len(m.entries) + i + 1); entries[i].Seq != want {
			return fmt.Errorf("blocklist: entry %d, and %d is next: %w", entries[i].Seq, want, ErrJournal)
		}
	}
	for _, e := range entries {
		e.Data = slices.Clone(e.Data)
		m.entries = append(m.entries, e)
		m.ids[e.ID] = e.Seq
		if e.Target != 0 {
			m.targets[e.Target] = append(m.targets[e.Target], e.Seq)
		}
	}
	return nil
}

func (m *memoryJournal) Read(from uint64, limit int) ([]Entry, error) {
	unlock, err := m.use()
	if err != nil {
		return nil, err
	}
	defer unlock()
	from = max(from, 1)
	if from > uint64(len(m.entries)) {
		return nil, nil
	}
	some := m.entries[from-1:]
	some = slices.Clone(some[:min(len(some), limit)])
	for i := range some {
		some[i].Data = slices.Clone(some[i].Data)
	}
	return some, nil
}

func (m *memoryJournal) Find(ids ...[16]byte) ([]uint64, error) {
	unlock, err := m.use()
	if err != nil {
		return nil, err
	}
	defer unlock()
	seqs := make([]uint64, len(ids))
	for i, id := range ids {
		seqs[i] = m.ids[id]
	}
	return seqs, nil
}

func (m *memoryJournal) Targeting(target uint64) ([]uint64, error) {
	unlock, err := m.use()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return slices.Clone(m.targets[target]), nil
}

func (m *memoryJournal) Rewrite(ctx context.Context, change func(Entry) ([]byte, error)) error {
	unlock, err := m.change()
	if err != nil {
		return err
	}
	defer unlock()
	fresh := slices.Clone(m.entries)
	var old [][]byte
	for i := range fresh {
		data, err := change(fresh[i])
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if data != nil {
			old = append(old, fresh[i].Data)
			fresh[i].Data = slices.Clone(data)
		}
	}
	for _, data := range old {
		clear(data)
	}
	m.entries = fresh
	return nil
}

func (m *memoryJournal) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
