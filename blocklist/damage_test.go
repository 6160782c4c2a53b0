package blocklist_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

// smallSnapshot returns a snapshot with something of everything in it, and the
// model of what it says.
func smallSnapshot(tb testing.TB, u *universe) ([]byte, *model, *blocklist.List) {
	tb.Helper()
	dir := tb.TempDir()
	c := newClock()
	l := open(tb, filepath.Join(dir, "l"), &blocklist.Options{Now: c.now, CompactAfter: -1})
	m := newModel(c)
	add := func(e blocklist.Event) {
		m.apply(e)
		mustAppend(tb, l, e)
	}
	for i := range u.addresses {
		e := addedRule(tb, l, uint64(i+1), u.addresses[i])
		e.Rule.Keys.Bytes = [][32]byte{u.files[i]}
		e.Rule.Keys.Hashes = []blocklist.HashKey{{Hash: u.hashes[i], Variant: uint8(i)}}
		if i%3 == 0 {
			e.Rule.Territories = territories[i%2 : 3]
		}
		if i%4 == 0 {
			e.Rule.End = c.now().Truncate(1e9).Add(3600e9).UTC()
		}
		e.Rule.Kind = uint8(i % 2)
		add(e)
	}
	add(blocklist.Event{ID: newID(100), Type: blocklist.EventDerived, Target: 2, Keys: blocklist.Keys{Bytes: u.files[:1]}})
	add(blocklist.Event{ID: newID(101), Type: blocklist.EventException, Target: 3, Keys: blocklist.Keys{
		Bytes: u.files[2:3], Hashes: []blocklist.HashKey{{Hash: u.hashes[0]}}}})
	add(blocklist.Event{ID: newID(102), Type: blocklist.EventRevoked, Target: 4})
	// Everything that a key can have; no query of the model finds it.
	var far [32]byte
	far[0], far[9], far[31] = 0xff, 0x0f, 0xf0
	add(blocklist.Event{ID: newID(103), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectReview, Purposes: blocklist.PurposeTrain, Keys: blocklist.Keys{
			Bytes: [][32]byte{{99}}, SHA1: [][20]byte{{1}}, MD5: [][16]byte{{2}},
			Hashes: []blocklist.HashKey{{Hash: phash.FromPDQ(far), Variant: 3, Reach: blocklist.ReachBits(9), View: 2}, {Hash: phash.FromPDQ(far)}},
			Views:  []blocklist.View{{Frame: 7, Reading: phash.ReadingColours}, {Rect: image.Rect(1, 2, 30, 40)}},
		}}})
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data, m, l
}

// known reports whether an error is one of those that Load promises.
func known(err error) bool {
	for _, want := range []error{
		blocklist.ErrNotSnapshot, blocklist.ErrVersion, blocklist.ErrTruncated, blocklist.ErrChecksum,
		blocklist.ErrFormat, blocklist.ErrLimit, blocklist.ErrKey, blocklist.ErrRules, blocklist.ErrSignature,
	} {
		if errors.Is(err, want) {
			return strings.HasPrefix(err.Error(), "blocklist: ")
		}
	}
	return false
}

