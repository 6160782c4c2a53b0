package feed_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	signingKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	otherKey   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	trusted    = []ed25519.PublicKey{signingKey.Public().(ed25519.PublicKey)}
)

// A desk is a list with its publisher, and the folder it publishes to.
type desk struct {
	tb   testing.TB
	dir  string // of the list
	to   string // where it publishes
	opts blocklist.Options
	pub  feed.PublisherOptions
	next uint64 // id of the next event

	list *blocklist.List
	p    *feed.Publisher
}

func newDesk(tb testing.TB, change ...func(*desk)) *desk {
	tb.Helper()
	dir := tb.TempDir()
	d := &desk{
		tb: tb, dir: filepath.Join(dir, "list"), to: filepath.Join(dir, "feed"), next: 1,
		opts: blocklist.Options{SigningKey: signingKey, CompactAfter: -1},
		pub:  feed.PublisherOptions{SigningKey: signingKey, Dir: dir, Heartbeat: time.Hour},
	}
	for _, c := range change {
		c(d)
	}
	d.open()
	return d
}

// published returns a desk that has published a number of rules.
func published(tb testing.TB, n int) *desk {
	tb.Helper()
	d := newDesk(tb)
	d.add(n)
	d.publish()
	return d
}

func (d *desk) open() {
	d.tb.Helper()
	l, err := boltjournal.Open(d.dir, &d.opts)
	if err != nil {
		d.tb.Fatal(err)
	}
	d.tb.Cleanup(func() { l.Close() })
	d.list = l
	store, err := feed.NewFolder(d.to)
	if err != nil {
		d.tb.Fatal(err)
	}
	if d.p, err = feed.NewPublisher(context.Background(), l, store, &d.pub); err != nil {
		d.tb.Fatal(err)
	}
}

func address(id uint64) string { return fmt.Sprintf("https://example.com/%d", id) }

// add appends rules, each for the address of its number.
func (d *desk) add(n int) {
	d.tb.Helper()
	var events []blocklist.Event
	for range n {
		e := blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock}}
		binary.LittleEndian.PutUint64(e.ID[:], d.next)
		digest, err := d.list.Digest(blocklist.ImageAddress, address(d.next))
		if err != nil {
			d.tb.Fatal(err)
		}
		e.Rule.Keys.Addresses = []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}
		events, d.next = append(events, e), d.next+1
	}
	d.append(events...)
}

func (d *desk) append(events ...blocklist.Event) []uint64 {
	d.tb.Helper()
	seqs, err := d.list.Append(context.Background(), events...)
	if err != nil {
		d.tb.Fatal(err)
	}
	return seqs
}

func (d *desk) publish() {
	d.tb.Helper()
	if err := d.p.Publish(context.Background()); err != nil {
		d.tb.Fatal(err)
	}
}

func (d *desk) names() []string {
	d.tb.Helper()
	entries, err := os.ReadDir(d.to)
	if err != nil {
		d.tb.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func isBlocked(tb testing.TB, l *blocklist.List, url string) (yes bool) {
	tb.Helper()
	if err := l.State().FindURL(blocklist.ImageAddress, url, func(blocklist.Hit) bool { yes = true; return false }); err != nil {
		tb.Fatal(err)
	}
	return yes
}

// quick are options of a reader that asks often.
func quick(tb testing.TB) *feed.Options {
	return &feed.Options{Dir: filepath.Join(tb.TempDir(), "own"), TrustedKeys: trusted, Interval: 5 * time.Millisecond, Timeout: 5 * time.Second}
}

func follow(tb testing.TB, location string, opts *feed.Options) *feed.Feed {
	tb.Helper()
	f, err := feed.Follow(context.Background(), location, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return f
}

// eventually waits until a condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not happen", what)
		}
	}
}

// reaches waits until a reader is where the desk is.
func (d *desk) reaches(f *feed.Feed) {
	d.tb.Helper()
	eventually(d.tb, "that the reader is at "+d.list.State().Position().String(), func() bool {
		return f.List().State().Position() == d.list.State().Position()
	})
}

func serve(tb testing.TB, h http.Handler) string {
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return s.URL + "/"
}

