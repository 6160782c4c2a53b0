package desk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/chunks"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// padded returns a picture with bytes behind its end: a large file that is
// decoded quickly.
func padded(tb testing.TB, seed uint32, size int) []byte {
	b := testJPEG(tb, seed)
	return append(b, bytes.Repeat([]byte{byte(seed)}, size-len(b))...)
}

// keysIn returns how many keys a bucket of a store has.
func keysIn(tb testing.TB, s desk.Store, b desk.Bucket) (n int) {
	tb.Helper()
	ok(tb, s.View(func(tx desk.StoreTx) error {
		return tx.Scan(b, nil, nil, func(_, _ []byte) error {
			n++
			return nil
		})
	}))
	return n
}

// The images of a request are read back part by part, are replaced with the
// request, and go with the personal data; what is kept is stored once.
func TestFiles_Life(t *testing.T) {
	t.Parallel()
	s, err := desk.OpenStore(filepath.Join(t.TempDir(), "cases.db"))
	ok(t, err)
	d := open(t, t.TempDir(), &desk.Options{Store: s, KeepPictures: true})
	r := optOut(t, 1)
	large := padded(t, 1, 2*chunks.Size+100)
	path := filepath.Join(t.TempDir(), "picture.jpg")
	ok(t, os.WriteFile(path, testJPEG(t, 2), 0o600))
	onDisk, err := request.FromPath(path)
	ok(t, err)
	r.Images = []request.File{request.FromBytes(large), onDisk}
	c, err := d.Submit(ctx, r)
	ok(t, err)
	ok(t, os.Remove(path)) // the desk has its own
	stored := func(want int) {
		t.Helper()
		if n, left := keysIn(t, s, desk.BucketFiles), keysIn(t, s, desk.BucketUploads); n != want || left != 0 {
			t.Errorf("%d parts and %d uploads, want %d and none", n, left, want)
		}
	}
	stored(3 + 1)
	read := func() []request.File {
		t.Helper()
		c, err := d.Case(ctx, c.ID)
		ok(t, err)
		return request.Images(c.Request)
	}
	files := read()
	if len(files) != 2 || !bytes.Equal(content(t, files[0]), large) || !bytes.Equal(content(t, files[1]), testJPEG(t, 2)) {
		t.Fatalf("the files read back: %v", files)
	}
	// Beginning in the middle is cheap: a reader reads one part at a time.
	f, err := files[0].Open()
	ok(t, err)
	head := make([]byte, 4)
	_, err = io.ReadFull(f, head)
	ok(t, errors.Join(err, f.Close()))
	if !bytes.Equal(head, large[:4]) {
		t.Errorf("the file begins with %x", head)
	}

	ok(t, d.AskInfo(ctx, c.ID, alice, []string{"images"}))
	r.Images = images(testJPEG(t, 3))
	_, err = d.Complete(ctx, c.ID, r)
	ok(t, err)
	stored(1)
	if _, err := files[0].Bytes(1 << 30); !errors.Is(err, desk.ErrStore) {
		t.Errorf("a replaced file: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	stored(1)
	ok(t, d.Erase(ctx, c.ID, alice))
	stored(1) // kept
	kept, err := d.Picture(ctx, c.ID, 0)
	ok(t, err)
	if !bytes.Equal(content(t, kept), testJPEG(t, 3)) {
		t.Error("the kept picture is another")
	}
	ok(t, d.Withdraw(ctx, c.ID, desk.Actor{}))
	stored(0)
	if _, err := kept.Bytes(1 << 30); !errors.Is(err, desk.ErrErased) {
		t.Errorf("a file that is gone: %v", err)
	}
}

// crashing is a store that fails for good after some updates, as one whose
// process was killed.
type crashing struct {
	desk.Store
	left atomic.Int64
}

func (s *crashing) Update(f func(desk.StoreTx) error) error {
	if s.left.Add(-1) < 0 {
		return errors.New("killed")
	}
	return s.Store.Update(f)
}

// A crash at any write of a submission leaves a case with its files, or nothing
// of either.
func TestFiles_Crash(t *testing.T) {
	t.Parallel()
	for n := int64(1); ; n++ {
		dir := t.TempDir()
		s, err := desk.OpenStore(filepath.Join(dir, "cases.db"))
		ok(t, err)
		c := &crashing{Store: s}
		c.left.Store(1 << 40)
		d := open(t, dir, &desk.Options{Store: c})
		r := optOut(t, 1)
		r.Images = images(padded(t, 1, 10*chunks.Size))
		c.left.Store(n)
		_, failed := d.Submit(ctx, r)
		if n == 1 && failed == nil {
			t.Fatal("the store did not fail")
		}
		_ = d.Close()
		s, err = desk.OpenStore(filepath.Join(dir, "cases.db"))
		ok(t, err)
		d = open(t, dir, &desk.Options{Store: s})
		cases, parts := keysIn(t, s, desk.BucketCases), keysIn(t, s, desk.BucketFiles)
		if left := keysIn(t, s, desk.BucketUploads); left != 0 || parts != 10*cases || failed == nil && cases != 1 {
			t.Errorf("after %d updates: %d cases, %d parts, %d uploads; %v", n, cases, parts, left, failed)
		}
		ok(t, d.Close())
		if failed == nil {
			return
		}
	}
}

// A context that ends while the files are written ends the call, and leaves
// nothing.
func TestFiles_Context(t *testing.T) {
	t.Parallel()
	s, err := desk.OpenStore(filepath.Join(t.TempDir(), "cases.db"))
	ok(t, err)
	d := open(t, t.TempDir(), &desk.Options{Store: s})
	r := optOut(t, 1)
	ctx, cancel := context.WithCancel(ctx)
	data := padded(t, 1, 20*chunks.Size)
	opens := 0
	r.Images = []request.File{request.FromFunc(int64(len(data)), func() (io.ReadCloser, error) {
		if opens++; opens == 2 { // the first is for looking at it
			cancel()
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	})}
	if _, err := d.Submit(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Submit: %v", err)
	}
	if n, m, k := keysIn(t, s, desk.BucketFiles), keysIn(t, s, desk.BucketUploads), keysIn(t, s, desk.BucketCases); n+m+k != 0 {
		t.Errorf("%d parts, %d uploads and %d cases are left", n, m, k)
	}
}

// BenchmarkSubmit_Large submits 20 pictures of 10 MB and moves another case at
// the same time. peak-MB is what the heap grew by, wait-ms the longest move.
func BenchmarkSubmit_Large(b *testing.B) {
	d := open(b, b.TempDir(), nil)
	var files []request.File
	dir := b.TempDir()
	for i := range 20 {
		path := filepath.Join(dir, string(rune('a'+i)))
		ok(b, os.WriteFile(path, padded(b, uint32(i), 10<<20), 0o600))
		f, err := request.FromPath(path)
		ok(b, err)
		files = append(files, f)
	}
	r := optOut(b, 1)
	r.Images = files
	b.ReportAllocs()
	for b.Loop() {
		other, err := d.Submit(ctx, optOut(b, 30))
		ok(b, err)
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		done := make(chan takedown.CaseID)
		go func() {
			c, err := d.Submit(ctx, r)
			ok(b, err)
			done <- c.ID
		}()
		var peak uint64
		var longest time.Duration
		for running := true; running; {
			select {
			case id := <-done:
				start := time.Now()
				ok(b, d.Reject(ctx, id, refuse(alice)))
				longest = max(longest, time.Since(start))
				running = false
			case <-time.After(5 * time.Millisecond):
				start := time.Now()
				ok(b, d.AskInfo(ctx, other.ID, alice, []string{"reason"}))
				longest = max(longest, time.Since(start))
			}
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse-min(before.HeapInuse, now.HeapInuse))
		}
		b.ReportMetric(float64(peak)/1e6, "peak-MB")
		b.ReportMetric(float64(longest.Milliseconds()), "wait-ms")
	}
}
