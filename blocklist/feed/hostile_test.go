package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
)

// manual are options of a reader that asks when the test calls Poll.
func manual(tb testing.TB) *feed.Options {
	o := quick(tb)
	o.Interval = 10 * time.Hour
	return o
}

// A mirror serves the files of a folder, and what the test changes of them.
type mirror struct {
	dir    string
	change atomic.Pointer[func(w http.ResponseWriter, r *http.Request, name string) bool]
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if c := m.change.Load(); c != nil && (*c)(w, r, name) {
		return
	}
	http.FileServer(http.Dir(m.dir)).ServeHTTP(w, r)
}

func (m *mirror) set(c func(w http.ResponseWriter, r *http.Request, name string) bool) {
	if c == nil {
		m.change.Store(nil)
		return
	}
	m.change.Store(&c)
}

// Whatever a server answers, the reader keeps what it has, says why, and goes on
// when the server is honest again. A reader without a list gets none.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := published(t, 200)
	old, err := os.ReadFile(filepath.Join(d.to, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	other := published(t, 300)
	foreign, err := os.ReadFile(filepath.Join(other.to, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	endless := func(w http.ResponseWriter) {
		for junk := bytes.Repeat([]byte("staydown feed 1\n"), 4096); ; {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	}
	send := func(b []byte) func(http.ResponseWriter, *http.Request, string) bool {
		return func(w http.ResponseWriter, _ *http.Request, name string) bool {
			if name == "latest" {
				w.Write(b)
			}
			return name == "latest"
		}
	}
	files := func(act func(w http.ResponseWriter, r *http.Request, b []byte)) func(http.ResponseWriter, *http.Request, string) bool {
		return func(w http.ResponseWriter, r *http.Request, name string) bool {
			if name == "latest" {
				return false
			}
			b, err := os.ReadFile(filepath.Join(d.to, name))
			if err != nil {
				return false
			}
			act(w, r, b)
			return true
		}
	}
	for _, c := range []struct {
		name   string
		change func(w http.ResponseWriter, r *http.Request, name string) bool
		want   error // of the reader that has a list; nil for any
		fresh  bool  // a reader without a list gets one
	}{
		{"the old pointer again", send(old), blocklist.ErrRollback, true},
		{"the pointer of another list", send(foreign), blocklist.ErrRollback, false},
		{"nothing", send(nil), feed.ErrPointer, false},
		{"noise", send(bytes.Repeat([]byte{0x5a}, 999)), feed.ErrPointer, false},
		{"an endless pointer", func(w http.ResponseWriter, _ *http.Request, _ string) bool { endless(w); return true }, feed.ErrPointer, false},
		{"a newer format", send([]byte("staydown feed 2\n{}\n")), blocklist.ErrVersion, false},
		{"an unsigned pointer", send([]byte("staydown feed 1\n{}\n")), feed.ErrPointer, false},
		{"files that do not end", files(func(w http.ResponseWriter, _ *http.Request, b []byte) { w.Write(b); endless(w) }), feed.ErrMismatch, false},
		{"files that are cut", files(func(w http.ResponseWriter, _ *http.Request, b []byte) { w.Write(b[:len(b)/2]) }), nil, false},
		{"other files", files(func(w http.ResponseWriter, _ *http.Request, b []byte) { w.Write(make([]byte, len(b))) }), feed.ErrMismatch, false},
		{"no files", func(w http.ResponseWriter, r *http.Request, name string) bool {
			if name != "latest" {
				http.NotFound(w, r)
			}
			return name != "latest"
		}, os.ErrNotExist, false},
		{"errors", func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}, nil, false},
		{"redirects to another host", func(w http.ResponseWriter, r *http.Request, name string) bool {
			http.Redirect(w, r, "http://127.0.0.1:9/"+name, http.StatusFound)
			return true
		}, nil, false},
		{"silence", func(w http.ResponseWriter, r *http.Request, _ string) bool {
			<-r.Context().Done()
			return true
		}, nil, false},
		{"files without an end", files(func(w http.ResponseWriter, r *http.Request, b []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(b[:len(b)-1])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), nil, false},
		{"the connection is closed", func(http.ResponseWriter, *http.Request, string) bool { panic(http.ErrAbortHandler) }, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &mirror{dir: d.to}
			location := serve(t, m)
			o := manual(t)
			o.Timeout = 200 * time.Millisecond
			f := follow(t, location, o)
			d.add(1)
			d.publish()
			if err := f.Poll(ctx); err != nil {
				t.Fatal(err)
			}
			at := f.List().State().Position()
			d.add(1)
			d.publish()
			m.set(c.change)
			err := f.Poll(ctx)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.HasPrefix(err.Error(), "feed: ") {
				t.Errorf("Poll: %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the error names the location: %v", err)
			}
			if i := f.Info(); i.Position != at || i.Err != err || i.Failing.IsZero() || !isBlocked(t, f.List(), address(1)) {
				t.Errorf("%+v", i)
			}
			fresh := manual(t)
			fresh.Timeout = 200 * time.Millisecond
			g, err := feed.Follow(ctx, location, fresh)
			if (err == nil) != c.fresh {
				t.Errorf("a reader without a list: %v", err)
			}
			if err == nil {
				g.Close()
			}
			m.set(nil)
			if err := f.Poll(ctx); err != nil {
				t.Errorf("when the server is honest again: %v", err)
			}
			if got, want := f.List().State().Position(), d.list.State().Position(); got != want {
				t.Errorf("the reader is at %v, want %v", got, want)
			}
		})
	}
}

// A server that answers 304 for ever, or the same pointer, makes the list old, and
// the reader says so.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	d := published(t, 3)
	m := &mirror{dir: d.to}
	o := manual(t)
	now := time.Now()
	var ahead atomic.Int64
	o.Now = func() time.Time { return now.Add(time.Duration(ahead.Load())) }
	m.set(func(w http.ResponseWriter, r *http.Request, name string) bool {
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)) // the file is old
		return false
	})
	f := follow(t, serve(t, m), o)
	d.add(1)
	d.publish()
	ahead.Store(int64(2 * time.Hour))
	if err := f.Poll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if i := f.Info(); i.Age < 2*time.Hour-time.Minute || i.Unchanged != 1 {
		t.Errorf("%+v", i)
	}
	if err := f.Ready(time.Hour); !errors.Is(err, feed.ErrStale) {
		t.Errorf("Ready: %v", err)
	}
	if err := f.Ready(3 * time.Hour); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// Only a newer pointer ends a refusal: not a server that answers 304, asked or
// not, and not the pointer in use.
func TestRefusalStays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := published(t, 1)
	old, err := os.ReadFile(filepath.Join(d.to, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	d.add(1)
	d.publish()
	used, err := os.ReadFile(filepath.Join(d.to, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"", `"1"`} {
		m := &mirror{dir: d.to}
		send := func(content []byte) {
			m.set(func(w http.ResponseWriter, _ *http.Request, name string) bool {
				if name != "latest" {
					return false
				}
				if content == nil {
					w.WriteHeader(http.StatusNotModified)
					return true
				}
				w.Header().Set("ETag", tag)
				w.Write(content)
				return true
			})
		}
		send(used)
		f := follow(t, serve(t, m), manual(t))
		send(old)
		if err := f.Poll(ctx); !errors.Is(err, blocklist.ErrRollback) {
			t.Fatalf("the old pointer: %v", err)
		}
		for what, content := range map[string][]byte{"304": nil, "the pointer in use": used} {
			send(content)
			if err := f.Poll(ctx); (err != nil) != (content == nil && tag == "") {
				t.Errorf("%s, with the tag %s: %v", what, tag, err)
			}
			if err := f.Ready(time.Hour); !errors.Is(err, blocklist.ErrRollback) {
				t.Errorf("%s, with the tag %s: the reader is ready: %v", what, tag, err)
			}
		}
		m.set(nil)
		d.add(1)
		d.publish()
		if err := f.Poll(ctx); err != nil {
			t.Fatal(err)
		}
		if err := f.Ready(time.Hour); err != nil {
			t.Errorf("after a newer pointer: %v", err)
		}
		if used, err = os.ReadFile(filepath.Join(d.to, "latest")); err != nil {
			t.Fatal(err)
		}
	}
}

// A publisher whose clock is ahead does not make a frozen list look fresh.
func TestClockOfPublisherIsAhead(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(d *desk) { d.pub.Now = func() time.Time { return time.Now().Add(1000 * time.Hour) } })
	d.add(1)
	d.publish()
	f := follow(t, d.to, manual(t))
	if i := f.Info(); i.Age < 0 || i.Age > time.Minute {
		t.Errorf("the age is %v", i.Age)
	}
}

// A list that was restored from a backup and went on is refused as a fork, also by
// a reader that starts from its own copy.
func TestForkIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := published(t, 2)
	backup := d.dir + "-backup"
	if err := os.CopyFS(backup, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	o := manual(t)
	f := follow(t, d.to, o)
	d.add(3)
	d.publish()
	if err := f.Poll(ctx); err != nil {
		t.Fatal(err)
	}
	at := f.List().State().Position()
	// The operator restores the backup, and forces the publisher.
	if err := os.Remove(filepath.Join(d.to, "latest")); err != nil {
		t.Fatal(err)
	}
	d.list.Close()
	d.dir, d.next = backup, 100
	d.open()
	d.publish()
	if err := f.Poll(ctx); !errors.Is(err, blocklist.ErrRollback) {
		t.Errorf("an older list: %v", err)
	}
	for i := range 4 {
		d.add(1)
		d.publish()
		err := f.Poll(ctx)
		if want := []error{blocklist.ErrRollback, blocklist.ErrRollback, blocklist.ErrFork, blocklist.ErrFork}[i]; !errors.Is(err, want) {
			t.Errorf("fork at %d: %v, want %v", d.list.State().Seq(), err, want)
		}
		if f.Ready(time.Hour) == nil {
			t.Error("the reader is ready")
		}
		if f.List().State().Position() != at || !isBlocked(t, f.List(), address(5)) || isBlocked(t, f.List(), address(100)) {
			t.Fatal("the reader has the fork")
		}
	}
	f.Close()
	f = follow(t, d.to, o)
	if err := f.Poll(ctx); !errors.Is(err, blocklist.ErrFork) || f.List().State().Position() != at {
		t.Errorf("after a restart: %v, at %v", err, f.List().State().Position())
	}
}

// The operator of a list that was restored from a backup gives up what came since:
// with as many events and a new epoch, readers take it.
func TestNewEpoch(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := published(t, 2)
	backup := d.dir + "-backup"
	if err := os.CopyFS(backup, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	o := manual(t)
	f := follow(t, d.to, o)
	d.add(3)
	d.publish()
	if err := f.Poll(ctx); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(d.to, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	d.list.Close()
	d.dir, d.next = backup, 100
	store, err := feed.NewFolder(d.to)
	if err != nil {
		t.Fatal(err)
	}
	l, err := boltjournal.Open(d.dir, &d.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.NewPublisher(ctx, l, store, &d.pub); !errors.Is(err, blocklist.ErrRollback) {
		t.Errorf("a publisher of an old list: %v", err)
	}
	d.list = l
	d.add(3)
	if _, err := feed.NewPublisher(ctx, l, store, &d.pub); !errors.Is(err, blocklist.ErrFork) {
		t.Errorf("a publisher of a fork: %v", err)
	}
	l.Close()
	next := d.opts
	next.NewEpoch = true
	if err := boltjournal.Rekey(ctx, d.dir, &d.opts, &next, nil); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.publish()
	for range 2 {
		if err := f.Poll(ctx); err != nil {
			t.Fatal(err)
		}
		d.reaches(f)
		if f.List().State().Position().Epoch != 1 || !isBlocked(t, f.List(), address(100)) || isBlocked(t, f.List(), address(5)) || f.Ready(time.Hour) != nil {
			t.Fatalf("%+v", f.Info())
		}
		d.add(1)
		d.publish()
		if err := f.Poll(ctx); err != nil {
			t.Fatal(err)
		}
		d.reaches(f)
		// The old epoch does not come back, also after a restart.
		now, err := os.ReadFile(filepath.Join(d.to, "latest"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d.to, "latest"), old, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.Poll(ctx); !errors.Is(err, blocklist.ErrRollback) || f.List().State().Position() != d.list.State().Position() {
			t.Errorf("the old epoch: %v, %+v", err, f.Info())
		}
		if err := os.WriteFile(filepath.Join(d.to, "latest"), now, 0o600); err != nil {
			t.Fatal(err)
		}
		d.add(1)
		d.publish()
		f.Close()
		f = follow(t, d.to, o)
	}
}

// Every byte of every file matters: a reader with a list keeps it, a reader
// without one gets none, or both get the right one.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := published(t, 2)
	m := &mirror{dir: d.to}
	location := serve(t, m)
	f := follow(t, location, manual(t))
	at := f.List().State().Position()
	d.add(2)
	d.publish()
	want := d.list.State().Position()
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range d.names() {
		good, err := os.ReadFile(filepath.Join(d.to, name))
		if err != nil {
			t.Fatal(err)
		}
		try := func(what string, b []byte, onlyFresh bool) {
			t.Helper()
			m.set(func(w http.ResponseWriter, _ *http.Request, n string) bool {
				if n == name {
					w.Write(b)
				}
				return n == name
			})
			if !onlyFresh && !strings.HasPrefix(name, "base-") {
				if err := f.Poll(ctx); err == nil {
					t.Fatalf("%s of %s: the reader takes it", what, name)
				}
				if f.List().State().Position() != at {
					t.Fatalf("%s of %s: the reader is at %v", what, name, f.List().State().Position())
				}
			}
			if r.IntN(40) == 0 || onlyFresh {
				if g, err := feed.Follow(ctx, location, manual(t)); err == nil {
					g.Close()
					if g.List().State().Position() != want {
						t.Fatalf("%s of %s: a new reader is at %v", what, name, g.List().State().Position())
					}
					t.Fatalf("%s of %s: a new reader takes it", what, name)
				}
			}
		}
		base := strings.HasPrefix(name, "base-")
		for i := range good {
			if base && r.IntN(len(good)/30+1) != 0 {
				continue
			}
			b := bytes.Clone(good)
			b[i] ^= 1 << r.IntN(8)
			try(fmt.Sprintf("byte %d", i), b, base)
			try(fmt.Sprintf("%d bytes", i), good[:i], base)
		}
		for _, n := range d.names() {
			if n != name {
				b, err := os.ReadFile(filepath.Join(d.to, n))
				if err != nil {
					t.Fatal(err)
				}
				try("the content of "+n+" instead", b, true)
			}
		}
	}
	m.set(nil)
	if err := f.Poll(ctx); err != nil {
		t.Fatal(err)
	}
	d.reaches(f)
}

// The own copy is damaged: the reader starts with what is whole, or loads the
// list again. If what it has seen is not known, it starts only after the state was
// removed.
func TestDamagedOwnCopy(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := published(t, 3)
	o := manual(t)
	f := follow(t, d.to, o)
	for range 3 {
		d.add(1)
		d.publish()
		if err := f.Poll(ctx); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	want := d.list.State().Position()
	good := t.TempDir()
	if err := os.CopyFS(filepath.Join(good, "own"), os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	r, unknown := rand.New(rand.NewPCG(3, 4)), 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(good, "own", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for k := range 25 {
			p := manual(t)
			if err := os.CopyFS(p.Dir, os.DirFS(filepath.Join(good, "own"))); err != nil {
				t.Fatal(err)
			}
			b := bytes.Clone(content)
			at := r.IntN(len(b))
			switch k % 3 {
			case 0:
				b[at] ^= 4
			case 1:
				b = b[:at]
			case 2:
				b = append(b[:at], make([]byte, len(b)-at)...)
			}
			path := filepath.Join(p.Dir, e.Name())
			if k == 24 {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := feed.Follow(ctx, d.to, p)
			if e.Name() == "state" && k != 24 && errors.Is(err, feed.ErrOwnCopy) {
				unknown++
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				f, err = feed.Follow(ctx, d.to, p)
			}
			if err != nil {
				t.Fatalf("%s, kind %d, at %d: %v", e.Name(), k%3, at, err)
			}
			if err := f.Poll(ctx); err != nil {
				t.Fatalf("%s, kind %d, at %d: %v", e.Name(), k%3, at, err)
			}
			if got := f.List().State().Position(); got != want {
				t.Fatalf("%s, kind %d, at %d: the reader is at %v", e.Name(), k%3, at, got)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			// The copy is whole again.
			if f, err = feed.Follow(ctx, "http://127.0.0.1:9/", p); err != nil {
				t.Fatalf("%s, kind %d, at %d: without the network: %v", e.Name(), k%3, at, err)
			}
			if got := f.List().State().Position(); got != want {
				t.Fatalf("%s, kind %d, at %d: without the network the reader is at %v", e.Name(), k%3, at, got)
			}
			f.Close()
		}
	}
	if unknown < 16 { // of the 16 that are cut or end in zeros
		t.Errorf("a damaged state was refused %d times", unknown)
	}
}

// Connections that end anywhere: a base is continued where it ended.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	d := published(t, 30_000)
	m := &mirror{dir: d.to}
	var served atomic.Int64
	m.set(func(w http.ResponseWriter, r *http.Request, name string) bool {
		if name == "latest" {
			return false
		}
		http.FileServer(http.Dir(d.to)).ServeHTTP(&cut{ResponseWriter: w, left: 1_200_000, served: &served}, r)
		panic(http.ErrAbortHandler)
	})
	f := follow(t, serve(t, m), manual(t))
	d.reaches(f)
	var size int64
	for _, n := range d.names() {
		if fi, err := os.Stat(filepath.Join(d.to, n)); err == nil && strings.HasPrefix(n, "base-") {
			size = fi.Size()
		}
	}
	if got := served.Load(); got < size || got > size+size/2+1_200_000 {
		t.Errorf("%d bytes were served of a base of %d", got, size)
	}
}

type cut struct {
	http.ResponseWriter
	left   int
	served *atomic.Int64
}

func (c *cut) Write(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.ErrClosedPipe
	}
	b = b[:min(len(b), c.left)]
	n, err := c.ResponseWriter.Write(b)
	c.left -= n
	c.served.Add(int64(n))
	return n, err
}

// A server that asks to wait is left alone.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "7": 7 * time.Second, "99999999": time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := feed.RetryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	d := published(t, 1)
	o := quick(t)
	o.Interval = 10 * time.Second
	f := follow(t, d.to, o)
	for failures, most := range []time.Duration{12 * time.Second, 12 * time.Second, 24 * time.Second, 48 * time.Second} {
		if got := f.Pause(failures, 0); got < most*8/12 || got > most {
			t.Errorf("after %d failures: %v, want up to %v", failures, got, most)
		}
	}
	if got := f.Pause(1000, 0); got > 6*time.Minute {
		t.Errorf("after 1000 failures: %v", got)
	}
	if got := f.Pause(1, time.Hour); got < time.Hour || got > 73*time.Minute {
		t.Errorf("with Retry-After: %v", got)
	}
	differ := map[time.Duration]bool{}
	for range 20 {
		differ[f.Pause(0, 0)] = true
	}
	if len(differ) < 15 {
		t.Errorf("readers wait for the same times: %v", differ)
	}
	var asked atomic.Int64
	m := &mirror{dir: d.to}
	location := serve(t, m)
	follow(t, location, quick(t))
	m.set(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	eventually(t, "a request", func() bool { return asked.Load() > 0 })
	time.Sleep(100 * time.Millisecond)
	if n := asked.Load(); n > 1 {
		t.Errorf("the server asked to wait for an hour, and was asked %d times", n)
	}
}

// Some servers make the ETag of the time in seconds. A pointer that was just
// written is requested again, and not asked for by such a tag.
func TestTagOfSeconds(t *testing.T) {
	t.Parallel()
	d := published(t, 1)
	m := &mirror{dir: d.to}
	var conditional atomic.Int64
	modified := time.Now().Add(-time.Hour)
	m.set(func(w http.ResponseWriter, r *http.Request, name string) bool {
		if r.Header.Get("If-None-Match") != "" {
			conditional.Add(1)
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", modified.Format(time.Stamp)))
		w.Header().Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
		w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
		b, err := os.ReadFile(filepath.Join(d.to, name))
		if err != nil {
			t.Error(err)
		}
		w.Write(b)
		return true
	})
	f := follow(t, serve(t, m), manual(t))
	for i := range 3 {
		if err := f.Poll(context.Background()); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			modified = time.Now()
		}
	}
	if n := conditional.Load(); n != 2 {
		t.Errorf("%d requests had a condition, want 2", n)
	}
}