// Every change of a single byte of a snapshot is refused, or changes nothing
// of what it says.
func TestEveryDamagedByte(t *testing.T) {
	t.Parallel()
	u := newUniverse(5, 6)
	data, m, _ := smallSnapshot(t, u)
	clean, err := blocklist.LoadBytes(data, newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, u, m, clean)
	harmless := 0
	for i := range data {
		for _, change := range []byte{0x01, 0x80, 0xff, data[i]} {
			if change == 0 {
				continue
			}
			data[i] ^= change
			v, err := blocklist.LoadBytes(data, newClock().now)
			data[i] ^= change
			switch {
			case err == nil:
				harmless++
				compare(t, u, m, v)
			case !known(err):
				t.Fatalf("byte %d changed by %#x: %v", i, change, err)
			}
		}
	}
	t.Logf("%d bytes; %d changes were harmless", len(data), harmless)
	for n := range data {
		if _, err := blocklist.LoadBytes(data[:n], newClock().now); !known(err) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := blocklist.LoadBytes(append(slices.Clone(data), 0), newClock().now); !errors.Is(err, blocklist.ErrTruncated) {
		t.Errorf("one byte too many: %v", err)
	}
}

// faceSnapshot returns the content of an encrypted snapshot with faces and
// their keys, and the model of what it says.
func faceSnapshot(tb testing.TB, u *universe) ([]byte, *model, *blocklist.List) {
	tb.Helper()
	dir := tb.TempDir()
	c := newClock()
	key := &blocklist.EncryptionKey{1}
	l := open(tb, filepath.Join(dir, "l"), &blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: key})
	m := newModel(c)
	for i := range 6 {
		e := blocklist.Event{ID: newID(uint64(i + 1)), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeFace, Effect: blocklist.EffectBlock}}
		if i == 4 {
			e.Rule.End = c.now().Truncate(1e9).Add(3600e9).UTC()
		}
		faces, err := m.seal(l, e.ID, limitsOf[i%3], u.faces[i%len(u.faces)], u.faces[(i+3)%len(u.faces)])
		if err != nil {
			tb.Fatal(err)
		}
		e.Rule.Keys.Faces = faces
		m.apply(e)
		mustAppend(tb, l, e)
	}
	e := blocklist.Event{ID: newID(100), Type: blocklist.EventRevoked, Target: 2}
	m.apply(e)
	mustAppend(tb, l, e)
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	content, err := blocklist.Decrypt(path, data, *key, l.ID())
	if err != nil {
		tb.Fatal(err)
	}
	return content[0], m, l
}

