package feed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
)

// Operations of this package, as [blocklist.Observation] names them.
const (
	OpPublish blocklist.Op = "feed publish" // new files and a pointer
	OpUpdate  blocklist.Op = "feed update"  // of a reader
	OpRing    blocklist.Op = "feed ring"
)

// PublisherOptions configure NewPublisher. The zero value is the default for all
// but SigningKey.
type PublisherOptions struct {
	// SigningKey signs the pointer. It is required; the list must have one too
	// (blocklist.Options.SigningKey), usually the same.
	SigningKey ed25519.PrivateKey
	// AlsoSign are further keys that sign the pointer, while a key is replaced: at
	// most 3.
	AlsoSign []ed25519.PrivateKey
	// Dir is a folder for snapshots before they are stored; the temporary folder of
	// the system if empty.
	Dir string
	// Retain is how long a file is kept at most; 0 means 30 days. The keys of an
	// ended rule are in no file later than that after its end. Readers that were
	// offline for longer load a snapshot.
	Retain time.Duration
	// Heartbeat is how often the pointer is signed anew without changes, so that
	// readers know that the list is complete; 0 means a minute.
	Heartbeat time.Duration
	// Wait is the least time between two requests of a reader. The publisher slows
	// down its readers with it; 0 leaves the interval to them.
	Wait time.Duration
	// Grace is how long files are kept that the pointer does not name any more, for
	// readers that have an older pointer; 0 means 10 minutes. Snapshots with faces
	// that were withdrawn are deleted at once.
	Grace time.Duration
	// Bells are rung after each publication. Their errors are reported to Observer
	// and Logger, and have no other effect.
	Bells []Bell
	// Observer and Logger receive publications.
	Observer blocklist.Observer
	Logger   *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

const (
	defaultRetain    = 30 * 24 * time.Hour
	defaultHeartbeat = time.Minute
	defaultGrace     = 10 * time.Minute

	// A base is written again when the deltas after it have a quarter of its size,
	// at least so many bytes.
	leastGrowth = 1 << 20
	// Deltas are merged up to that size.
	mergeLimit = 4 << 20
)

// Publisher writes a list into a Store. Its methods are safe for concurrent use.
type Publisher struct {
	list  *blocklist.List
	store Store
	o     PublisherOptions
	keys  []ed25519.PrivateKey
	fs    fsx.FS

	mu      sync.Mutex // held while publishing
	now     *pointer   // what the store has; nil for nothing
	version string     // of the pointer in the store
	unsure  bool       // a Swap failed, and the pointer may be another one
	wanted  []byte     // the pointer of that Swap
	last    []byte     // the newest delta; nil if several were written
	based   time.Time  // when this process wrote a base
	gone    map[string]time.Time
	found   *pointer // that NewPublisher found; nil for none
	pruned  time.Time

	infoMu sync.Mutex
	info   PublisherInfo
}

// PublisherInfo describes a Publisher.
type PublisherInfo struct {
	// Published is the position of the pointer in the store, Written its time.
	Published blocklist.Position
	Written   time.Time
	// Pending is the number of events that are not published yet.
	Pending uint64
	// Base is the number of the last event in the snapshot, Deltas the number of
	// deltas that the pointer names.
	Base   uint64
	Deltas int
	// Err is why the last publication failed; nil if it did not.
	Err error
}

// NewPublisher returns the publisher of a list, which must be open for writing and
// stays open while the publisher is used. The store is for this list alone.
//
// The error wraps blocklist.ErrRollback or blocklist.ErrFork if the store has a
// newer or another history of the list, for example after the list was restored
// from a backup. Readers would refuse such a list. It wraps blocklist.ErrKey if
// another key signed the pointer in the store.
func NewPublisher(ctx context.Context, list *blocklist.List, store Store, opts *PublisherOptions) (*Publisher, error) {
	p := &Publisher{list: list, store: store, fs: fsx.OS{}, gone: map[string]time.Time{}}
	if opts != nil {
		p.o = *opts
	}
	o := &p.o
	o.Retain, o.Heartbeat, o.Grace = cmp.Or(o.Retain, defaultRetain), cmp.Or(o.Heartbeat, defaultHeartbeat), cmp.Or(o.Grace, defaultGrace)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	p.keys = append([]ed25519.PrivateKey{o.SigningKey}, o.AlsoSign...)
	for _, k := range p.keys {
		if len(k) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("feed: a signing key has %d bytes, not %d: %w", len(k), ed25519.PrivateKeySize, blocklist.ErrKey)
		}
	}
	if len(p.keys) > maxSignatures {
		return nil, fmt.Errorf("feed: %d signing keys, at most %d are possible: %w", len(p.keys), maxSignatures, blocklist.ErrLimit)
	}
	if o.Retain < time.Second || o.Heartbeat < 0 || o.Grace < 0 || o.Wait < 0 {
		return nil, fmt.Errorf("feed: a duration of the options is negative, or Retain is below a second: %w", blocklist.ErrLimit)
	}
	// The list is open for writing, and can sign.
	if _, _, err := list.Delta(ctx, 0, 0); err != nil {
		return nil, err
	}
	err := p.look(ctx)
	p.found = p.now
	return p, err
}

