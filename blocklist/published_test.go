package blocklist_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/fsx/crashfs"
)

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	check(tb, err)
	return b
}

var publishKey = &blocklist.EncryptionKey{3}

// opensFaces returns how many faces somebody finds in a published file who has
// the encryption key and minds no date.
func opensFaces(tb testing.TB, content []byte) int {
	tb.Helper()
	v, err := blocklist.LoadBytesWith(content, blocklist.LoadOptions{EncryptionKey: publishKey})
	if errors.Is(err, blocklist.ErrNotSnapshot) {
		return 0
	}
	if err != nil {
		tb.Fatal(err)
	}
	return v.Counts().Faces
}

// withoutLinks is a file system that knows no second names.
type withoutLinks struct{ fsx.OS }

func (withoutLinks) Link(string, string) error { return errors.ErrUnsupported }

// A file with faces is unreadable once another one has its place, under whatever
// name and for who has it open; the next file, and one without faces, is not.
func TestPublish_ReplacedIsUnreadable(t *testing.T) {
	t.Parallel()
	for name, fsys := range map[string]fsx.FS{"links": fsx.OS{}, "no links": withoutLinks{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, t.TempDir(), blocklist.WithFS(blocklist.Options{CompactAfter: -1, EncryptionKey: publishKey}, fsys))
			defer l.Close()
			dir, elsewhere := t.TempDir(), t.TempDir()
			path := filepath.Join(dir, "p")
			publish := func() []byte {
				t.Helper()
				if err := l.Publish(path); err != nil {
					t.Fatal(err)
				}
				return readFile(t, path)
			}
			keep := func(name string) (link string, f *os.File) {
				t.Helper()
				link = filepath.Join(elsewhere, name)
				if err := os.Link(path, link); err != nil {
					t.Fatal(err)
				}
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() })
				return link, f
			}
			none := publish()
			link, _ := keep("without faces")
			limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
			x := faceOf(t, faceModels[0], 1, 0, 0)
			seq := mustAppend(t, l, faceRule(t, l, 1, limits, x))[0]
			before := publish()
			if !bytes.Equal(readFile(t, link), none) {
				t.Error("a file without faces was changed")
			}
			if opensFaces(t, before) != 1 {
				t.Fatal("the published file does not open, so this shows nothing")
			}
			node, err := blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: publishKey})
			if err != nil {
				t.Fatal(err)
			}
			link, f := keep("with faces")
			mustAppend(t, l, blocklist.Event{ID: newID(2), Type: blocklist.EventRevoked, Target: seq})
			after := publish()
			if opensFaces(t, after) != 0 {
				t.Error("the next file has the face")
			}
			held := make([]byte, len(before))
			if _, err := f.ReadAt(held, 0); err != nil {
				t.Fatal(err)
			}
			salt := before[24:56]
			for what, b := range map[string][]byte{"linked": readFile(t, link), "open": held} {
				if opensFaces(t, b) != 0 || bytes.Contains(b, salt) || !bytes.Equal(b[80:], before[80:]) {
					t.Errorf("the %s file still opens, or was changed behind its header", what)
				}
			}
			if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
				t.Errorf("%v, %v are left", names, err)
			}
			if !facesFound(node.State(), x)[seq] {
				t.Error("the node has lost what it had loaded")
			}
			if changed, err := node.Reload(); err != nil || !changed || len(facesFound(node.State(), x)) > 0 {
				t.Errorf("Reload: %v, %v", changed, err)
			}
		})
	}
}

// replacedFS calls then between the opening of a file and the first reading.
type replacedFS struct {
	fsx.OS
	then func()
}

func (r replacedFS) Open(name string) (fsx.File, error) {
	f, err := r.OS.Open(name)
	r.then()
	return f, err
}

// Load and Reload read the file that has taken the place of the one that they
// have opened.
func TestLoad_ReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: -1, EncryptionKey: publishKey})
	defer l.Close()
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	mustAppend(t, l, faceRule(t, l, 1, limits, faceOf(t, faceModels[0], 1, 0, 0)))
	path := filepath.Join(t.TempDir(), "p")
	publish := func() {
		if err := l.Publish(path); err != nil {
			t.Error(err)
		}
	}
	publish()
	var once *sync.Once
	arm := func() {
		once = new(sync.Once)
		mustAppend(t, l, faceRule(t, l, l.State().Seq()+1, limits, faceOf(t, faceModels[0], 2, 0, 0)))
	}
	arm()
	opts := blocklist.LoadWithFS(blocklist.LoadOptions{EncryptionKey: publishKey}, replacedFS{then: func() { once.Do(publish) }})
	node, err := blocklist.Load(path, opts)
	if err != nil || node.State().Counts().Faces != 2 {
		t.Fatalf("Load: %v", err)
	}
	arm()
	if changed, err := node.Reload(); err != nil || !changed || node.State().Counts().Faces != 3 {
		t.Errorf("Reload: %v, %v", changed, err)
	}
}