// Every change of a single byte of a snapshot with faces is refused, or changes
// nothing of what it says.
func TestEveryDamagedByte_Faces(t *testing.T) {
	t.Parallel()
	u := newUniverse(5, 6)
	data, m, _ := faceSnapshot(t, u)
	clean, err := blocklist.LoadDecrypted(data, newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, u, m, clean)
	if clean.Counts().Faces != 10 {
		t.Fatalf("%d faces, want 10", clean.Counts().Faces)
	}
	for i := range data {
		for _, change := range []byte{0x01, 0xff} {
			data[i] ^= change
			v, err := blocklist.LoadDecrypted(data, newClock().now)
			resealed, err2 := blocklist.LoadDecrypted(blocklist.Reseal(slices.Clone(data)), newClock().now)
			data[i] ^= change
			switch {
			case err == nil:
				compare(t, u, m, v)
			case !known(err):
				t.Fatalf("byte %d changed by %#x: %v", i, change, err)
			}
			// Somebody who makes the checksums fit gets no further than other
			// limits, grants and times.
			if err2 == nil {
				use(resealed, u)
			} else if !known(err2) {
				t.Fatalf("byte %d changed by %#x, with checksums that fit: %v", i, change, err2)
			}
		}
	}
	for n := range data {
		if _, err := blocklist.LoadDecrypted(data[:n], newClock().now); !known(err) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

// section returns a section of a snapshot.
func section(b []byte, kind byte) []byte {
	for at := 192; ; at += 32 {
		if b[at] == kind {
			offset, size := binary.LittleEndian.Uint64(b[at+8:]), binary.LittleEndian.Uint64(b[at+16:])
			return b[offset : offset+size]
		}
	}
}

// What a snapshot says twice must be the same both times: attributes of grants,
// and rows and sets that say them again.
func TestLoad_Contradictions(t *testing.T) {
	t.Parallel()
	data, _, _ := smallSnapshot(t, newUniverse(5, 6))
	const attributes, learned, timed, history = 2, 4, 5, 16
	first := func(b []byte, flag uint32, set bool) []byte {
		for p := section(b, attributes); ; p = p[4:] {
			if binary.LittleEndian.Uint32(p)&flag != 0 == set {
				return p
			}
		}
	}
	for name, change := range map[string]func(b []byte){
		"learned and no row":        func(b []byte) { first(b, 1<<24, false)[3] ^= 1 },
		"a row and not learned":     func(b []byte) { first(b, 1<<24, true)[3] ^= 1 },
		"learned for what is later": func(b []byte) { section(b, learned)[8] = 100 },
		"learned by another":        func(b []byte) { section(b, learned)[0]-- },
		"times and no row":          func(b []byte) { first(b, 1<<26, false)[3] ^= 4 },
		"a row and no times":        func(b []byte) { first(b, 1<<26, true)[3] ^= 4 },
		"times of another":          func(b []byte) { section(b, timed)[0]++ },
		"worldwide and not":         func(b []byte) { first(b, 1<<25, false)[3] ^= 2 },
		"nowhere":                   func(b []byte) { first(b, 1<<25, true)[3] ^= 2 },
		"another history":           func(b []byte) { p := section(b, history); p[len(p)-1] ^= 1 },
		"another digest":            func(b []byte) { b[104] ^= 1 },
	} {
		b := slices.Clone(data)
		change(b)
		if _, err := blocklist.LoadBytes(blocklist.Reseal(b), newClock().now); !errors.Is(err, blocklist.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

// Each cause has its own error, in the sections of faces too.
func TestLoadErrors_Faces(t *testing.T) {
	t.Parallel()
	data, _, _ := faceSnapshot(t, newUniverse(5, 6))
	const faces, keys = 21, 22
	row := 24 // of the first model, whose name has 6 bytes
	tests := []struct {
		name   string
		change func([]byte)
		want   error
	}{
		{"no change", func([]byte) {}, nil},
		{"grant", func(b []byte) { section(b, faces)[row] = 99 }, blocklist.ErrFormat},
		{"rows out of order", func(b []byte) { section(b, faces)[row] = 4 }, blocklist.ErrFormat},
		{"event", func(b []byte) { section(b, faces)[row+8] ^= 1 }, nil}, // no key
		{"event of another", func(b []byte) { section(b, faces)[row+8] = 3 }, blocklist.ErrFormat},
		{"limits crossed", func(b []byte) { section(b, faces)[row+24+7] = 0 }, blocklist.ErrFormat},
		{"limit not a number", func(b []byte) { copy(section(b, faces)[row+32:], "\xff\xff\xff\xff\xff\xff\xff\xff") }, blocklist.ErrFormat},
		{"sealed by a newer version", func(b []byte) { section(b, faces)[row+40] = 2 }, blocklist.ErrVersion},
		{"sealed", func(b []byte) { section(b, faces)[row+60] ^= 1 }, blocklist.ErrFormat},
		{"no rows", func(b []byte) { clear(section(b, faces)[8:16]) }, blocklist.ErrFormat},
		{"too many rows", func(b []byte) { section(b, faces)[14] = 1 }, blocklist.ErrFormat},
		{"no name", func(b []byte) { section(b, faces)[0] = 0 }, blocklist.ErrFormat},
		{"few dimensions", func(b []byte) { section(b, faces)[2] = 63 }, blocklist.ErrFormat},
		{"other dimensions", func(b []byte) { section(b, faces)[2]++ }, blocklist.ErrFormat},
		{"padding", func(b []byte) { section(b, faces)[1] = 1 }, blocklist.ErrFormat},
		{"padding of the name", func(b []byte) { section(b, faces)[22] = 1 }, blocklist.ErrFormat},
		{"good for ever", func(b []byte) { section(b, keys)[7] = 0x7f }, blocklist.ErrFormat},
		{"good before it was written", func(b []byte) { clear(section(b, keys)[:8]) }, blocklist.ErrFormat},
		{"keys out of order", func(b []byte) { section(b, keys)[8] = 0xff }, blocklist.ErrFormat},
		{"another key", func(b []byte) { section(b, keys)[8+16] ^= 1 }, blocklist.ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := slices.Clone(data)
			tt.change(b)
			if _, err := blocklist.LoadDecrypted(blocklist.Reseal(b), newClock().now); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	if _, err := blocklist.LoadBytes(data, newClock().now); !errors.Is(err, blocklist.ErrFormat) {
		t.Errorf("keys in a file that is not encrypted: %v, want ErrFormat", err)
	}
}

// Each cause has its own error.
func TestLoadErrors(t *testing.T) {
	t.Parallel()
	data, _, _ := smallSnapshot(t, newUniverse(5, 6))
	tests := []struct {
		name   string
		change func([]byte) []byte
		want   error
	}{
		{"empty", func([]byte) []byte { return nil }, blocklist.ErrNotSnapshot},
		{"something else", func([]byte) []byte {
			return []byte("%PDF-1.7 and so on, for quite a while, with more than a header's bytes")
		}, blocklist.ErrNotSnapshot},
		{"newer version", func(b []byte) []byte { b[8]++; return b }, blocklist.ErrVersion},
		{"cut in the magic", func(b []byte) []byte { return b[:4] }, blocklist.ErrTruncated},
		{"cut in the header", func(b []byte) []byte { return b[:100] }, blocklist.ErrTruncated},
		{"cut in the table", func(b []byte) []byte { return b[:264] }, blocklist.ErrTruncated},
		{"cut in a section", func(b []byte) []byte { return b[:len(b)-1] }, blocklist.ErrTruncated},
		{"too long", func(b []byte) []byte { return append(b, 0) }, blocklist.ErrTruncated},
		{"header", func(b []byte) []byte { b[24] ^= 1; return b }, blocklist.ErrChecksum},
		{"table", func(b []byte) []byte { b[204] ^= 1; return b }, blocklist.ErrChecksum},
		{"section", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, blocklist.ErrChecksum},
		// With checksums that fit.
		{"too many sections", func(b []byte) []byte { b[12] = 65; return blocklist.Reseal(b) }, blocklist.ErrLimit},
		{"contents of the future", func(b []byte) []byte { b[137] = 1; return blocklist.Reseal(b) }, blocklist.ErrVersion},
		{"other rules for addresses", func(b []byte) []byte { b[40+52]++; return blocklist.Reseal(b) }, blocklist.ErrRules},
		{"section of the future", func(b []byte) []byte { b[192+32*(int(b[12])-1)] = 99; return blocklist.Reseal(b) }, blocklist.ErrVersion},
		{"sections out of order", func(b []byte) []byte { b[192] = 9; return blocklist.Reseal(b) }, blocklist.ErrFormat},
		{"section outside of the file", func(b []byte) []byte { b[192+16+6] = 1; return blocklist.Reseal(b) }, blocklist.ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := blocklist.LoadBytes(tt.change(slices.Clone(data)), newClock().now); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// Random changes of a bigger snapshot. STAYDOWN_DAMAGE sets how many; 100,000
// take some minutes.
func TestRandomDamage(t *testing.T) {
	t.Parallel()
	rounds := sharedtest.Count(t, "STAYDOWN_DAMAGE", 1000)
	u := newUniverse(9, 8)
	_, m, l := smallSnapshot(t, u)
	for i := range 20 {
		e := blocklist.Event{ID: newID(uint64(1000 + i)), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock}}
		for j := range 1000 {
			var sha [32]byte
			binary.LittleEndian.PutUint64(sha[:], uint64(1000*i+j+1))
			e.Rule.Keys.Bytes = append(e.Rule.Keys.Bytes, sha)
		}
		m.apply(e)
		mustAppend(t, l, e)
	}
	path := filepath.Join(t.TempDir(), "p")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	harmless := 0
	for range rounds {
		broken := slices.Clone(data)
		for range 1 + rng.IntN(4) {
			at := rng.IntN(len(broken))
			if rng.IntN(2) == 0 {
				at = rng.IntN(2048) // where the header and the table are
			}
			switch rng.IntN(4) {
			case 0:
				broken[at] ^= 1 << rng.IntN(8)
			case 1:
				broken[at] = byte(rng.Uint32())
			case 2:
				clear(broken[at:min(at+512, len(broken))])
			case 3:
				if len(broken) > 4096 {
					broken = broken[:4096+rng.IntN(len(broken)-4096)]
				}
			}
		}
		v, err := blocklist.LoadBytes(broken, newClock().now)
		switch {
		case err == nil:
			harmless++
			compare(t, u, m, v)
		case !known(err):
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes, %d rounds, %d harmless", len(data), rounds, harmless)
}

// A damaged newest snapshot gives way to the one before it, and that to the
// journal, and Status says so.
func TestFallback(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u := newUniverse(5, 6)
	c := newClock()
	opts := &blocklist.Options{Now: c.now, CompactAfter: -1}
	l := open(t, dir, opts)
	h := &history{t: t, u: u, m: newModel(c), l: l, rng: rand.New(rand.NewPCG(4, 4))}
	for range 3 {
		h.append(10)
		if err := l.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	h.append(3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	snapshots, err := filepath.Glob(filepath.Join(dir, "snapshot-*.snap"))
	if err != nil || len(snapshots) != 2 {
		t.Fatalf("snapshots %v, %v; want two", snapshots, err)
	}
	for i, want := range []uint64{20, 0} {
		path := snapshots[1-i]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-1] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, dir, opts)
		s := l.Info()
		if s.SnapshotSeq != want || len(s.Fallbacks) != i+1 || !errors.Is(s.Fallbacks[0], blocklist.ErrChecksum) {
			t.Errorf("after %d damaged snapshots: %+v", i+1, s)
		}
		compare(t, u, h.m, l.State())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A snapshot of another list, or one that is ahead of the journal, is not
// used.
func TestForeignSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, filepath.Join(dir, "a"), nil)
	mustAppend(t, a, addedRule(t, a, 1, "https://example.com/"))
	if err := a.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	b := open(t, filepath.Join(dir, "b"), nil)
	b.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "a", "snapshot-*"))
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b", filepath.Base(names[0])), data, 0o600); err != nil {
		t.Fatal(err)
	}
	b = open(t, filepath.Join(dir, "b"), nil)
	if s := b.Info(); len(s.Fallbacks) != 1 || !errors.Is(s.Fallbacks[0], blocklist.ErrKey) || s.SnapshotSeq != 0 {
		t.Errorf("status %+v", s)
	}
}

const journalChildEnv = "STAYDOWN_TEST_JOURNAL"

// readJournal is what the child process does with a damaged journal: it opens
// it, reads all of it, asks the list and appends.
func readJournal(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("refused:", err)
			os.Exit(0)
		}
	}
	l, err := boltjournal.Open(dir, &blocklist.Options{CompactAfter: -1})
	fail(err)
	var all []string
	fail(l.Events(1, func(e blocklist.Event) bool {
		all = append(all, fmt.Sprintf("%d:%x", e.Seq, e.ID[:4]))
		return true
	}))
	fmt.Println("events", strings.Join(all, ","))
	hits := 0
	for i := range 40 {
		sha := [32]byte{byte(i)}
		l.State().FindBytes(sha, func(blocklist.Hit) bool { hits++; return true })
	}
	fmt.Println("hits", hits)
	_, err = l.Append(context.Background(), blocklist.Event{ID: newID(999), Type: blocklist.EventRevoked, Target: 1})
	fail(err)
	fail(l.Close())
	os.Exit(0)
}

// A damaged journal is refused, or the damage touched nothing: each is opened
// in a process of its own, which must not crash. STAYDOWN_JOURNALS sets how
// many.
func TestDamagedJournal(t *testing.T) {
	if dir := os.Getenv(journalChildEnv); dir != "" {
		readJournal(dir)
	}
	t.Parallel()
	rounds := sharedtest.Count(t, "STAYDOWN_JOURNALS", 32)
	root := t.TempDir()
	l := open(t, filepath.Join(root, "good"), &blocklist.Options{CompactAfter: -1})
	for i := range 40 {
		e := addedRule(t, l, uint64(i+1), fmt.Sprintf("https://example.com/%d", i))
		e.Rule.Keys.Bytes = [][32]byte{{byte(i)}}
		mustAppend(t, l, e)
	}
	var want []string
	if err := l.Events(1, func(e blocklist.Event) bool {
		want = append(want, fmt.Sprintf("%d:%x", e.Seq, e.ID[:4]))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(root, "good", "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(8, 8))
	refused, unharmed := 0, 0
	for round := range rounds {
		data := slices.Clone(good)
		switch round % 4 {
		case 0: // single bits, in pages that are in use
			for range 1 + rng.IntN(8) {
				data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
			}
		case 1: // cut
			data = data[:rng.IntN(len(data))]
		case 2: // a sector of zeros
			at := rng.IntN(len(data) / 512)
			clear(data[512*at : 512*at+512])
		case 3: // the head of some page
			at := rng.IntN(len(data)/os.Getpagesize())*os.Getpagesize() + rng.IntN(64)
			data[at] = byte(rng.Uint32())
		}
		dir := filepath.Join(root, strconv.Itoa(round))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "journal.db"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, "TestDamagedJournal", journalChildEnv+"="+dir)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		start(t, cmd)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("round %d: the process failed: %v\n%s", round, err, out.String())
		}
		text := out.String()
		switch {
		case len(data) == 0:
			// An empty file is a new journal.
		case strings.HasPrefix(text, "refused: blocklist: "):
			refused++
		case strings.HasPrefix(text, "events "+strings.Join(want, ",")+"\nhits 40\n"):
			unharmed++
		default:
			t.Fatalf("round %d: served silently:\n%s", round, text)
		}
	}
	t.Logf("%d rounds: %d refused, %d unharmed", rounds, refused, unharmed)
}

// Load allocates in proportion to the file, whatever the file claims.
func TestLoadAllocatesWithinLimits(t *testing.T) {
	data, _, _ := smallSnapshot(t, newUniverse(5, 6))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 500 {
		broken := slices.Clone(data)
		for range 8 {
			broken[8+rng.IntN(400)] = byte(rng.Uint32())
		}
		blocklist.LoadBytes(broken, newClock().now)
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / 500; per > 1<<20 {
		t.Errorf("%d bytes are allocated for each load of a damaged file of %d", per, len(data))
	}
}

// A section of one snapshot does not fit into another, though each is whole.
func TestSectionsOfTwoSnapshots(t *testing.T) {
	t.Parallel()
	u := newUniverse(5, 6)
	_, _, l := smallSnapshot(t, u)
	dir := t.TempDir()
	var files [2][]byte
	for i := range files {
		path := filepath.Join(dir, strconv.Itoa(i))
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		// As many events of one kind, another rule.
		mustAppend(t, l, blocklist.Event{ID: newID(200), Type: blocklist.EventRevoked, Target: 1})
		mustAppend(t, l, blocklist.Event{ID: newID(201), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Territories: territories[:3],
			End:  newClock().now().Truncate(1e9).Add(3600e9).UTC(),
			Keys: blocklist.Keys{Bytes: [][32]byte{{1}, {2}}, Hashes: []blocklist.HashKey{{Hash: u.hashes[0]}}}}})
	}
	if len(files[0]) != len(files[1]) {
		t.Fatalf("the files have %d and %d bytes; the test wants the same", len(files[0]), len(files[1]))
	}
	for at := 64; at < len(files[0]); at += 64 {
		mixed := append(slices.Clone(files[0][:at]), files[1][at:]...)
		if slices.Equal(mixed, files[0]) || slices.Equal(mixed, files[1]) {
			continue
		}
		if _, err := blocklist.LoadBytes(mixed, newClock().now); !errors.Is(err, blocklist.ErrChecksum) {
			t.Errorf("the first %d bytes of one file and the rest of another: %v, want ErrChecksum", at, err)
		}
	}
}

// The loss of the last commit, which bbolt would not mention, is refused, and
// accepted in the open when that is asked for.
func TestSalvage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	for i := range 10 {
		mustAppend(t, l, addedRule(t, l, uint64(i+1), fmt.Sprintf("https://example.com/%d", i)))
	}
	l.Close()
	path := filepath.Join(dir, "journal.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for page := range 2 {
		data := slices.Clone(good)
		data[page*os.Getpagesize()+50] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := boltjournal.Open(dir, nil); !errors.Is(err, blocklist.ErrJournal) {
			t.Errorf("meta page %d: %v, want ErrJournal", page, err)
		}
		l, err := boltjournal.Open(dir, &blocklist.Options{Salvage: true})
		if err != nil {
			t.Fatal(err)
		}
		s := l.Info()
		if !errors.Is(s.Salvaged, blocklist.ErrJournal) {
			t.Errorf("meta page %d: status %+v", page, s)
		}
		lost += 10 - int(s.Position.Seq)
		// A commit makes it whole.
		mustAppend(t, l, addedRule(t, l, 99))
		l.Close()
		l = open(t, dir, nil)
		if s := l.Info(); s.Salvaged != nil {
			t.Errorf("after a commit: %v", s.Salvaged)
		}
		l.Close()
	}
	if lost != 1 {
		t.Errorf("%d events were lost with one page and the other; want 1", lost)
	}
}

// Verify finds what Open does not read.
func TestVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, &blocklist.Options{CompactAfter: -1})
	for i := range 30 {
		mustAppend(t, l, addedRule(t, l, uint64(i+1), fmt.Sprintf("https://example.com/%d", i)))
		mustAppend(t, l, blocklist.Event{ID: newID(uint64(100 + i)), Type: blocklist.EventRevoked, Target: uint64(i)/2 + 1})
		if i%10 == 9 {
			if err := l.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	snapshots, _ := filepath.Glob(filepath.Join(dir, "snapshot-*.snap"))
	data, err := os.ReadFile(snapshots[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(snapshots[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Verify(context.Background()); !errors.Is(err, blocklist.ErrChecksum) {
		t.Errorf("Verify with a damaged older snapshot: %v", err)
	}
	if err := os.Remove(snapshots[0]); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := l.Verify(context.Background()); !errors.Is(err, blocklist.ErrClosed) {
		t.Errorf("Verify of a closed list: %v", err)
	}

	// Every byte of the values in the journal is covered by something.
	path := filepath.Join(dir, "journal.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(good, []byte("\x02\x01\x05\x04\x01\x01\x06\x10")) // the record of event 5, somewhere
	if at < 0 {
		t.Fatal("no record of event 5")
	}
	found := false
	for ; at >= 0; at = nextIndex(good, []byte("\x02\x01\x05\x04\x01\x01\x06\x10"), at+1) {
		data := slices.Clone(good)
		data[at+30] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		// It may be a page that is not in use any more.
		l := open(t, dir, nil)
		if err := l.Verify(context.Background()); err != nil {
			found = true
			if !errors.Is(err, blocklist.ErrJournal) {
				t.Errorf("Verify with a damaged event: %v", err)
			}
		}
		l.Close()
	}
	if !found {
		t.Error("Verify found no damaged event")
	}
}

func nextIndex(b, sep []byte, from int) int {
	i := bytes.Index(b[from:], sep)
	if i < 0 {
		return -1
	}
	return from + i
}

// A journal that is cut while the list is open gives errors, and Close returns.
func TestAppend_CutWhileOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
	if err := os.Truncate(filepath.Join(dir, "journal.db"), 0); err != nil {
		t.Skip("an open file cannot be cut here: ", err)
	}
	for i := range uint64(2) {
		if _, err := l.Append(context.Background(), addedRule(t, l, 2+i)); !errors.Is(err, blocklist.ErrBroken) {
			t.Errorf("Append: %v, want ErrBroken", err)
		}
		if err := l.Events(1, func(blocklist.Event) bool { return true }); !errors.Is(err, blocklist.ErrJournal) {
			t.Errorf("Events: %v, want ErrJournal", err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// brokenFS reads only the beginning of a file.
type brokenFS struct{ fsx.OS }

type brokenFile struct{ fsx.File }

func (s brokenFS) Open(name string) (fsx.File, error) {
	f, err := s.OS.Open(name)
	return brokenFile{f}, err
}

func (f brokenFile) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}

// A file that cannot be read is not one that was cut.
func TestLoad_ReadError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "l"), nil)
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
	for name, key := range map[string]*blocklist.EncryptionKey{"plain": nil, "encrypted": {1}} {
		path := filepath.Join(dir, name)
		if err := blocklist.WriteSnapshotFileWith(path, l.State(), nil, key); err != nil {
			t.Fatal(err)
		}
		if _, err := blocklist.Load(path, blocklist.LoadWithFS(blocklist.LoadOptions{EncryptionKey: key}, brokenFS{})); !errors.Is(err, syscall.EIO) || errors.Is(err, blocklist.ErrTruncated) {
			t.Errorf("%s: %v, want that of the disk", name, err)
		}
	}
}
