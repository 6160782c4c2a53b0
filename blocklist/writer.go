package blocklist

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

var errExist = iofs.ErrExist

// writer owns the journal and the fold of a list. One goroutine commits what
// Append hands over, everything that waits in one go, and publishes the State
// that shows it. Another one compacts.
type writer struct {
	list    *List
	dir     string
	journal *log
	fold    *fold // owned by the goroutine of run

	faceKeys *faceKeys

	requests chan *request
	tasks    chan func() // run between commits, by the goroutine of run
	wake     chan struct{}
	limit    int
	forget   time.Duration
	merging  bool // owned by the goroutine of run

	moreMu sync.Mutex
	moreCh chan struct{} // closed when there are more events; nil if nobody waits

	compacting sync.Mutex
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	closing    sync.RWMutex // read-held while a request is handed over
	closed     bool
	done       sync.WaitGroup
}

type request struct {
	events []Event
	store  func([]Entry) error    // writes the entries in place of the journal; nil for none
	faces  map[*Rule][]FaceVector // of rules that bring some, opened
	seqs   []uint64
	err    error
	done   chan struct{}
}

// maxGroup bounds the events of one commit, so that none waits long for others.
const maxGroup = 4096

// forgetEvery is how often a list looks for faces of rules that have ended.
const forgetEvery = 24 * time.Hour

