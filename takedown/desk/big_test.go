package desk_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// bigFiles are 20 pictures of 10 MB: small JPEGs with something behind them.
func bigFiles(tb testing.TB) (files []request.File) {
	for i := range 20 {
		small, path := testJPEG(tb, uint32(i+1)), filepath.Join(tb.TempDir(), "picture")
		ok(tb, os.WriteFile(path, append(small, bytes.Repeat([]byte{byte(i)}, 10<<20-len(small)-1)...), 0o600))
		f, err := request.FromPath(path)
		ok(tb, err)
		files = append(files, f)
	}
	return files
}

// waits are how long moves of other cases took.
type waits struct {
	name string
	all  []time.Duration
}

func (w *waits) report(b *testing.B) {
	slices.Sort(w.all)
	ms := func(t time.Duration) float64 { return float64(t.Microseconds()) / 1000 }
	n := len(w.all)
	b.ReportMetric(ms(w.all[n/2]), w.name+"-p50-ms")
	b.ReportMetric(ms(w.all[n*99/100]), w.name+"-p99-ms")
	b.ReportMetric(ms(w.all[n-1]), w.name+"-max-ms")
}

// BenchmarkBigRequest reports how long moves of other cases take while 20 pictures of
// 10 MB are submitted, and while that case is accepted, withdrawn and erased, beside what
// they take otherwise; and the memory of the process without mapped files:
//
//	go test ./takedown/desk -run '^$' -bench BigRequest -benchtime 3x
//
// It means something on a machine that has nothing else to do. TMPDIR=/dev/shm leaves the
// disk out.
func BenchmarkBigRequest(b *testing.B) {
	d := open(b, b.TempDir(), nil)
	files := bigFiles(b)
	next := 0
	move := func(w *waits) {
		c, err := d.Submit(ctx, notice(fmt.Sprintf("https://example.org/%d.jpg", next)))
		ok(b, err)
		next++
		start := time.Now()
		ok(b, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		w.all = append(w.all, time.Since(start))
	}
	alone, submit, moves := &waits{name: "alone"}, &waits{name: "submit"}, &waits{name: "moves"}
	for range 60 {
		move(alone)
	}
	before, peak := anonymous(b), uint64(0)
	beside := func(w *waits, f func() error) {
		done := make(chan error)
		go func() { done <- f() }()
		for {
			select {
			case err := <-done:
				ok(b, err)
				return
			default:
				move(w)
				peak = max(peak, anonymous(b))
			}
		}
	}
	for b.Loop() {
		var id takedown.CaseID
		beside(submit, func() error {
			o := optOut(b, 1)
			o.Images = files
			c, err := d.Submit(ctx, o)
			id = c.ID
			return err
		})
		start := time.Now()
		c, err := d.Case(ctx, id)
		ok(b, err)
		b.ReportMetric(float64(time.Since(start).Microseconds()), "case-us")
		if len(request.Images(c.Request)) != 20 {
			b.Fatal("the pictures are not there")
		}
		beside(moves, func() error {
			for _, f := range []func() error{
				func() error { return d.Accept(ctx, id, desk.Grant{Actor: alice}) },
				func() error { return d.Withdraw(ctx, id, alice) },
				func() error { return d.Erase(ctx, id, alice) },
			} {
				if err := f(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, w := range []*waits{alone, submit, moves} {
		w.report(b)
	}
	b.ReportMetric(float64(len(submit.all)+len(moves.all)), "others")
	b.ReportMetric(float64(peak-min(before, peak))/(1<<20), "peak-MB")
}

// anonymous returns how much memory the process has that is of no file.
func anonymous(tb testing.TB) (bytes uint64) {
	s, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip("skipped: this system does not tell the memory of a process")
	}
	for line := range strings.Lines(string(s)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			if _, err := fmt.Sscan(rest, &bytes); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return bytes << 10
}

// stalling is a file that a test lets go on.
type stalling struct {
	data []byte
	at   chan string   // where it waits
	free chan struct{} // closed to let it go on
}

func (s *stalling) file() request.File {
	opened := 0
	var mu sync.Mutex
	return request.FromFunc(int64(len(s.data)), func() (io.ReadCloser, error) {
		mu.Lock()
		defer mu.Unlock()
		opened++
		return io.NopCloser(&stalled{s, fmt.Sprint("reading it for the time ", opened), bytes.NewReader(s.data)}), nil
	})
}

type stalled struct {
	of   *stalling
	what string
	r    *bytes.Reader
}

func (s *stalled) Read(p []byte) (int, error) {
	if s.r.Len() < len(s.of.data)/2 {
		select {
		case s.of.at <- s.what:
			<-s.of.free
		case <-s.of.free:
		}
	}
	return s.r.Read(p[:min(len(p), 64<<10)])
}

// puts are the bytes that each transaction of a store has written.
type puts struct {
	desk.Store
	mu  sync.Mutex
	max int
}

func (s *puts) Update(f func(desk.StoreTx) error) error {
	return s.Store.Update(func(tx desk.StoreTx) error {
		t := &countingTx{StoreTx: tx}
		err := f(t)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.max = max(s.max, t.n)
		return err
	})
}

type countingTx struct {
	desk.StoreTx
	n int
}

func (t *countingTx) Put(b desk.Bucket, key, value []byte) error {
	t.n += len(key) + len(value)
	return t.StoreTx.Put(b, key, value)
}

// While the pictures of one request are read, at whatever pace, other cases move; and what
// a move can have to wait for, one transaction of another call, writes little more than
// a MiB.
func TestBigRequest(t *testing.T) {
	t.Parallel()
	store, err := desk.OpenStore(filepath.Join(t.TempDir(), "cases.db"))
	ok(t, err)
	s := &puts{Store: store}
	d := open(t, t.TempDir(), &desk.Options{Store: s})
	slow := &stalling{padded(t, 1, 5<<20), make(chan string), make(chan struct{})}
	r := optOut(t, 1)
	r.Images = images(padded(t, 2, 5<<20))
	r.Images = append(r.Images, slow.file())
	done := make(chan error)
	go func() {
		c, err := d.Submit(ctx, r)
		if err == nil {
			err = d.Accept(ctx, c.ID, desk.Grant{Actor: alice})
		}
		done <- err
	}()
	stalls := map[string]bool{}
	for i := 0; len(stalls) < 2; i++ { // to look at it, and to store it
		select {
		case what := <-slow.at:
			stalls[what] = true
			accept(t, d, notice(fmt.Sprintf("https://example.org/%d.jpg", i)), desk.Grant{})
			// It goes on to the next time that it reads the file.
			slow.free <- struct{}{}
		case err := <-done:
			t.Fatalf("it has ended after %v: %v", stalls, err)
		}
	}
	close(slow.free)
	ok(t, <-done)
	if s.max > 1<<20+64<<10 || s.max < 1<<20 {
		t.Errorf("a transaction has written %d bytes", s.max)
	}
}
