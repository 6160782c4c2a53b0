package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/fsx/crashfs"
)

// Any operation of the publisher's disk fails, or the machine crashes there. A
// reader that was there and a new one get the old list or the new one, and a
// publisher that is started again goes on.
func TestPublisherCrashes(t *testing.T) {
	t.Parallel()
	for _, mode := range []crashfs.Mode{crashfs.Fail, crashfs.FailOn, crashfs.Crash, crashfs.CrashWithin} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			for n, more := 1, true; more; n++ {
				more = publisherCrashes(t, mode, n)
			}
		})
	}
}

// publisherCrashes reports whether there was an n-th operation.
func publisherCrashes(t *testing.T, mode crashfs.Mode, n int) bool {
	ctx := context.Background()
	dir := t.TempDir()
	fs := &crashfs.FS{}
	d := newDesk(t, func(d *desk) { d.pub.Grace = 1 })
	publisher := func() *feed.Publisher {
		p, err := feed.NewPublisher(ctx, d.list, feed.NewFolderIn(fs, dir), &d.pub)
		if err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		return p
	}
	p := publisher()
	must := func() {
		if err := p.Publish(ctx); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
	}
	d.add(2)
	must()
	for range 3 { // the next delta is merged with these
		d.add(1)
		must()
	}
	opts := manual(t)
	f := follow(t, copyOf(t, fs, dir), opts)
	old := f.List().State().Position()

	d.add(1)
	before := fs.Ops()
	fs.Arm(n, mode)
	err := p.Publish(ctx)
	done := fs.Ops()-before < n
	fs.Arm(0, mode) // not later
	if err == nil && !done && mode == crashfs.Crash {
		t.Fatalf("the machine crashed at operation %d, and Publish succeeded", n)
	}
	if mode != crashfs.Fail {
		// For a full disk: a start when there is room again.
		fs = fs.AfterCrash(rand.New(rand.NewPCG(uint64(n), 5)))
		p = publisher()
	}
	look := func(want ...blocklist.Position) {
		t.Helper()
		location := copyOf(t, fs, dir)
		g := follow(t, location, manual(t))
		defer g.Close()
		o := *opts
		o.Dir = filepath.Join(t.TempDir(), "own")
		if err := os.CopyFS(o.Dir, os.DirFS(opts.Dir)); err != nil {
			t.Fatal(err)
		}
		h := follow(t, location, &o)
		defer h.Close()
		if err := h.Poll(ctx); err != nil {
			t.Fatalf("operation %d: a reader that was there: %v", n, err)
		}
		for name, f := range map[string]*feed.Feed{"a new reader": g, "a reader that was there": h} {
			at := f.List().State().Position()
			if at != want[0] && at != want[len(want)-1] {
				t.Fatalf("operation %d: %s is at %v, want one of %v", n, name, at, want)
			}
		}
	}
	look(old, d.list.State().Position())
	d.add(1)
	must()
	look(d.list.State().Position())
	return !done
}

// copyOf writes the files of a file system to a folder.
func copyOf(t *testing.T, fs *crashfs.FS, from string) string {
	t.Helper()
	to := t.TempDir()
	names, err := fs.List(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(to, name), fs.Bytes(filepath.Join(from, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// A failing store: the n-th call fails, before it has an effect or after.
type failing struct {
	feed.Store
	mu    sync.Mutex
	calls int
	at    int
	after bool
}

var errStore = errors.New("the store fails")

func (s *failing) call(do func() error) error {
	s.mu.Lock()
	s.calls++
	hit := s.calls == s.at
	s.mu.Unlock()
	if hit && !s.after {
		return errStore
	}
	err := do()
	if hit && err == nil {
		err = errStore
	}
	return err
}

func (s *failing) Get(ctx context.Context, name string) (b []byte, v string, err error) {
	err = s.call(func() error { b, v, err = s.Store.Get(ctx, name); return err })
	return b, v, err
}

func (s *failing) Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	return s.call(func() error { return s.Store.Put(ctx, name, r, size) })
}

func (s *failing) Swap(ctx context.Context, name string, b []byte, v string) (now string, err error) {
	err = s.call(func() error { now, err = s.Store.Swap(ctx, name, b, v); return err })
	return now, err
}

func (s *failing) Delete(ctx context.Context, name string) error {
	return s.call(func() error { return s.Store.Delete(ctx, name) })
}

func (s *failing) List(ctx context.Context) (names []string, err error) {
	err = s.call(func() error { names, err = s.Store.List(ctx); return err })
	return names, err
}

// Every call of a store fails once, also when it had its effect. The publisher
// tries again and goes on; readers are never misled.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			d := newDesk(t, func(d *desk) { d.pub.Grace = 1; d.pub.Heartbeat = 1 })
			folder, err := feed.NewFolder(d.to)
			if err != nil {
				t.Fatal(err)
			}
			s := &failing{Store: folder, after: after}
			if d.p, err = feed.NewPublisher(ctx, d.list, s, &d.pub); err != nil {
				t.Fatal(err)
			}
			d.add(1)
			d.publish()
			f := follow(t, d.to, manual(t))
			s.calls, s.at = 0, n
			failures := 0
			for range 4 {
				d.add(1)
				if err := d.p.Publish(ctx); errors.Is(err, errStore) {
					failures++
				} else if err != nil {
					t.Fatalf("call %d, %t: %v", n, after, err)
				}
				if err := f.Poll(ctx); err != nil {
					t.Fatalf("call %d, %t: %v", n, after, err)
				}
			}
			hit := s.calls >= n
			s.at = 0
			d.publish()
			if err := f.Poll(ctx); err != nil {
				t.Fatal(err)
			}
			d.reaches(f)
			f.Close()
			if !hit {
				break
			}
			if failures > 1 {
				t.Errorf("call %d, %t: Publish failed %d times", n, after, failures)
			}
		}
	}
}

