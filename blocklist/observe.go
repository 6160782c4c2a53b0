package blocklist

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/staydown/staydown/internal/sharded"
)

// Observer receives the operations of lists, and of the enforcer and the desk that
// use them, for metrics, alarms and tests. Observe is called by the goroutine that
// did the work, often with locks held. It must return soon, and must not call the
// observed object. It must be safe for concurrent use.
type Observer interface {
	Observe(Observation)
}

// Observation is an operation that has ended, or a sampled query.
type Observation struct {
	// Op is the operation, for example OpAppend.
	Op Op
	// Took is how long it took.
	Took time.Duration
	// Count is the number of events, rules, cases or other objects of the
	// operation. For a sampled query it is the number of queries that the sample
	// represents.
	Count int
	// Seq is the number of the last event of the list after the operation, or 0
	// if there is no event.
	Seq uint64
	// Background reports that Err was not returned to a caller.
	Background bool
	// Err is why it failed; nil if it did not.
	Err error
}

// Op names an operation. Other packages have names of their own.
type Op string

// Operations of a list.
const (
	OpOpen    Op = "list open"
	OpReload  Op = "list reload"
	OpAdvance Op = "list advance" // by deltas
	OpAppend  Op = "list append"  // one commit, of the events of one or more calls
	OpCompact Op = "list compact"
	OpErase   Op = "list erase"
	OpPublish Op = "list publish"
	OpRefresh Op = "list refresh"
	OpVerify  Op = "list verify"

	// Queries, of which one in 1,024 is observed.
	OpFindAddress  Op = "find address"
	OpFindBytes    Op = "find bytes"
	OpFindHash     Op = "find hash"
	OpFindFeatures Op = "find features"
	OpFindFaces    Op = "find faces"
)

// Failures are errors by the operations that failed. In JSON they are texts.
type Failures map[Op]error

// MarshalJSON returns an object of texts.
func (f Failures) MarshalJSON() ([]byte, error) {
	texts := make(map[Op]string, len(f))
	for op, err := range f {
		texts[op] = err.Error()
	}
	return json.Marshal(texts)
}

// LogValue implements slog.LogValuer.
func (o Observation) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Duration("took", o.Took)}
	if o.Count != 0 {
		attrs = append(attrs, slog.Int("count", o.Count))
	}
	if o.Seq != 0 {
		attrs = append(attrs, slog.Uint64("seq", o.Seq))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.String("error", o.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// Report passes o to an observer and a logger; each may be nil. Failures are
// logged as errors if they were not returned to a caller, and as warnings
// otherwise.
func (o Observation) Report(to Observer, logger *slog.Logger) {
	if to != nil {
		to.Observe(o)
	}
	if logger == nil {
		return
	}
	level := slog.LevelInfo
	switch {
	case o.Err != nil && o.Background:
		level = slog.LevelError
	case o.Err != nil:
		level = slog.LevelWarn
	case o.Op == OpAppend:
		level = slog.LevelDebug
	}
	logger.LogAttrs(context.Background(), level, string(o.Op), slog.Any("did", o))
}

// report notes what the list did since start, and tells of it.
func (l *List) report(start time.Time, o Observation) {
	o.Took = time.Since(start)
	// What its caller gave up, or the end of the list, is no failure of the list.
	if o.Err == nil || !errors.Is(o.Err, context.Canceled) && !errors.Is(o.Err, context.DeadlineExceeded) && !errors.Is(o.Err, ErrClosed) {
		l.setFailing(o.Op, o.Err)
	} else if o.Background {
		return
	}
	if v := l.view.Load(); v != nil {
		o.Seq = v.seq
	}
	o.Report(l.observer, l.logger)
}

func (l *List) setFailing(op Op, err error) {
	l.infoMu.Lock()
	defer l.infoMu.Unlock()
	if err == nil {
		delete(l.failing, op)
		return
	}
	if l.failing == nil {
		l.failing = map[Op]error{}
	}
	l.failing[op] = err
}

// Tiers of queries, as indexes of counters.
const (
	tierAddress = iota
	tierBytes
	tierHash
	tierFeatures
	tierFaces
	tiers
)

var tierOps = [tiers]Op{OpFindAddress, OpFindBytes, OpFindHash, OpFindFeatures, OpFindFaces}

// sampleEvery is how many queries of one tier are counted for one that is timed.
const sampleEvery = 1024

// queries count the queries to a list that is observed, and time some of them. A nil
// *queries does nothing.
type queries struct {
	counters sharded.Counters
	observer Observer
}

// clockStart makes a time a number, so that a query that is not timed costs a
// comparison with zero.
var clockStart = time.Now()

// begin counts a query, and returns when it began if it is to be timed, else 0.
func (q *queries) begin(tier int) int64 {
	if q == nil {
		return 0
	}
	return q.count(tier)
}

func (q *queries) count(tier int) int64 {
	if q.counters.Add(tier)%sampleEvery != 0 {
		return 0
	}
	return int64(time.Since(clockStart)) | 1
}

// end is for a query that begin returned start for.
func (q *queries) end(tier int, start int64) {
	if start != 0 {
		q.sample(tier, start)
	}
}

func (q *queries) sample(tier int, start int64) {
	took := time.Since(clockStart) - time.Duration(start)
	q.observer.Observe(Observation{Op: tierOps[tier], Took: took, Count: sampleEvery})
}