// look reads the pointer in the store.
func (p *Publisher) look(ctx context.Context) error {
	text, version, err := p.store.Get(ctx, pointerName)
	if errors.Is(err, iofs.ErrNotExist) || err == nil && len(text) == 0 {
		p.now, p.version = nil, ""
		return nil
	}
	if err != nil {
		return err
	}
	var trusted []ed25519.PublicKey
	for _, k := range p.keys {
		trusted = append(trusted, k.Public().(ed25519.PublicKey))
	}
	now, err := parsePointer(text, trusted)
	if err != nil {
		return err
	}
	if now.id() != p.list.State().ID() {
		return fmt.Errorf("feed: the store has another list: %w", ErrConflict)
	}
	if err := p.continues(now); err != nil {
		return err
	}
	p.now, p.version = now, version
	return nil
}

// continues returns an error unless the list is a successor of a pointer.
func (p *Publisher) continues(now *pointer) error {
	at := p.list.State().Position()
	if at.Epoch > now.Epoch {
		return nil
	}
	if at.Epoch < now.Epoch {
		return fmt.Errorf("feed: the store has epoch %d, the list %d: %w", now.Epoch, at.Epoch, blocklist.ErrRollback)
	}
	was, err := p.list.PositionAt(now.Seq)
	if err == nil && was != now.position() {
		err = fmt.Errorf("feed: the store has other events up to %d than the list: %w", now.Seq, blocklist.ErrFork)
	}
	return err
}

// Info describes the publisher.
func (p *Publisher) Info() PublisherInfo {
	p.infoMu.Lock()
	defer p.infoMu.Unlock()
	i := p.info
	if at := p.list.State().Position(); at.Epoch == i.Published.Epoch && at.Seq > i.Published.Seq {
		i.Pending = at.Seq - i.Published.Seq
	}
	return i
}

// Run publishes whenever the list has new events, and at every heartbeat, until
// ctx ends. Failures are retried. It returns ctx.Err(), or an error that a retry
// cannot heal: one that wraps ErrConflict, blocklist.ErrRollback,
// blocklist.ErrFork, blocklist.ErrKey or blocklist.ErrClosed.
func (p *Publisher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	more, followed := make(chan struct{}, 1), make(chan error, 1)
	work.Go(func() {
		followed <- p.list.Follow(ctx, p.list.State().Position(), func(blocklist.Event, blocklist.Position) bool {
			select {
			case more <- struct{}{}:
			default:
			}
			return true
		})
	})
	const least, most = time.Second / 4, time.Minute
	pause := least
	for {
		err := p.Publish(ctx)
		wait := max(p.o.Heartbeat, time.Millisecond)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			pause = least
		case isFinal(err):
			return err
		default:
			wait, pause = pause, min(2*pause, most)
		}
		timer := time.NewTimer(wait)
		wake := more
		if err != nil {
			wake = nil
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
		case err := <-followed:
			timer.Stop()
			return err
		}
		timer.Stop()
	}
}