// A file system that fails at its n-th operation, or from then on; a write that
// fails is done in half.
type failingFS struct {
	fsx.FS
	mu  sync.Mutex
	ops int
	at  int
	on  bool
}

var errDisk = errors.New("no space left")

func (f *failingFS) step() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops++
	if f.at != 0 && (f.ops == f.at || f.on && f.ops > f.at) {
		return errDisk
	}
	return nil
}

func (f *failingFS) Create(name string) (fsx.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	h, err := f.FS.Create(name)
	return &failingFile{h, f}, err
}

func (f *failingFS) Edit(name string) (fsx.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	h, err := f.FS.Edit(name)
	if err != nil {
		return nil, err
	}
	return &failingFile{h, f}, nil
}

func (f *failingFS) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *failingFS) Remove(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *failingFS) SyncDir(dir string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type failingFile struct {
	fsx.File
	fs *failingFS
}

func (f *failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.step(); err != nil {
		f.File.WriteAt(p[:len(p)/2], off)
		return len(p) / 2, err
	}
	return f.File.WriteAt(p, off)
}

func (f *failingFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

// The reader's disk fails, once or for good. A removal is enforced all the same
// once the reader has a list; the own copy is whole after the next success, and a
// reader that is started on what is left of it never has a wrong list.
func TestReaderDiskFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	step := 1
	if testing.Short() {
		step = 5
	}
	for _, on := range []bool{false, true} {
		for n := 1; ; n += step {
			what := fmt.Sprintf("operation %d, on %t", n, on)
			now := clock()
			d := newDesk(t, func(d *desk) { d.pub.Now = now.now; d.opts.Now = now.now })
			d.add(1)
			d.publish()
			fs := &failingFS{FS: fsx.OS{}}
			o := manual(t)
			o.Now = now.now
			o.In(fs)
			f := follow(t, d.to, o)
			fs.mu.Lock()
			fs.ops, fs.at, fs.on = 0, n, on
			fs.mu.Unlock()
			failed := false
			for k := range 4 {
				d.add(1)
				if k == 2 {
					now.add(29 * 24 * 3600) // a new base
				}
				d.publish()
				err := f.Poll(ctx)
				if i := f.Info(); i.OwnCopy != nil || err != nil {
					failed = true
				}
				if at := f.List().State().Position(); err == nil && at != d.list.State().Position() {
					t.Fatalf("%s: the reader is at %v", what, at)
				}
				if k < 2 && f.List().State().Position() != d.list.State().Position() {
					t.Fatalf("%s: a delta is not enforced: %v", what, err)
				}
			}
			hit := fs.ops >= n
			// What is there now is what a new process finds.
			p := manual(t)
			if err := os.CopyFS(p.Dir, os.DirFS(o.Dir)); err != nil {
				t.Fatal(err)
			}
			g := follow(t, d.to, p)
			if err := g.Poll(ctx); err != nil {
				t.Fatalf("%s: a new process: %v", what, err)
			}
			d.reaches(g)
			g.Close()
			// There is room again.
			fs.mu.Lock()
			fs.at = 0
			fs.mu.Unlock()
			for range 2 {
				d.add(1)
				d.publish()
				if err := f.Poll(ctx); err != nil {
					t.Fatalf("%s: with room again: %v", what, err)
				}
			}
			d.reaches(f)
			f.Close()
			if !hit {
				if failed {
					t.Errorf("%s: nothing was to fail", what)
				}
				break
			}
		}
	}
}

// Names of temporary files do not stay.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	o := quick(t)
	d.add(2)
	d.publish()
	f := follow(t, d.to, o)
	for range 9 {
		d.add(1)
		d.publish()
		d.reaches(f)
	}
	f.Close()
	for _, dir := range []string{d.to, o.Dir, d.pub.Dir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), ".tmp") || strings.HasSuffix(e.Name(), ".part") || strings.HasPrefix(e.Name(), "feed-") {
				t.Errorf("%s is left", e.Name())
			}
		}
	}
}