// Refresh publishes again what has keys that must not be there any more, and
// leaves everything else.
func TestRefresh(t *testing.T) {
	t.Parallel()
	const none, stays, again = "none", "stays", "again"
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	week := 7 * 24 * time.Hour
	type scene struct {
		l    *blocklist.List
		dir  string // of the list
		path string
		c    *clock
		seq  uint64
		opts *blocklist.Options
	}
	revoke := func(s *scene) {
		mustAppend(t, s.l, blocklist.Event{ID: newID(50), Type: blocklist.EventRevoked, Target: s.seq})
	}
	write := func(s *scene, b []byte) {
		if err := os.WriteFile(s.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		then func(s *scene)
		want string
		err  error
	}{
		"nothing happened":   {func(*scene) {}, stays, nil},
		"nearly too old":     {func(s *scene) { s.c.sec.Add(int64(week/time.Second) - 1) }, stays, nil},
		"too old":            {func(s *scene) { s.c.sec.Add(int64(week / time.Second)) }, again, nil},
		"revoked":            {revoke, again, nil},
		"revoked, compacted": {func(s *scene) { revoke(s); check(t, s.l.Compact(t.Context())) }, again, nil},
		"over":               {func(s *scene) { s.c.sec.Add(3600) }, again, nil},
		"one more": {func(s *scene) {
			mustAppend(t, s.l, faceRule(t, s.l, 60, limits, faceOf(t, faceModels[0], 60, 0, 0)))
		}, stays, nil},
		"gone":    {func(s *scene) { check(t, os.Remove(s.path)) }, none, nil},
		"foreign": {func(s *scene) { revoke(s); write(s, []byte("something else")) }, none, nil},
		"empty":   {func(s *scene) { revoke(s); write(s, nil) }, none, nil},
		"of another list": {func(s *scene) {
			revoke(s)
			other := open(t, t.TempDir(), &blocklist.Options{Now: s.c.now, EncryptionKey: publishKey})
			defer other.Close()
			mustAppend(t, other, faceRule(t, other, 1, limits, faceOf(t, faceModels[0], 1, 0, 0)))
			check(t, other.Publish(s.path))
		}, none, nil},
		"under another key": {func(s *scene) {
			revoke(s)
			check(t, blocklist.WriteSnapshotFileWith(s.path, s.l.State(), nil, &blocklist.EncryptionKey{9}))
		}, none, nil},
		"damaged": {func(s *scene) { b := readFile(t, s.path); b[100] ^= 1; write(s, b) }, again, nil},
		"cut":     {func(s *scene) { write(s, readFile(t, s.path)[:1000]) }, again, nil},
		"newer": {func(s *scene) {
			s.l.Close()
			away := s.dir + ".away"
			check(t, os.CopyFS(away, os.DirFS(s.dir)))
			s.l = open(t, s.dir, s.opts)
			revoke(s)
			mustAppend(t, s.l, faceRule(t, s.l, 61, limits, faceOf(t, faceModels[0], 61, 0, 0)))
			check(t, s.l.Publish(s.path))
			s.l.Close()
			s.l = open(t, away, s.opts)
		}, stays, blocklist.ErrRollback},
		"signed": {func(s *scene) {
			s.l.Close()
			signing := *s.opts
			signing.SigningKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
			s.l = open(t, s.dir, &signing)
			check(t, s.l.Publish(s.path))
			s.l.Close()
			s.l = open(t, s.dir, s.opts)
			revoke(s)
		}, stays, blocklist.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{dir: t.TempDir(), path: filepath.Join(t.TempDir(), "p"), c: newClock()}
			s.opts = &blocklist.Options{Now: s.c.now, CompactAfter: -1, EncryptionKey: publishKey}
			s.l = open(t, s.dir, s.opts)
			defer func() { s.l.Close() }()
			s.seq = mustAppend(t, s.l, faceRule(t, s.l, 1, limits, faceOf(t, faceModels[0], 1, 0, 0)))[0]
			faces := 1
			if name == "over" {
				timed := faceRule(t, s.l, 2, limits, faceOf(t, faceModels[0], 2, 0, 0))
				timed.Rule.End = s.c.now().Truncate(time.Second).Add(time.Hour).UTC()
				mustAppend(t, s.l, timed)
			}
			check(t, s.l.Publish(s.path))
			tt.then(s)
			if tt.want == again {
				faces = s.l.Info().Faces
				if name == "over" {
					faces = 1
				}
			}
			before, err := os.ReadFile(s.path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			found, err := s.l.Refresh(s.path)
			if found != (tt.want != none) || !errors.Is(err, tt.err) {
				t.Fatalf("found %v, %v", found, err)
			}
			after, err := os.ReadFile(s.path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if bytes.Equal(before, after) != (tt.want != again) {
				t.Errorf("the file was published again: %v", !bytes.Equal(before, after))
			}
			if n := -1; tt.want == again {
				if n = opensFaces(t, after); n != faces {
					t.Errorf("the file has %d faces, want %d", n, faces)
				}
				if found, err := s.l.Refresh(s.path); found != (faces > 0) || err != nil || !bytes.Equal(readFile(t, s.path), after) {
					t.Errorf("the second time: found %v, %v", found, err)
				}
			}
		})
	}
	if _, err := (func() (bool, error) {
		path := filepath.Join(t.TempDir(), "p")
		l := open(t, t.TempDir(), &blocklist.Options{EncryptionKey: publishKey})
		defer l.Close()
		check(t, l.Publish(path))
		node, err := blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: publishKey})
		check(t, err)
		return node.Refresh(path)
	})(); !errors.Is(err, blocklist.ErrReadOnly) {
		t.Errorf("a loaded list: %v", err)
	}
}