// isFinal reports whether a publication must not be tried again.
func isFinal(err error) bool {
	for _, final := range []error{ErrConflict, blocklist.ErrRollback, blocklist.ErrFork, blocklist.ErrKey, blocklist.ErrClosed, blocklist.ErrFacesUnencrypted, blocklist.ErrReadOnly} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// Publish writes what the store does not have yet: the files first, and then the
// pointer. Without new events it writes a pointer only if the last one is older
// than the heartbeat. After an error the store has the old pointer or the new one,
// and all files of both; Publish may be called again.
func (p *Publisher) Publish(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	start, before := time.Now(), p.now
	err := p.publish(ctx)
	p.infoMu.Lock()
	p.info.Err = err
	if n := p.now; n != nil {
		p.info.Published, p.info.Written = n.position(), n.writtenAt()
		p.info.Base, p.info.Deltas = n.Base.Seq, len(n.Deltas)
	}
	p.infoMu.Unlock()
	if err != nil || before == nil || p.now.Seq != before.Seq {
		o := blocklist.Observation{Op: OpPublish, Took: time.Since(start), Background: true, Err: err}
		if p.now != nil {
			o.Seq = p.now.Seq
		}
		o.Report(p.o.Observer, p.o.Logger)
	}
	return err
}

func (p *Publisher) publish(ctx context.Context) error {
	if p.unsure {
		if _, err := p.settle(ctx); err != nil {
			return err
		}
	}
	if p.now != nil {
		if err := p.continues(p.now); err != nil {
			return err
		}
	}
	next, newest, why, err := p.next(ctx)
	if err != nil {
		return err
	}
	if next == nil {
		return p.prune(ctx, false)
	}
	text, err := next.sign(p.keys)
	if err != nil {
		return err
	}
	version, err := p.store.Swap(ctx, pointerName, text, p.version)
	if err != nil {
		// Whether it was written is found out before the next one.
		p.unsure, p.wanted = true, text
		if errors.Is(err, ErrConflict) {
			if written, failed := p.settle(ctx); written || failed != nil {
				return failed
			}
		}
		return err
	}
	if newest == nil && p.now != nil && p.now.position().Seq == next.Seq {
		newest = p.last // of a bell that missed it, a heartbeat brings it again
	}
	p.now, p.version, p.last = next, version, newest
	p.ring(ctx, next, text, newest)
	return p.prune(ctx, why == becauseOfFaces)
}

// settle finds out which pointer the store has after a Swap failed, and reports
// whether it is the one that was to be written. ErrConflict means that it is not
// the old one either.
func (p *Publisher) settle(ctx context.Context) (written bool, err error) {
	text, version, err := p.store.Get(ctx, pointerName)
	there := err == nil && len(text) > 0
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return false, err
	}
	written = there && bytes.Equal(text, p.wanted)
	if !written && (there != (p.now != nil) || there && version != p.version) {
		return false, fmt.Errorf("feed: %w", ErrConflict)
	}
	if written {
		if err := p.look(ctx); err != nil {
			return false, err
		}
	}
	p.unsure, p.wanted = false, nil
	return written, nil
}

// reason is why a base is written.
type reason int

const (
	noReason reason = iota
	becauseOfSize
	becauseOfFaces // the base before must not be used any more
)

// next stores the files of the next pointer, and returns it; nil if there is
// nothing to publish. newest is the last delta, if it is the only new file.
func (p *Publisher) next(ctx context.Context) (next *pointer, newest []byte, why reason, err error) {
	fail := func(err error) (*pointer, []byte, reason, error) { return nil, nil, 0, err }
	now, at := p.o.Now(), p.list.State().Position()
	old := p.now
	if old != nil && old.Epoch != at.Epoch {
		old = nil
	}
	if why, err = p.baseDue(old, at.Seq, now); err != nil {
		return fail(err)
	}
	if why == noReason && at.Seq == old.Seq && now.Sub(old.writtenAt()) < p.o.Heartbeat && now.After(old.writtenAt()) {
		return fail(nil)
	}
	next = p.successor(old, at.Epoch, now)
	if why != noReason {
		if at, err = p.addBase(ctx, next, why); err != nil {
			return fail(err)
		}
		if at.Epoch != next.Epoch {
			return fail(fmt.Errorf("feed: the list is of another epoch now: %w", blocklist.ErrClosed))
		}
	}
	next.Seq, next.Digest = at.Seq, at.Digest[:]
	if old == nil {
		next.From, next.Deltas = next.Base.Seq, nil
	} else {
		if newest, err = p.addDeltas(ctx, next, old.Seq, at.Seq); err == nil && why == noReason {
			err = p.merge(ctx, next)
		}
		if err != nil {
			return fail(err)
		}
		p.trim(next, now)
	}
	if err := next.check(); err != "" {
		return fail(fmt.Errorf("feed: the next pointer is wrong: %s: %w", err, ErrPointer))
	}
	return next, newest, why, nil
}

// successor returns a copy of a pointer, or a new one, with what does not depend on
// the files.
func (p *Publisher) successor(old *pointer, epoch uint32, now time.Time) *pointer {
	next := &pointer{}
	if old != nil {
		next = old.clone()
	}
	id := p.list.State().ID()
	next.List, next.Epoch = id[:], epoch
	next.Wait, next.Retain = int64(p.o.Wait/time.Second), int64(p.o.Retain/time.Second)
	if next.Written <= now.Unix() {
		next.Written = now.Unix()
	} else {
		// The clock was set back. Readers take no pointer as news that is not later.
		next.Written++
	}
	return next
}

