package desk

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// Status describes a desk: see [Desk.Status].
type Status struct {
	Desk string         `json:"desk"` // id, in hexadecimal digits
	Time time.Time      `json:"time"`
	List blocklist.Info `json:"list"` // with the last compaction: SnapshotTime
	// Log is the number of the last entry of the log.
	Log uint64 `json:"log"`
	// Keys is how many keys of cases and of templates there are, and DamagedKeys how
	// many cannot be read.
	Keys        int `json:"keys"`
	DamagedKeys int `json:"damaged_keys,omitempty"`
	// OperatorKey, ListKey and SigningKey are fingerprints: the first 16 hexadecimal
	// digits of SHA-256 of the word "fingerprint" and the key. They are empty without
	// a key. They are compared to find out which key belongs to a folder.
	OperatorKey string `json:"operator_key"`
	ListKey     string `json:"list_key,omitempty"`
	SigningKey  string `json:"signing_key,omitempty"`
	// Messages is how many messages wait to be sent, and Moves how many moves wait for
	// their events to come into the list.
	Messages int `json:"messages"`
	Moves    int `json:"moves"`
	// Publications are the last publications, one for each path.
	Publications []Publication `json:"publications,omitempty"`
	Clock        ClockState    `json:"clock"`
	// FaceRisks is how often the list is wrong about the faces of strangers, for each
	// model with a [FaceModel].Reference. The
	// strangers are compared again after changes of the list, in at most a twentieth of
	// the time.
	FaceRisks []FaceRisk `json:"face_risks,omitempty"`
}

// fingerprint tells keys apart and reveals nothing else of them.
func fingerprint(key []byte) string {
	if len(key) == 0 {
		return ""
	}
	sum := sha256.Sum256(append([]byte("fingerprint"), key...))
	return hex.EncodeToString(sum[:8])
}

// Status returns how the desk is. It reads counters, and no case. After a change of the
// list it compares the strangers of the face models with the list, once.
func (d *Desk) Status(ctx context.Context) (s Status, err error) {
	if err := ctx.Err(); err != nil {
		return s, err
	}
	if d.closed.Load() {
		return s, takedown.ErrClosed
	}
	s = Status{
		Desk: hex.EncodeToString(d.store.id[:]), Time: d.clock(), List: d.list.Info(), Clock: d.watching.state(d.clock()),
		Keys: len(d.store.keys.f.IDs()), DamagedKeys: d.store.keys.f.Damaged(), OperatorKey: fingerprint(d.store.operator[:]),
	}
	if d.opts.ListKey != nil {
		s.ListKey = fingerprint(d.opts.ListKey[:])
	}
	if d.opts.SigningKey != nil {
		s.SigningKey = fingerprint(d.opts.SigningKey.Public().(ed25519.PublicKey))
	}
	err = d.store.db.View(func(tx StoreTx) error {
		var err error
		if s.Log, _, err = logHead(tx); err != nil {
			return err
		}
		return tx.Scan(BucketMessages, nil, nil, func(_, _ []byte) error { s.Messages++; return ctx.Err() })
	})
	if err == nil {
		var ids []takedown.CaseID
		ids, err = d.store.unfinished()
		s.Moves = len(ids)
	}
	if err == nil {
		s.Publications, err = d.copies()
	}
	if err == nil {
		s.FaceRisks, err = d.risksOf(ctx)
	}
	return s, err
}

// HealthCode names a problem of a desk.
type HealthCode string

// The problems that Health finds.
const (
	HealthClosed      HealthCode = "closed"       // the desk was closed
	HealthBroken      HealthCode = "broken"       // the list refuses events until the desk is opened again
	HealthFull        HealthCode = "full"         // the last write found no room, or no descriptor
	HealthReadOnly    HealthCode = "read_only"    // the last write found a file that cannot be written
	HealthStore       HealthCode = "store"        // the last write into the case store failed otherwise
	HealthList        HealthCode = "list"         // the last run of an operation of the list failed: compaction, erasure
	HealthPublication HealthCode = "publication"  // the last Publish failed
	HealthStale       HealthCode = "stale"        // a published file is older than the list, by more than a day
	HealthMoves       HealthCode = "moves"        // moves wait for the list
	HealthFaces       HealthCode = "faces_lost"   // faces in force are lost
	HealthKeys        HealthCode = "keys_damaged" // keys cannot be read
	HealthOutgrown    HealthCode = "outgrown"     // nearly as many faces are registered as the thresholds of their model were calibrated for, or more
	HealthSalvaged    HealthCode = "salvaged"     // the journal was damaged, and the last commit may be lost
	HealthClockAhead  HealthCode = "clock_ahead"  // the clock jumped ahead: nothing is destroyed for a day
	HealthClockBehind HealthCode = "clock_behind" // the clock is behind the time that the desk has seen
)