func startWriter(l *List, dir string, j *log, f *fold, limit int, forget time.Duration) *writer {
	w := &writer{
		list: l, dir: dir, journal: j, fold: f, limit: limit, forget: forget, faceKeys: l.open.faceKeys,
		requests: make(chan *request, 256),
		tasks:    make(chan func()),
		wake:     make(chan struct{}, 1),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.done.Add(1)
	go w.run()
	if limit >= 0 {
		w.done.Add(1)
		go w.compactWhenNeeded()
	}
	return w
}

func (w *writer) append(ctx context.Context, r *request) ([]uint64, error) {
	w.closing.RLock()
	if w.closed {
		w.closing.RUnlock()
		return nil, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	select {
	case w.requests <- r:
		w.closing.RUnlock()
	case <-ctx.Done():
		w.closing.RUnlock()
		return nil, ctx.Err()
	}
	select {
	case <-r.done:
		return r.seqs, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run commits requests until they are closed.
func (w *writer) run() {
	defer w.done.Done()
	var broken error
	for {
		select {
		case r, ok := <-w.requests:
			if !ok {
				return
			}
			for _, group := range w.gather(r) {
				err := broken
				if err == nil {
					err = w.commit(group)
				}
				if errors.Is(err, ErrBroken) && !errors.Is(err, errUnsure) {
					broken = err
				}
				for _, r := range group {
					if err != nil {
						r.seqs, r.err = nil, err
					}
					close(r.done)
				}
			}
		case task := <-w.tasks:
			task()
		}
	}
}

// gather returns r and what waits behind it, in groups that are committed together. A
// request with a transaction of its own is a group of its own.
func (w *writer) gather(r *request) [][]*request {
	groups, n := [][]*request{{r}}, len(r.events)
	for n < maxGroup {
		select {
		case next, ok := <-w.requests:
			if !ok {
				return groups
			}
			if next.store != nil || r.store != nil {
				groups = append(groups, nil)
			}
			last := len(groups) - 1
			groups[last] = append(groups[last], next)
			n += len(next.events)
			r = next
		default:
			return groups
		}
	}
	return groups
}

// commit makes the events of a group durable, then visible.
func (w *writer) commit(group []*request) (err error) {
	start, n := time.Now(), 0
	defer func() { w.list.report(start, Observation{Op: OpAppend, Count: n, Err: err}) }()
	events := make([][]Event, len(group))
	opened := map[*Rule][]FaceVector{}
	for i, r := range group {
		events[i] = r.events
		maps.Copy(opened, r.faces)
	}
	seqs, fresh, err := w.journal.append(events, group[0].store)
	if errors.Is(err, ErrNotWritten) {
		return fmt.Errorf("blocklist: %w", err)
	}
	if err != nil {
		return fmt.Errorf("blocklist: %w: %w", ErrBroken, err)
	}
	n = len(fresh)
	w.fold.opened = opened
	for i := range fresh {
		w.fold.apply(&fresh[i])
	}
	w.fold.opened = nil
	if len(fresh) > 0 {
		w.show()
		w.moreMu.Lock()
		if w.moreCh != nil {
			close(w.moreCh)
			w.moreCh = nil
		}
		w.moreMu.Unlock()
	}
	for i, r := range group {
		r.seqs = seqs[i]
	}
	if err := w.destroyEnded(); err != nil {
		// The rules have ended, but Append promises more. Open makes up for it.
		return fmt.Errorf("blocklist: %w: %w", ErrBroken, err)
	}
	return nil
}

// destroyEnded destroys the keys of the faces whose rules have been revoked.
func (w *writer) destroyEnded() error {
	ids := make([][16]byte, len(w.fold.ended))
	for i, rule := range w.fold.ended {
		e, err := w.journal.get(rule)
		if err != nil {
			return err
		}
		ids[i] = e.ID
	}
	w.fold.ended = nil
	return w.faceKeys.destroy(ids...)
}

// more returns a channel that is closed by the next commit.
func (w *writer) more() <-chan struct{} {
	w.moreMu.Lock()
	defer w.moreMu.Unlock()
	if w.moreCh == nil {
		w.moreCh = make(chan struct{})
	}
	return w.moreCh
}

// show publishes the state and wakes the compaction when it is due.
func (w *writer) show() {
	w.list.view.Store(w.fold.view())
	if w.due() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	w.merge()
}

// merge begins to merge runs of hashes beside the commits, one merge at a time.
func (w *writer) merge() {
	if w.merging {
		return
	}
	f := w.fold
	for a := range f.hashes {
		due := f.hashes[a].due()
		if due == nil {
			continue
		}
		w.merging = true
		w.done.Add(1)
		go func() {
			defer w.done.Done()
			run := merge(due)
			w.do(w.ctx, func() { // not if the list is closing
				w.merging = false
				if w.fold == f {
					f.hashes[a].replace(due, run)
				}
				w.show()
			})
		}()
		return
	}
}

// due reports whether so much lies beside the base that it should become one with
// it.
func (w *writer) due() bool {
	switch n := w.list.State().since(); {
	case w.limit < 0:
		return false
	case w.limit > 0:
		return n > w.limit
	default:
		return n > max(200_000, (w.fold.base.len()+len(w.fold.base.keyLo))/8) || len(w.fold.features.grants) > maxFeatureDelta
	}
}

// do runs a task between commits.
func (w *writer) do(ctx context.Context, task func()) error {
	done := make(chan struct{})
	select {
	case w.tasks <- func() { task(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ctx.Done():
		return fmt.Errorf("blocklist: %w", ErrClosed)
	}
}

// firstErase is how long after its start a list looks for what is to be erased.
const firstErase = time.Minute

func (w *writer) compactWhenNeeded() {
	defer w.done.Done()
	forget := time.NewTicker(w.forget)
	defer forget.Stop()
	first := time.NewTimer(min(firstErase, w.forget))
	defer first.Stop()
	for {
		var erase bool
		select {
		case <-forget.C:
			erase = true
			if w.list.State().hasEndedPictures(w.list.settledUnix()) {
				select {
				case w.wake <- struct{}{}:
				default:
				}
			}
		case <-first.C:
			erase = true
		case <-w.wake:
			_ = w.compact(w.ctx, true) // it is reported
		case <-w.ctx.Done():
			return
		}
		if erase {
			_, _ = w.erase(w.ctx, nil, true) // it is reported
		}
		if w.ctx.Err() != nil {
			return
		}
	}
}

// compact writes a snapshot of the list as it is, unless that would be the one it
// stands on, and goes on from it.
func (w *writer) compact(ctx context.Context, background bool) (err error) {
	w.compacting.Lock()
	defer w.compacting.Unlock()
	if err := w.ctx.Err(); err != nil {
		return fmt.Errorf("blocklist: %w", ErrClosed)
	}
	start := time.Now()
	defer func() {
		w.list.report(start, Observation{Op: OpCompact, Count: w.list.State().rules, Background: background, Err: err})
	}()
	v := w.list.State()
	if err := w.faceKeys.retainLive(w.journal, v, w.list.settledUnix()); err != nil {
		return err
	}
	if v.since() == 0 && v.base.header.seq == v.seq && !v.hasEndedPictures(w.list.settledUnix()) {
		return nil
	}
	if err := w.compactNow(ctx, nil); err != nil {
		return err
	}
	return w.removeSnapshots(2)
}

// compactNow writes a snapshot of the list as it is, without some rules that have
// ended, opens and checks it, and folds the events that came meanwhile onto it. The
// lock for it is held.
func (w *writer) compactNow(ctx context.Context, without []uint64) error {
	l := w.list
	m, err := l.moment()
	if err != nil {
		return err
	}
	b, err := w.snapshot(&m, without)
	m.forget()
	if err != nil {
		return err
	}
	f := l.newFold(b)
	f.faceKeys = w.faceKeys
	// Catch up outside of the writer until little is left, then within it.
	for range 8 {
		if l.State().seq-f.seq < 64 {
			break
		}
		if err := w.catchUp(ctx, f); err != nil {
			return err
		}
	}
	f.mergeAll()
	var caught error
	err = w.do(ctx, func() {
		if caught = errors.Join(w.catchUp(w.ctx, f), f.keyError); caught == nil {
			f.ended = nil // as the fold that is replaced has seen to
			w.fold = f
			w.show()
		}
	})
	return errors.Join(err, caught)
}

// snapshot writes the snapshot of a moment and opens it: in the folder, or in
// memory if there is none.
func (w *writer) snapshot(m *moment, without []uint64) (*base, error) {
	l := w.list
	o := writeOptions{created: m.at, settled: l.settledUnix(), endedBefore: l.endedBefore(), without: without}
	if w.dir == "" {
		return snapshotInMemory(m, &o)
	}
	path := filepath.Join(w.dir, snapshotName(m.view.seq))
	if err := l.writeSnapshotFile(path, m, o); err != nil {
		return nil, err
	}
	b, err := l.openSnapshot(path)
	if err != nil {
		// It never becomes a candidate for New.
		return nil, errors.Join(err, l.fs.Remove(path))
	}
	return b, nil
}

func (w *writer) catchUp(ctx context.Context, f *fold) error {
	err := w.journal.readLinked(f.seq, f.digest, func(e *committed) bool {
		f.apply(e)
		return ctx.Err() == nil
	})
	return errors.Join(err, ctx.Err())
}

// removeSnapshots destroys all snapshots but the newest: the one in use, and the
// one to fall back to.
func (w *writer) removeSnapshots(keep int) error {
	if w.dir == "" {
		return nil
	}
	names, err := w.list.fs.List(w.dir)
	if err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !isSnapshotName(n) })
	slices.Sort(names)
	for _, name := range names[:max(0, len(names)-keep)] {
		if err := w.list.destroy(filepath.Join(w.dir, name)); err != nil {
			return fmt.Errorf("blocklist: %w", err)
		}
	}
	return nil
}

func (w *writer) close() error {
	w.closing.Lock()
	if w.closed {
		w.closing.Unlock()
		return nil
	}
	w.closed = true
	w.closing.Unlock()
	w.cancel()
	// A compaction that runs ends first; one that comes later sees ctx.
	w.compacting.Lock()
	//lint:ignore SA2001 there is nothing to do but to wait
	w.compacting.Unlock()
	close(w.requests)
	w.done.Wait()
	if err := errors.Join(w.faceKeys.close(), w.journal.close()); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return nil
}
