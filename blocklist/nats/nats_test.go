package natsbell_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
	natsbell "github.com/staydown/staydown/blocklist/nats"
)

const subject = "lists.main"

// start starts a NATS server with JetStream on a port; 0 chooses one.
func start(tb testing.TB, dir string, port int) *server.Server {
	tb.Helper()
	if port == 0 {
		port = -1
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		tb.Fatal("the server does not start")
	}
	return s
}

func connect(tb testing.TB, url string) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(url, nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(time.Millisecond, time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not happen", what)
		}
	}
}

// A desk publishes a list to a folder, which a server serves.
type desk struct {
	tb       testing.TB
	list     *blocklist.List
	p        *feed.Publisher
	location string
	requests atomic.Int64 // of files
	next     int
}

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func newDesk(tb testing.TB, bells ...feed.Bell) *desk {
	tb.Helper()
	dir := tb.TempDir()
	l, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{SigningKey: key})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	to := filepath.Join(dir, "feed")
	store, err := feed.NewFolder(to)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := feed.NewPublisher(context.Background(), l, store, &feed.PublisherOptions{SigningKey: key, Dir: dir, Bells: bells, Heartbeat: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	d := &desk{tb: tb, list: l, p: p}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.requests.Add(1)
		http.FileServer(http.Dir(to)).ServeHTTP(w, r)
	}))
	tb.Cleanup(s.Close)
	d.location = s.URL
	d.add()
	return d
}

// add adds a rule, and publishes.
func (d *desk) add() {
	d.tb.Helper()
	d.next++
	digest, err := d.list.Digest(blocklist.ImageAddress, fmt.Sprintf("https://example.com/%d", d.next))
	if err == nil {
		_, err = d.list.Append(context.Background(), blocklist.Event{
			ID: [16]byte{byte(d.next), byte(d.next >> 8), 1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
				Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
				Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
			}})
	}
	if err == nil {
		err = d.p.Publish(context.Background())
	}
	if err != nil {
		d.tb.Fatal(err)
	}
}

func (d *desk) follow(interval time.Duration, l ...feed.Listener) *feed.Feed {
	d.tb.Helper()
	f, err := feed.Follow(context.Background(), d.location, &feed.Options{
		Dir: filepath.Join(d.tb.TempDir(), "own"), TrustedKeys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)},
		Interval: interval, Listeners: l,
	})
	if err != nil {
		d.tb.Fatal(err)
	}
	d.tb.Cleanup(func() { f.Close() })
	return f
}

func (d *desk) reaches(feeds ...*feed.Feed) {
	d.tb.Helper()
	for _, f := range feeds {
		eventually(d.tb, "that a reader is at "+d.list.State().Position().String(), func() bool { return f.List().State().Position() == d.list.State().Position() })
	}
}

// Readers that never ask for the pointer get every update from the bell, without a
// request for a file.
func TestBell(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %t", stream), func(t *testing.T) {
			s := start(t, t.TempDir(), 0)
			nc := connect(t, s.ClientURL())
			if stream {
				if err := natsbell.EnsureStream(t.Context(), nc, natsbell.Stream{Name: "LISTS", Subject: subject}); err != nil {
					t.Fatal(err)
				}
			}
			d := newDesk(t, natsbell.NewBell(nc, subject))
			var feeds []*feed.Feed
			for range 3 {
				feeds = append(feeds, d.follow(100*time.Hour, natsbell.NewListener(connect(t, s.ClientURL()), subject)))
			}
			eventually(t, "subscriptions", func() bool { return s.NumSubscriptions() > 3 && nc.NumSubscriptions() >= 0 })
			time.Sleep(50 * time.Millisecond)
			before := d.requests.Load()
			for range 50 {
				d.add()
				d.reaches(feeds...)
			}
			if n := d.requests.Load() - before; n > 0 {
				t.Errorf("%d files were requested", n)
			}
			for _, f := range feeds {
				if i := f.Info(); i.Notes < 50 || i.BadNotes != 0 || i.Err != nil || i.OwnCopy != nil {
					t.Errorf("%+v", i)
				}
			}
		})
	}
}

