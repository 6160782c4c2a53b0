package feed_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist/feed"
)

// base returns the name and the content of the base that a desk has published.
func (d *desk) base() (string, []byte) {
	d.tb.Helper()
	for _, n := range d.names() {
		if strings.HasPrefix(n, "base-") {
			b, err := os.ReadFile(filepath.Join(d.to, n))
			if err != nil {
				d.tb.Fatal(err)
			}
			return n, b
		}
	}
	d.tb.Fatal("there is no base")
	return "", nil
}

// A server that ignores ranges and never sends a whole base is left alone, however
// much it sends.
func TestServerBeginsAgain(t *testing.T) {
	t.Parallel()
	d := published(t, 30_000)
	base, content := d.base()
	var asked atomic.Int64
	m := &mirror{dir: d.to}
	m.set(func(w http.ResponseWriter, _ *http.Request, name string) bool {
		if name != base {
			return false
		}
		if asked.Add(1) > 20 {
			w.WriteHeader(http.StatusNotFound) // ends a reader that does not give up
			return true
		}
		w.Write(content[:1_200_000])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	f, err := feed.Follow(context.Background(), serve(t, m), manual(t))
	if err == nil {
		f.Close()
		t.Fatal("a part of a base is taken")
	}
	if n := asked.Load(); n != 4 {
		t.Errorf("the base was requested %d times, want once and 3 times again", n)
	}
}

// A server that ignores a range has time for the whole file.
func TestServerIgnoresRange(t *testing.T) {
	t.Parallel()
	d := published(t, 500)
	base, content := d.base()
	m := &mirror{dir: d.to}
	m.set(func(w http.ResponseWriter, r *http.Request, name string) bool {
		if name != base {
			return false
		}
		if r.Header.Get("Range") == "" {
			t.Error("the reader does not go on with what it has")
		}
		for k := range 8 {
			w.Write(content[k*len(content)/8 : (k+1)*len(content)/8])
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
		return true
	})
	o := manual(t)
	o.Timeout = 400 * time.Millisecond // and 4 seconds for 64 KiB
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, base+".part"), content[:len(content)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	d.reaches(follow(t, serve(t, m), o))
}