func TestFollow(t *testing.T) {
	t.Parallel()
	for name, encryption := range map[string]*blocklist.EncryptionKey{"plain": nil, "encrypted": {9}} {
		for _, over := range []string{"http", "folder"} {
			t.Run(name+" over "+over, func(t *testing.T) {
				t.Parallel()
				d := newDesk(t, func(d *desk) { d.opts.EncryptionKey = encryption })
				location := d.to
				if over == "http" {
					location = serve(t, http.FileServer(http.Dir(d.to)))
				}
				opts := quick(t)
				opts.EncryptionKey = encryption
				if _, err := feed.Follow(context.Background(), location, opts); err == nil {
					t.Fatal("Follow of nothing")
				}
				d.add(3)
				d.publish()
				f := follow(t, location, opts)
				for range 20 {
					d.add(1)
					d.publish()
					d.reaches(f)
				}
				for id := uint64(1); id <= 23; id++ {
					if !isBlocked(t, f.List(), address(id)) {
						t.Errorf("address %d is not blocked", id)
					}
				}
				if isBlocked(t, f.List(), address(99)) {
					t.Error("an unknown address is blocked")
				}
				i := f.Info()
				if i.Bases != 1 || i.Deltas < 20 || i.Err != nil || i.OwnCopy != nil || i.Lag != 0 || i.Age > time.Minute {
					t.Errorf("%+v", i)
				}
				if err := f.Ready(time.Minute); err != nil {
					t.Error(err)
				}
				// A start without the network.
				at := f.List().State().Position()
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				if err := f.Ready(time.Minute); !errors.Is(err, blocklist.ErrClosed) {
					t.Errorf("Ready after Close: %v", err)
				}
				f = follow(t, "http://127.0.0.1:9/", opts)
				if f.List().State().Position() != at || !isBlocked(t, f.List(), address(23)) {
					t.Errorf("the own copy is at %v, want %v", f.List().State().Position(), at)
				}
				eventually(t, "an error", func() bool { return f.Info().Err != nil })
				if i := f.Info(); i.OwnCopy != nil || i.Current.IsZero() || i.Failing.IsZero() {
					t.Errorf("%+v", i)
				}
			})
		}
	}
}

// Deltas are merged: there are few of them, also for a reader that was away.
func TestDeltasAreMerged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(d *desk) { d.pub.Grace = time.Hour })
	d.add(3000)
	d.publish()
	opts := quick(t)
	opts.Interval = time.Hour
	away := []*feed.Feed{}
	var dirs []string
	for i := range 150 {
		if i%50 == 37 {
			dirs = append(dirs, filepath.Join(t.TempDir(), "own"))
			o := *opts
			o.Dir = dirs[len(dirs)-1]
			f := follow(t, d.to, &o)
			f.Close()
			away = append(away, f)
		}
		d.add(1)
		d.publish()
	}
	if i := d.p.Info(); i.Deltas > 16 || i.Pending != 0 {
		t.Errorf("the pointer names %d deltas: %+v", i.Deltas, i)
	}
	for k := range away {
		o := *quick(t)
		o.Dir = dirs[k]
		f := follow(t, d.to, &o)
		d.reaches(f)
		if i := f.Info(); i.Bases != 0 || i.Deltas > 16 {
			t.Errorf("a reader that was away loads %d bases and %d deltas", i.Bases, i.Deltas)
		}
	}
}

// Files that the pointer does not name are deleted after the grace; no keys of an
// ended rule are left after Retain.
func TestRetention(t *testing.T) {
	t.Parallel()
	t.Run("right clock", func(t *testing.T) { t.Parallel(); retention(t, 0) })
	// The publisher's clock was years ahead, and is set right.
	t.Run("clock was ahead", func(t *testing.T) { t.Parallel(); retention(t, 10*365*24*time.Hour) })
}