// A reader that is disconnected for a moment gets from the stream what it missed.
func TestTail(t *testing.T) {
	s := start(t, t.TempDir(), 0)
	nc := connect(t, s.ClientURL())
	if err := natsbell.EnsureStream(t.Context(), nc, natsbell.Stream{Name: "LISTS", Subject: subject}); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, natsbell.NewBell(nc, subject))
	other := connect(t, s.ClientURL())
	l := natsbell.NewListener(other, subject)
	f := d.follow(100 * time.Hour) // it has no bell yet
	for range 20 {
		d.add()
	}
	notes := 0
	ctx, cancel := context.WithCancel(t.Context())
	err := l.Listen(ctx, func(n feed.Note) {
		if notes++; notes == 21 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || notes != 21 {
		t.Errorf("%d notes, %v", notes, err)
	}
	f.Close()
	// What was read is not read again.
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Listen(ctx, func(feed.Note) { t.Error("a note again") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	g := d.follow(100*time.Hour, natsbell.NewListener(other, subject))
	d.add()
	d.reaches(g)
	// Of many notes the newest are enough. What came without the stream is not read
	// from it again.
	for range 100 {
		d.add()
	}
	d.reaches(g)
	notes = 0
	l = natsbell.NewListener(other, subject)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	live := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- l.Listen(ctx, func(feed.Note) { notes++; live <- struct{}{} })
	}()
	for range 64 {
		<-live
	}
	d.add()
	<-live
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || notes != 65 {
		t.Errorf("%d notes, want 64 of the stream and one more: %v", notes, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Listen(ctx, func(feed.Note) { t.Error("a note again") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// The stream is lost, or is an old copy of itself, as after the failures that are
// known of such logs. No reader loses or doubles anything.
func TestStreamIsLost(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, 0)
	url := s.ClientURL()
	var port int
	if _, err := fmt.Sscanf(url, "nats://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	nc := connect(t, url)
	stream := natsbell.Stream{Name: "LISTS", Subject: subject}
	eventually(t, "a stream", func() bool { return natsbell.EnsureStream(t.Context(), nc, stream) == nil })
	d := newDesk(t, natsbell.NewBell(nc, subject))
	var feeds []*feed.Feed
	for range 3 {
		feeds = append(feeds, d.follow(30*time.Millisecond, natsbell.NewListener(connect(t, url), subject)))
	}
	for range 10 {
		d.add()
	}
	d.reaches(feeds...)
	stop := func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	// An old copy of the store, as a server has it whose last writes were lost.
	stop()
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	d.add() // nobody hears it
	d.reaches(feeds...)
	s = start(t, dir, port)
	eventually(t, "a connection", nc.IsConnected)
	for range 10 {
		d.add()
	}
	d.reaches(feeds...)
	stop()
	for _, dir := range []string{old, t.TempDir()} {
		s = start(t, dir, port)
		eventually(t, "a connection", nc.IsConnected)
		for range 10 {
			d.add()
			d.reaches(feeds...)
		}
		stop()
	}
	s = start(t, t.TempDir(), port)
	eventually(t, "a connection", nc.IsConnected)
	// JetStream may need a moment more than the server.
	ensure := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return natsbell.EnsureStream(ctx, nc, stream) == nil
	}
	eventually(t, "a stream", ensure)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	d.add()
	if err := js.DeleteStream(t.Context(), "LISTS"); err != nil {
		t.Fatal(err)
	}
	d.add()
	d.reaches(feeds...)
	for i, f := range feeds {
		info := f.Info()
		if got, want := f.List().Info().Counts, d.list.Info().Counts; got != want || info.Err != nil || info.OwnCopy != nil || info.BadNotes != 0 {
			t.Errorf("reader %d has %+v, the desk %+v: %+v", i, got, want, info)
		}
	}
}

// What strangers publish to the subject has no effect.
func TestStrangers(t *testing.T) {
	s := start(t, t.TempDir(), 0)
	nc := connect(t, s.ClientURL())
	d := newDesk(t)
	f := d.follow(100*time.Hour, natsbell.NewListener(nc, subject))
	forger := newDesk(t, natsbell.NewBell(nc, subject))
	at := f.List().State().Position()
	for range 10 {
		forger.add()
		if err := nc.Publish(subject, []byte("noise")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "bad notes", func() bool { return f.Info().BadNotes >= 5 })
	if i := f.Info(); i.Position != at || i.Err != nil {
		t.Errorf("%+v", i)
	}
}

// The errors of a bell do not keep a publisher from publishing.
func TestRingFails(t *testing.T) {
	s := start(t, t.TempDir(), 0)
	nc := connect(t, s.ClientURL())
	b := natsbell.NewBell(nc, subject)
	if err := b.Ring(t.Context(), feed.Note{Pointer: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	eventually(t, "the end of the connection", func() bool { return !nc.IsConnected() })
	if err := b.Ring(t.Context(), feed.Note{Pointer: []byte("x")}); err == nil {
		t.Error("a bell without a server rings")
	}
	nc.Close()
	if err := natsbell.NewListener(nc, subject).Listen(t.Context(), func(feed.Note) {}); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("Listen on a closed connection: %v", err)
	}
}