// baseDue returns why a new base is to be written.
func (p *Publisher) baseDue(old *pointer, seq uint64, now time.Time) (reason, error) {
	if old == nil {
		return becauseOfSize, nil
	}
	faces, err := p.facesChanged(old, seq, now)
	if err != nil || faces {
		return becauseOfFaces, err
	}
	at := p.baseTime(old, now)
	_, size, _ := old.chain(old.Base.Seq)
	if now.Sub(at) >= p.o.Retain/4 || size > max(leastGrowth, old.Base.Size/4) || len(old.Deltas) > maxDeltas/2 {
		return becauseOfSize, nil
	}
	return noReason, nil
}

// baseTime returns when the base of a pointer was written. If the clock was ahead
// then, it is when this process wrote a base, or long ago: otherwise the base would
// stay until the clock is there again.
func (p *Publisher) baseTime(old *pointer, now time.Time) time.Time {
	if at := time.Unix(old.Base.At, 0); !at.After(now.Add(maxSkew)) {
		return at
	}
	if p.based.After(now.Add(maxSkew)) {
		return time.Time{}
	}
	return p.based
}

// facesChanged reports whether faces came, ended, or cannot be used for long.
func (p *Publisher) facesChanged(old *pointer, seq uint64, now time.Time) (changed bool, err error) {
	hasFaces := old.Base.Faces != 0
	at := p.baseTime(old, now)
	if hasFaces {
		if until := time.Unix(old.Base.Faces, 0); now.Sub(at) > until.Sub(at)/2 {
			return true, nil
		}
		v := p.list.State()
		v.Transitions(at.Add(-time.Second), now, func(t blocklist.Transition) bool {
			r, _, ok := v.Rule(t.Rule)
			changed = t.Type == blocklist.RuleEnded && ok && r.Scope == blocklist.ScopeFace
			return !changed
		})
		if changed {
			return true, nil
		}
	}
	var ended []uint64
	if seq > old.Seq {
		err = p.list.Events(old.Seq+1, func(e blocklist.Event) bool {
			changed = e.Rule != nil && len(e.Rule.Keys.Faces) > 0
			if hasFaces && e.Type == blocklist.EventRevoked {
				ended = append(ended, e.Target)
			}
			return !changed
		})
	}
	for i := 0; i < len(ended) && !changed && err == nil; i++ {
		err = p.list.Events(ended[i], func(e blocklist.Event) bool {
			// Of an erased event nobody knows any more.
			changed = e.IsErased() || e.Rule != nil && e.Rule.Scope == blocklist.ScopeFace
			return false
		})
	}
	return changed, err
}