// What lies beside a published file and was not made by Publish is left alone.
func TestRefresh_LeavesOthers(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: -1, EncryptionKey: publishKey})
	defer l.Close()
	mustAppend(t, l, faceRule(t, l, 1, blocklist.FaceLimits{Block: 0.9, Review: 0.8}, faceOf(t, faceModels[0], 1, 0, 0)))
	path := filepath.Join(t.TempDir(), "p")
	check(t, os.WriteFile(path+".replaced", []byte("mine"), 0o600))
	check(t, l.Publish(path))
	first := filepath.Join(t.TempDir(), "first")
	check(t, os.Link(path, first))
	check(t, l.Publish(path))
	if found, err := l.Refresh(path); !found || err != nil {
		t.Error(found, err)
	}
	if string(readFile(t, path+".replaced")) != "mine" {
		t.Error("it was changed")
	}
	if opensFaces(t, readFile(t, first)) != 0 {
		t.Error("the replaced file opens")
	}
}

// TestPublish_CrashAtEveryOperation lets the machine crash at each operation of a
// Publish, by Refresh, that replaces a file with faces. After the next Refresh
// nothing on the disk, with a name or without, has the old keys,
// and at no time is there no file that a node can load.
func TestPublish_CrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	crashed := 0
	torn := []func() *rand.Rand{func() *rand.Rand { return nil }}
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		torn = append(torn, func() *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) })
	}
	for n := 1; ; n++ {
		over := false
		for _, mode := range []crashfs.Mode{crashfs.Crash, crashfs.CrashWithin, crashfs.Fail} {
			for seed := range torn {
				dir := filepath.Join(root, mode.String(), strconv.Itoa(seed), strconv.Itoa(n))
				check(t, os.MkdirAll(dir, 0o700))
				path := filepath.Join(dir, "p")
				fsys, opts := &crashfs.FS{}, blocklist.Options{CompactAfter: -1, EncryptionKey: publishKey}
				l := open(t, dir, blocklist.WithFS(opts, fsys))
				limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
				rules := mustAppend(t, l, faceRule(t, l, 1, limits, faceOf(t, faceModels[0], 1, 0, 0)), faceRule(t, l, 2, limits, faceOf(t, faceModels[0], 2, 0, 0)))
				check(t, l.Publish(path))
				mustAppend(t, l, blocklist.Event{ID: newID(3), Type: blocklist.EventRevoked, Target: rules[0]})
				ops := fsys.Ops()
				fsys.Arm(n, mode)
				_, err := l.Refresh(path)
				over = fsys.Ops()-ops < n
				l.Close()
				if !over && err == nil && mode != crashfs.Fail {
					t.Fatalf("operation %d, %v: no error", n, mode)
				}
				after := fsys
				if mode != crashfs.Fail {
					after = fsys.AfterCrash(torn[seed]())
				}
				load := func(what string, want int) {
					t.Helper()
					node, err := blocklist.Load(path, blocklist.LoadWithFS(blocklist.LoadOptions{EncryptionKey: publishKey}, after))
					if err != nil {
						t.Fatalf("operation %d, %v, %d: %s: %v", n, mode, seed, what, err)
					}
					if got := node.State().Counts().Faces; want != 0 && got != want {
						t.Fatalf("operation %d, %v, %d: %s: %d faces, want %d", n, mode, seed, what, got, want)
					}
				}
				load("after the crash", 0)
				l = open(t, dir, blocklist.WithFS(opts, after))
				if found, err := l.Refresh(path); !found || err != nil {
					t.Fatalf("operation %d, %v, %d: Refresh: %v, %v", n, mode, seed, found, err)
				}
				load("refreshed", 1)
				l.Close()
				names, err := after.List(dir)
				check(t, err)
				for _, name := range names {
					if b := after.Bytes(filepath.Join(dir, name)); name != "p" && bytes.HasPrefix(b, []byte("\x89SDCRYP")) {
						t.Fatalf("operation %d, %v, %d: %s is left", n, mode, seed, name)
					}
				}
				for _, b := range after.Nameless() {
					if bytes.HasPrefix(b, []byte("\x89SDCRYP")) {
						t.Fatalf("operation %d, %v, %d: a file without a name is left readable", n, mode, seed)
					}
				}
				crashed++
			}
		}
		if over {
			break
		}
	}
	t.Logf("%d crashes", crashed)
	if crashed < 100 {
		t.Error("that is too few to show anything")
	}
}
