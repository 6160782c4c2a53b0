package blocklist_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
)

// observed keeps what it is told.
type observed struct {
	mu  sync.Mutex
	all []blocklist.Observation
}

func (o *observed) Observe(x blocklist.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, x)
}

func (o *observed) of(op blocklist.Op) (out []blocklist.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.all {
		if x.Op == op {
			out = append(out, x)
		}
	}
	return out
}

// buffer is a log that goroutines write to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Everything that a list does is observed and logged, with what it was about.
func TestObserver(t *testing.T) { // not in parallel: it counts allocations
	dir, ctx := t.TempDir(), context.Background()
	o, log := &observed{}, &buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opts := &blocklist.Options{CompactAfter: -1, Observer: o, Logger: logger}
	l := open(t, filepath.Join(dir, "l"), opts)
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"), addedRule(t, l, 2, "https://example.com/2"))
	mustAppend(t, l, blocklist.Event{ID: newID(3), Type: blocklist.EventRevoked, Target: 1})
	path := filepath.Join(dir, "p")
	for _, err := range []error{l.Compact(ctx), l.Publish(path), l.Verify(ctx)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Erase(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for op, want := range map[blocklist.Op]int{
		blocklist.OpOpen: 0, blocklist.OpAppend: 2, blocklist.OpCompact: 1, blocklist.OpPublish: 1, blocklist.OpVerify: 0, blocklist.OpErase: 1,
	} {
		got := o.of(op)
		if len(got) == 0 || got[0].Count != want || got[0].Err != nil || got[0].Background || got[0].Took < 0 {
			t.Errorf("%s: %+v, want count %d", op, got, want)
		}
		if !strings.Contains(log.String(), string(op)) {
			t.Errorf("%s is not in the log", op)
		}
	}
	if strings.Contains(log.String(), "example.com") {
		t.Error("an address is in the log")
	}
	info := l.Info()
	want := blocklist.Info{
		ID: l.ID(), Position: l.State().Position(), Counts: blocklist.Counts{Rules: 1, Addresses: 1}, Opened: info.Opened,
		SnapshotSeq: 3, SnapshotTime: info.SnapshotTime, Queries: info.Queries,
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("Info (-want +got):\n%s", diff)
	}
	if age := time.Since(info.Opened); age < 0 || age > time.Hour || time.Since(info.SnapshotTime) > time.Hour {
		t.Errorf("opened %v ago, snapshot of %v", age, info.SnapshotTime)
	}

	// Of queries one in 1,024 is timed, and all are counted.
	v := l.State()
	d, _ := v.Digest(blocklist.ImageAddress, "https://example.com/2")
	for range 200_000 {
		v.FindAddress(d, func(blocklist.Hit) bool { return true })
	}
	if n := l.Info().Queries[blocklist.OpFindAddress]; n != 200_000 {
		t.Errorf("%d queries are counted", n)
	}
	if n := len(o.of(blocklist.OpFindAddress)); n < 100 || n > 200 {
		t.Errorf("%d queries are timed, want some 195", n)
	}
	if x := o.of(blocklist.OpFindAddress)[0]; x.Count != 1024 || x.Took < 0 || x.Took > time.Minute {
		t.Errorf("a query is %+v", x)
	}
	if allocs := testing.AllocsPerRun(1000, func() {
		v.FindAddress(d, func(blocklist.Hit) bool { return true })
	}); allocs != 0 {
		t.Errorf("an observed query allocates %v times", allocs)
	}
}

// What fails is observed, logged and in Info, until it succeeds.
func TestObserver_Failures(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), context.Background()
	o, log := &observed{}, &buffer{}
	l := open(t, filepath.Join(dir, "l"), &blocklist.Options{CompactAfter: -1})
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
	if err := l.Publish(filepath.Join(dir, "missing", "p")); err == nil {
		t.Fatal("Publish into no folder")
	}
	if err := l.Info().Failing[blocklist.OpPublish]; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Info says of Publish: %v", err)
	}
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(blocklist.Failures{blocklist.OpReload: os.ErrNotExist}); err != nil || string(b) != `{"list reload":"file does not exist"}` {
		t.Errorf("in JSON: %s, %v", b, err)
	}
	if f := l.Info().Failing; len(f) != 0 {
		t.Errorf("failing: %v", f)
	}
	node, err := blocklist.Load(path, &blocklist.LoadOptions{Observer: o, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"x"); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if got := o.of(blocklist.OpReload); len(got) != 1 || !errors.Is(got[0].Err, os.ErrNotExist) || got[0].Seq != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("observed %+v, logged %s", got, log)
	}
	if err := node.Info().Failing[blocklist.OpReload]; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Info says of Reload: %v", err)
	}
	if err := os.Rename(path+"x", path); err != nil {
		t.Fatal(err)
	}
	if changed, err := node.Reload(); changed || err != nil || len(node.Info().Failing) != 0 {
		t.Errorf("Reload: %t, %v; failing %v", changed, err, node.Info().Failing)
	}
	// What the caller gives up is no failure.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := l.Verify(ended); !errors.Is(err, context.Canceled) || len(l.Info().Failing) != 0 {
		t.Errorf("Verify: %v; failing %v", err, l.Info().Failing)
	}
}

// full is a file system without room for snapshots.
type full struct{ fsx.OS }

var errFull = errors.New("no room")

func (full) Create(string) (fsx.File, error) { return nil, errFull }

// A compaction that fails in the background is told to somebody.
func TestObserver_Background(t *testing.T) {
	t.Parallel()
	o, log := &observed{}, &buffer{}
	l := open(t, t.TempDir(), blocklist.WithFS(blocklist.Options{CompactAfter: 3, Observer: o, Logger: slog.New(slog.NewTextHandler(log, nil))}, full{}))
	for i := range uint64(10) {
		mustAppend(t, l, addedRule(t, l, i+1, "https://example.com/1"))
	}
	for end := time.Now().Add(20 * time.Second); len(o.of(blocklist.OpCompact)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no compaction is observed")
		}
	}
	got := o.of(blocklist.OpCompact)[0]
	if !got.Background || !errors.Is(got.Err, errFull) || !errors.Is(l.Info().Failing[blocklist.OpCompact], errFull) {
		t.Errorf("observed %+v; failing %v", got, l.Info().Failing)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "level=ERROR"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("logged: %s", log)
		}
	}
}

// A snapshot that New passes over is told to somebody.
func TestObserver_Fallback(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "snapshot-*"))
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(names[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	o := &observed{}
	l = open(t, dir, &blocklist.Options{Observer: o})
	got := o.of(blocklist.OpOpen)
	if len(got) != 1 || !errors.Is(got[0].Err, blocklist.ErrChecksum) || !got[0].Background {
		t.Errorf("observed %+v", got)
	}
	if f := l.Info().Fallbacks; !slices.ContainsFunc(f, func(err error) bool { return errors.Is(err, blocklist.ErrChecksum) }) {
		t.Errorf("Fallbacks: %v", f)
	}
}

// BenchmarkObserved is an unknown address in a list with an Observer, and in one
// without.
func BenchmarkObserved(b *testing.B) {
	urls := unknown(1 << 16)
	for name, o := range map[string]blocklist.Observer{"no": nil, "yes": &observed{}} {
		l, err := blocklist.Load(snapshotOfSize(), &blocklist.LoadOptions{Observer: o})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) { benchMiss(b, l.State(), urls) })
	}
}