func retention(t *testing.T, ahead time.Duration) {
	now := time.Now().Add(ahead)
	d := newDesk(t, func(d *desk) {
		d.pub.Now = func() time.Time { return now }
		d.pub.Heartbeat = time.Minute
		d.pub.Grace = 6 * time.Hour
		d.opts.Now = d.pub.Now
	})
	d.add(5)
	d.publish()
	d.add(1)
	digest, err := d.list.Digest(blocklist.ImageAddress, address(6))
	if err != nil {
		t.Fatal(err)
	}
	has := func() (names []string) {
		for _, n := range d.names() {
			b, err := os.ReadFile(filepath.Join(d.to, n))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(n, "delta-") {
				// docs/format/delta.md
				if b, err = io.ReadAll(flate.NewReader(bytes.NewReader(b[176 : len(b)-100]))); err != nil {
					t.Fatal(err)
				}
			}
			// The halves of a digest lie apart in a snapshot.
			if bytes.Contains(b, digest[:8]) {
				names = append(names, n)
			}
		}
		return names
	}
	d.publish()
	if has() == nil {
		t.Fatal("the rule is in no file")
	}
	d.append(blocklist.Event{ID: [16]byte{99}, Type: blocklist.EventRevoked, Target: 6})
	d.publish()
	o := manual(t)
	o.Now = d.pub.Now
	f := follow(t, d.to, o)
	now = now.Add(-ahead)
	revoked := now
	for has() != nil {
		if now = now.Add(3 * time.Hour); now.Sub(revoked) > 30*24*time.Hour {
			t.Fatalf("the revoked rule is in %v after 30 days", has())
		}
		d.publish()
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if age := f.Info().Age; age > time.Minute {
			t.Fatalf("the list is %v old, and was just published", age)
		}
	}
	t.Logf("the revoked rule is in no file after %v; there are %v", now.Sub(revoked), d.names())
	if n := len(d.names()); n > 4 {
		t.Errorf("there are %d files", n)
	}
	own, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range own {
		b, err := os.ReadFile(filepath.Join(o.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, digest[:8]) {
			t.Errorf("a reader's own copy has the revoked rule after %v, in %s", now.Sub(revoked), e.Name())
		}
	}
}

func TestPublisherRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := newDesk(t)
	d.add(2)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	d.add(2)
	d.publish()
	store, err := feed.NewFolder(d.to)
	if err != nil {
		t.Fatal(err)
	}
	restored, err := boltjournal.Open(backup, &d.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if _, err := feed.NewPublisher(ctx, restored, store, &d.pub); !errors.Is(err, blocklist.ErrRollback) {
		t.Errorf("an older list: %v", err)
	}
	forked := &desk{tb: t, list: restored, next: 77}
	forked.add(3)
	if _, err := feed.NewPublisher(ctx, restored, store, &d.pub); !errors.Is(err, blocklist.ErrFork) {
		t.Errorf("a fork: %v", err)
	}
	other := newDesk(t)
	if _, err := feed.NewPublisher(ctx, other.list, store, &d.pub); !errors.Is(err, feed.ErrConflict) {
		t.Errorf("another list: %v", err)
	}
	if _, err := feed.NewPublisher(ctx, d.list, store, &feed.PublisherOptions{SigningKey: otherKey}); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	for name, o := range map[string]*feed.PublisherOptions{
		"none": nil, "short key": {SigningKey: []byte{1}},
		"many keys":       {SigningKey: signingKey, AlsoSign: slices.Repeat([]ed25519.PrivateKey{otherKey}, 4)},
		"negative retain": {SigningKey: signingKey, Retain: -1},
	} {
		if _, err := feed.NewPublisher(ctx, d.list, store, o); err == nil {
			t.Errorf("options %s are accepted", name)
		}
	}
	// A second publisher of the same list: the first one to write goes on.
	second, err := feed.NewPublisher(ctx, d.list, store, &d.pub)
	if err != nil {
		t.Fatal(err)
	}
	d.add(1)
	if err := second.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	d.add(1)
	if err := d.p.Publish(ctx); !errors.Is(err, feed.ErrConflict) {
		t.Errorf("the first publisher: %v", err)
	}
	if err := d.p.Run(ctx); !errors.Is(err, feed.ErrConflict) {
		t.Errorf("Run of the first publisher: %v", err)
	}
	if err := second.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	unsigned, err := boltjournal.Open(filepath.Join(t.TempDir(), "l"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unsigned.Close()
	if _, err := feed.NewPublisher(ctx, unsigned, store, &d.pub); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("a list without a signing key: %v", err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(d *desk) { d.pub.Heartbeat = 20 * time.Millisecond })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.p.Run(ctx) }()
	eventually(t, "the first publication", func() bool { return d.p.Info().Base == 0 && !d.p.Info().Written.IsZero() })
	f := follow(t, d.to, quick(t))
	for range 10 {
		d.add(2)
		d.reaches(f)
	}
	// The age stays small without events.
	time.Sleep(1500 * time.Millisecond)
	if age := f.Info().Age; age > 1400*time.Millisecond {
		t.Logf("the age is %v", age)
	}
	eventually(t, "a heartbeat", func() bool { return f.Info().Age < 1200*time.Millisecond })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Two keys sign while one is replaced.
func TestKeysAreReplaced(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(d *desk) { d.pub.AlsoSign = []ed25519.PrivateKey{otherKey} })
	d.add(1)
	d.publish()
	o := quick(t)
	o.TrustedKeys = []ed25519.PublicKey{otherKey.Public().(ed25519.PublicKey), trusted[0]}
	d.reaches(follow(t, d.to, o))
	o = quick(t)
	o.TrustedKeys = []ed25519.PublicKey{ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)}
	if _, err := feed.Follow(context.Background(), d.to, o); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("a stranger's key: %v", err)
	}
}

func TestFollowOptions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		location string
		o        *feed.Options
	}{
		"none":       {"x", nil},
		"no folder":  {"x", &feed.Options{TrustedKeys: trusted}},
		"no keys":    {"x", &feed.Options{Dir: t.TempDir()}},
		"negative":   {"x", &feed.Options{Dir: t.TempDir(), TrustedKeys: trusted, Interval: -1}},
		"ftp":        {"ftp://x/", &feed.Options{Dir: t.TempDir(), TrustedKeys: trusted}},
		"no host":    {"http:///x", &feed.Options{Dir: t.TempDir(), TrustedKeys: trusted}},
		"no address": {"http://[/", &feed.Options{Dir: t.TempDir(), TrustedKeys: trusted}},
	} {
		if _, err := feed.Follow(ctx, c.location, c.o); err == nil || !strings.HasPrefix(err.Error(), "feed: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := published(t, 1)
	o := quick(t)
	follow(t, d.to, o)
	if _, err := feed.Follow(ctx, d.to, o); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("two readers with one folder: %v", err)
	}
	o = quick(t)
	o.List = [16]byte{1}
	if _, err := feed.Follow(ctx, d.to, o); !errors.Is(err, blocklist.ErrRollback) {
		t.Errorf("another list than the expected one: %v", err)
	}
}
