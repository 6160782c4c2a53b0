//go:build linux

package blocklist_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/sharedtest"
)

const fullDiskEnv = "STAYDOWN_TEST_FULL_DISK"

// fillDisk appends and compacts until the limit on the size of files, which
// stands for a full disk, makes it fail, and a little on.
func fillDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("skip", err)
		os.Exit(0)
	}
	room := limit.Cur
	limit.Cur = 200 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("skip", err)
		os.Exit(0)
	}
	l, err := boltjournal.Open(dir, &blocklist.Options{CompactAfter: -1})
	if err != nil {
		fmt.Println("open", err)
		os.Exit(0)
	}
	event := func(i int) blocklist.Event {
		e := blocklist.Event{ID: newID(uint64(i)), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock}}
		for j := range 50 {
			e.Rule.Keys.Bytes = append(e.Rule.Keys.Bytes, [32]byte{byte(i), byte(i >> 8), byte(j)})
		}
		return e
	}
	failed, i := 0, 1
	for ; failed < 5; i++ {
		if _, err := l.Append(context.Background(), event(i)); err == nil && failed == 0 {
			fmt.Println("ack", i)
		} else if err == nil || !errors.Is(err, blocklist.ErrNotWritten) || !strings.Contains(err.Error(), "file too large") {
			fmt.Printf("wrong: event %d after %d failures: %v\n", i, failed, err)
			os.Exit(0)
		} else {
			failed++
		}
		if i%20 == 0 {
			l.Compact(context.Background())
		}
	}
	// With room again it goes on, without being opened again, in order.
	limit.Cur = room
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("skip", err)
		os.Exit(0)
	}
	for i -= 5; failed < 20; i, failed = i+1, failed+1 {
		if _, err := l.Append(context.Background(), event(i)); err != nil {
			fmt.Printf("wrong: event %d with room again: %v\n", i, err)
			os.Exit(0)
		}
		fmt.Println("ack", i)
	}
	if err := errors.Join(l.Verify(context.Background()), l.Compact(context.Background())); err != nil || len(l.Info().Failing) > 0 {
		fmt.Printf("wrong: %v, %v\n", err, l.Info().Failing)
		os.Exit(0)
	}
	// Reading goes on.
	n := 0
	l.State().FindBytes([32]byte{1, 0, 0}, func(blocklist.Hit) bool { n++; return true })
	fmt.Println("hits", n)
	l.Close()
	os.Exit(0)
}

// A full disk loses nothing that was acknowledged.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(fullDiskEnv); dir != "" {
		fillDisk(dir)
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "l")
	cmd := child(t, "TestFullDisk", fullDiskEnv+"="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start(t, cmd)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	acked := map[int]bool{}
	hits := false
	for line := range strings.Lines(out.String()) {
		what, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "ack":
			i, _ := strconv.Atoi(n)
			acked[i] = true
		case "hits":
			hits = n == "1"
		case "skip":
			t.Skip(line)
		default:
			t.Fatal(line)
		}
	}
	if len(acked) < 10 || !hits {
		t.Fatalf("only %d events were acknowledged, hits %t:\n%s", len(acked), hits, out.String())
	}
	l := open(t, dir, nil)
	for i := range acked {
		n := 0
		l.State().FindBytes([32]byte{byte(i), byte(i >> 8), 49}, func(blocklist.Hit) bool { n++; return true })
		if n != 1 {
			t.Errorf("event %d is lost", i)
		}
	}
	// With space again, it goes on where it was.
	mustAppend(t, l, addedRule(t, l, 1<<40))
	if err := l.Compact(context.Background()); err != nil {
		t.Error(err)
	}
}

// A week of compactions and publications in fast motion, with as many rules
// added as revoked: nothing grows. STAYDOWN_COMPACTIONS sets how many; 10,000
// are one a minute.
func TestNothingGrows(t *testing.T) {
	rounds := sharedtest.Count(t, "STAYDOWN_COMPACTIONS", 150)
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "l"), blocklist.WithoutSync(blocklist.Options{CompactAfter: -1}))
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	r, err := blocklist.Load(path, &blocklist.LoadOptions{Map: true})
	if err != nil {
		t.Fatal(err)
	}
	u := newUniverse(3, 64)
	live := []uint64{}
	id := uint64(0)
	var first [4]int
	for round := range rounds {
		for i := range 20 {
			id++
			e := addedRule(t, l, id, u.addresses[(int(id)*7)%64])
			e.Rule.Keys.Hashes = []blocklist.HashKey{{Hash: u.hashes[i]}}
			live = append(live, mustAppend(t, l, e)...)
		}
		for len(live) > 100 {
			id++
			mustAppend(t, l, blocklist.Event{ID: newID(id), Type: blocklist.EventRevoked, Target: live[0]})
			live = live[1:]
		}
		if err := l.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		if changed, err := r.Reload(); err != nil || !changed {
			t.Fatalf("Reload: %t, %v", changed, err)
		}
		if round == rounds/3 || round == rounds-1 {
			got := usage(t, dir)
			if first == [4]int{} {
				first = got
				continue
			}
			t.Logf("after %d and %d rounds: goroutines, descriptors, mappings, bytes of snapshots %v and %v", rounds/3+1, rounds, first, got)
			// The history of the digests grows until it has 65,536: in two snapshots of
			// the list, and in the published one.
			since := 3 * 8 * 40 * (rounds - 1 - rounds/3)
			for i, slack := range []int{2, 4, 40, 4096 + since} {
				if got[i] > first[i]+slack {
					t.Errorf("number %d grows: %v, then %v", i, first, got)
				}
			}
		}
	}
}

// usage returns the numbers of goroutines, file descriptors and mappings, and
// the bytes of all snapshots.
func usage(t *testing.T, dir string) (n [4]int) {
	t.Helper()
	for range 5 { // cleanups run after a collection
		runtime.GC()
	}
	n[0] = runtime.NumGoroutine()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	n[1] = len(fds)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	n[2] = bytes.Count(maps, []byte("\n"))
	for _, pattern := range []string{"p*", "l/snapshot*"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range names {
			if fi, err := os.Stat(name); err == nil {
				n[3] += int(fi.Size())
			}
		}
	}
	return n
}

// Close of a loaded list gives its memory back, when the last View is gone, and
// the list is empty then.
func TestClose_Loaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "l"), nil)
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
	path := filepath.Join(dir, "to-be-closed.snap")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	r, err := blocklist.Load(path, &blocklist.LoadOptions{Map: true})
	if err != nil {
		t.Fatal(err)
	}
	mapped := func() bool {
		runtime.GC()
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		return bytes.Contains(maps, []byte(path))
	}
	hits := func(v *blocklist.State) (n int) {
		d, err := v.Digest(blocklist.ImageAddress, "https://example.com/1")
		if err != nil {
			t.Fatal(err)
		}
		v.FindAddress(d, func(blocklist.Hit) bool { n++; return true })
		return n
	}
	v := r.State()
	before := mapped() // not where addresses have 32 bits: there it is copied
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if still := mapped(); hits(v) != 1 || still != before {
		t.Error("a View does not outlive Close")
	}
	if n := hits(r.State()); n != 0 {
		t.Errorf("%d hits in a closed list", n)
	}
	_, err = r.Reload()
	for what, err := range map[string]error{"Reload": err, "Publish": r.Publish(path), "Verify": r.Verify(context.Background())} {
		if !errors.Is(err, blocklist.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
	for end := time.Now().Add(10 * time.Second); mapped(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the file is still mapped")
		}
	}
	runtime.KeepAlive(r)
}