// addBase writes and stores a snapshot.
func (p *Publisher) addBase(ctx context.Context, next *pointer, why reason) (at blocklist.Position, err error) {
	dir, err := os.MkdirTemp(p.o.Dir, "feed-")
	if err != nil {
		return at, fmt.Errorf("feed: %w", err)
	}
	path := filepath.Join(dir, "base")
	defer func() {
		// It may have keys of faces.
		err = errors.Join(err, fsx.Wipe(p.fs, path), os.RemoveAll(dir))
	}()
	info, err := p.list.Snapshot(path)
	if err != nil {
		return at, err
	}
	f, err := os.Open(path)
	if err != nil {
		return at, fmt.Errorf("feed: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return at, fmt.Errorf("feed: %w", err)
	}
	// Later than the base before, whatever the clock shows: Least depends on it.
	written := max(p.o.Now().Unix(), next.Base.At+1)
	next.Base = file{Seq: info.Position.Seq, Size: size, At: written, SHA256: hashText(h.Sum(nil))}
	if !info.FacesUntil.IsZero() {
		next.Base.Faces = info.FacesUntil.Unix()
	}
	if why == becauseOfFaces {
		next.Least = next.Base.At
	}
	if err := p.store.Put(ctx, baseName(&next.Base), f, size); err != nil {
		return at, err
	}
	p.based = p.o.Now()
	return info.Position, nil
}

// addDeltas stores the deltas from one event to another. newest is the delta, if
// one was enough.
func (p *Publisher) addDeltas(ctx context.Context, next *pointer, from, to uint64) (newest []byte, err error) {
	for n := 0; from < to; n++ {
		delta, f, err := p.putDelta(ctx, from, to)
		if err != nil {
			return nil, err
		}
		next.Deltas, from = append(next.Deltas, f), f.Seq
		if newest = delta; n > 0 {
			newest = nil
		}
	}
	return newest, nil
}

func (p *Publisher) putDelta(ctx context.Context, from, to uint64) ([]byte, file, error) {
	delta, end, err := p.list.Delta(ctx, from, to)
	if err != nil {
		return nil, file{}, err
	}
	f := file{Seq: end, Size: int64(len(delta)), At: p.o.Now().Unix(), SHA256: sha256.Sum256(delta)}
	return delta, f, p.store.Put(ctx, deltaName(from, &f), bytes.NewReader(delta), f.Size)
}

// merge replaces the last four deltas by one, as long as they are of about one
// length. A list of n events has some 3 log4(n) deltas so.
func (p *Publisher) merge(ctx context.Context, next *pointer) error {
	const group = 4
	for len(next.Deltas) >= group {
		first := len(next.Deltas) - group
		from := next.From
		if first > 0 {
			from = next.Deltas[first-1].Seq
		}
		d := next.Deltas[first:]
		size := int64(0)
		for i := range d {
			size += d[i].Size
		}
		if bits.Len64(d[0].Seq-from) > bits.Len64(d[group-1].Seq-d[0].Seq) || size > mergeLimit {
			return nil
		}
		_, f, err := p.putDelta(ctx, from, next.Seq)
		if err != nil {
			return err
		}
		if f.Seq != next.Seq {
			return nil // it would be several again
		}
		next.Deltas = append(next.Deltas[:first], f)
	}
	return nil
}

// trim leaves out the first deltas that are too old, or that nobody would load
// because the base is smaller. Those after the base stay.
func (p *Publisher) trim(next *pointer, now time.Time) {
	size := int64(0)
	for i := range next.Deltas {
		size += next.Deltas[i].Size
	}
	drop := 0
	for drop < len(next.Deltas) && next.Deltas[drop].Seq <= next.Base.Seq {
		d := &next.Deltas[drop]
		age := now.Sub(time.Unix(d.At, 0))
		old := age >= p.o.Retain-min(3*p.o.Grace, p.o.Retain/4) || age < -maxSkew
		if !old && size <= max(next.Base.Size, 64<<10) {
			break
		}
		size -= d.Size
		next.From = d.Seq
		drop++
	}
	next.Deltas = slices.Delete(next.Deltas, 0, drop)
}

// ringTimeout is how long a bell can keep a publisher from its work.
const ringTimeout = 2 * time.Second

// ring tells the bells.
func (p *Publisher) ring(ctx context.Context, now *pointer, text, delta []byte) {
	n := Note{Position: now.position(), Written: now.writtenAt(), Pointer: text}
	if len(delta) <= MaxNoteDelta && len(now.Deltas) > 0 {
		n.Delta = delta
	}
	for _, b := range p.o.Bells {
		start := time.Now()
		limited, cancel := context.WithTimeout(ctx, ringTimeout)
		err := b.Ring(limited, n)
		cancel()
		if err != nil {
			o := blocklist.Observation{Op: OpRing, Took: time.Since(start), Seq: now.Seq, Background: true, Err: err}
			o.Report(p.o.Observer, p.o.Logger)
		}
	}
}

// goneSince returns since when no pointer is known to name a file.
func (p *Publisher) goneSince(name string, now time.Time) time.Time {
	since, ok := p.gone[name]
	if p.pruned.IsZero() && p.found != nil && !slices.Contains(p.found.names(), name) {
		// Programs that publish once and end would keep the file for ever.
		since, ok = p.found.writtenAt(), true
	}
	if !ok || since.After(now) {
		return now
	}
	return since
}

// prune deletes files that no pointer names any more, after Options.Grace; bases
// at once if bases is set.
func (p *Publisher) prune(ctx context.Context, bases bool) error {
	now := p.o.Now()
	if p.now == nil {
		return nil
	}
	if since := now.Sub(p.pruned); !bases && 0 <= since && since < p.o.Grace/4 {
		return nil
	}
	names, err := p.store.List(ctx)
	if err != nil {
		return err
	}
	named := p.now.names()
	seen := map[string]time.Time{}
	for _, name := range names {
		if !isFile(name) || slices.Contains(named, name) {
			continue
		}
		since := p.goneSince(name, now)
		if now.Sub(since) >= p.o.Grace || bases && strings.HasPrefix(name, basePrefix) {
			if err := p.store.Delete(ctx, name); err != nil {
				return err
			}
			continue
		}
		seen[name] = since
	}
	p.gone, p.pruned = seen, now
	return nil
}