// HealthProblem is something that an operator has to look at.
type HealthProblem struct {
	Code HealthCode `json:"code"`
	Path string     `json:"path,omitempty"` // of a published file
	Err  error      `json:"-"`
	Text string     `json:"text"` // Err as text, without names of people and addresses
}

// Health returns what is wrong with the desk at the moment; nothing if all is well. It
// is cheap, and can be called by a probe every few seconds. Problems go away by
// themselves when their cause does, except HealthBroken, HealthFaces, HealthKeys and
// HealthSalvaged.
func (d *Desk) Health(ctx context.Context) (problems []HealthProblem) {
	add := func(code HealthCode, path string, err error) {
		problems = append(problems, HealthProblem{code, path, err, err.Error()})
	}
	s, err := d.Status(ctx)
	if errors.Is(err, takedown.ErrClosed) {
		add(HealthClosed, "", err)
		return problems
	}
	if err != nil {
		add(HealthStore, "", err)
	}
	if err := d.store.stamp.failed.get(); err != nil {
		add(faultOf(err, HealthStore), "", fmt.Errorf("takedown: case store: %w", err))
	}
	for op, err := range s.List.Failing {
		switch {
		case errors.Is(err, blocklist.ErrBroken):
			add(HealthBroken, "", err)
		case op == blocklist.OpPublish || op == blocklist.OpRefresh: // below
		default:
			add(faultOf(err, HealthList), "", fmt.Errorf("%s: %w", op, err))
		}
	}
	if path, err := d.publication.failure(); err != nil {
		add(HealthPublication, path, err)
	}
	for _, p := range s.Publications {
		if p.Seq < s.List.Position.Seq && s.Time.Sub(p.Time) > staleAfter {
			add(HealthStale, p.Path, fmt.Errorf("takedown: it was published %v ago, at event %d of %d", s.Time.Sub(p.Time).Round(time.Minute), p.Seq, s.List.Position.Seq))
		}
	}
	for _, x := range []struct {
		code HealthCode
		is   bool
		err  error
	}{
		{HealthMoves, s.Moves > 0, fmt.Errorf("takedown: %d moves wait for the list", s.Moves)},
		{HealthFaces, s.List.FacesWithoutKey > 0, fmt.Errorf("takedown: %d faces cannot be searched", s.List.FacesWithoutKey)},
		{HealthKeys, s.DamagedKeys > 0, fmt.Errorf("takedown: %d keys are damaged", s.DamagedKeys)},
		{HealthSalvaged, s.List.Salvaged != nil, s.List.Salvaged},
		{HealthClockAhead, !s.Clock.Jumped.IsZero(), fmt.Errorf("takedown: the clock is at %s, and was last certain at %s", s.Clock.Now.Format(time.RFC3339), s.Clock.Trusted.Format(time.RFC3339))},
		{HealthClockBehind, s.Clock.Behind > 0, fmt.Errorf("takedown: the clock is %v behind", s.Clock.Behind)},
		{HealthOutgrown, d.outgrown(s.List.Counts.Faces), fmt.Errorf("takedown: %d faces are registered; the thresholds of a model were calibrated for about as many or fewer: see FaceModel.Calibrated", s.List.Counts.Faces)},
	} {
		if x.is {
			add(x.code, "", x.err)
		}
	}
	return problems
}

// staleAfter is how long a published file may be behind the list.
const staleAfter = 24 * time.Hour

// faultOf returns the code for an error of the operating system, or another one.
func faultOf(err error, other HealthCode) HealthCode {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return HealthFull
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return HealthReadOnly
	}
	return other
}

func (p *publications) failure() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.path, p.err
}

// lastFailure is the error of the last write, or nil.
type lastFailure struct {
	mu  sync.Mutex
	err error
}

func (l *lastFailure) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lastFailure) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
