package keyfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/fsx/crashfs"
	"github.com/staydown/staydown/internal/keyfile"
)

func open(tb testing.TB, path string, wrap *keyfile.Key) *keyfile.File {
	tb.Helper()
	k, err := keyfile.Open(fsx.OS{}, path, wrap)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { k.Close() })
	return k
}

// wraps are both kinds of files.
var wraps = map[string]*keyfile.Key{"bare": nil, "sealed": {9}}

func TestFile(t *testing.T) {
	t.Parallel()
	for name, wrap := range wraps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys")
			k := open(t, path, wrap)
			want := map[keyfile.ID]keyfile.Key{}
			for i := range 1100 { // more than are read at once
				id := keyfile.ID{byte(i), byte(i >> 8), 1}
				key, err := k.Create(id)
				if err != nil {
					t.Fatal(err)
				}
				want[id] = key
			}
			check := func(what string, k *keyfile.File) {
				t.Helper()
				got := map[keyfile.ID]keyfile.Key{}
				for _, id := range k.IDs() {
					key, err := k.Get(id)
					if err != nil || !k.Has(id) {
						t.Fatalf("%s: Get(%x): %v; Has %t", what, id, err, k.Has(id))
					}
					got[id] = key
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s (-want +got):\n%s", what, diff)
				}
			}
			check("made", k)
			some := keyfile.ID{7, 0, 1}
			if key, err := k.Create(some); err != nil || key != want[some] {
				t.Errorf("Create of one that is there: another key, or %v", err)
			}
			gone := want[some]
			delete(want, some)
			if err := k.Destroy(some, keyfile.ID{0xff}); err != nil {
				t.Fatal(err)
			}
			check("one destroyed", k)
			if _, err := k.Get(some); !errors.Is(err, keyfile.ErrGone) || k.Has(some) {
				t.Errorf("Get of what was destroyed: %v, want ErrGone", err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(raw, gone[:]) || bytes.Contains(raw, some[:]) {
				t.Error("the file still holds what was destroyed")
			}
			if bare := bytes.Contains(raw, wantedKey(want)); bare != (wrap == nil) {
				t.Errorf("keys lie bare: %t", bare)
			}
			check("opened again", open(t, path, wrap))

			// Into a file of the other kind, as when a list is encrypted.
			other := &keyfile.Key{1}
			if wrap != nil {
				other = nil
			}
			copied := filepath.Join(filepath.Dir(path), "copy")
			to := open(t, copied, other)
			if err := k.CopyTo(to); err != nil {
				t.Fatal(err)
			}
			check("copied", to)
			check("copied, opened again", open(t, copied, other))
			if _, err := keyfile.Open(fsx.OS{}, copied, wrap); !errors.Is(err, keyfile.ErrFormat) {
				t.Errorf("opened as the other kind: %v, want ErrFormat", err)
			}

			if err := k.Retain(func(id keyfile.ID) bool { return id[0] == 1 }); err != nil {
				t.Fatal(err)
			}
			for id := range want {
				if id[0] != 1 {
					delete(want, id)
				}
			}
			check("retained", k)
			check("retained, opened again", open(t, path, wrap))

			// A copy that somebody holds open, or that shares its bytes, sees the
			// zeros too.
			watch, err := os.Open(copied)
			if err != nil {
				t.Fatal(err)
			}
			defer watch.Close()
			if err := keyfile.Remove(fsx.OS{}, copied); err != nil {
				t.Fatal(err)
			}
			left := make([]byte, 8+1099*80)
			n, _ := watch.ReadAt(left, 0)
			if n < len(left) || !bytes.Equal(left, make([]byte, len(left))) {
				t.Errorf("%d bytes were there, and not all were overwritten", n)
			}
			if _, err := os.Stat(copied); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the removed file: %v", err)
			}
		})
	}
}

func wantedKey(m map[keyfile.ID]keyfile.Key) []byte {
	for _, key := range m {
		return key[:]
	}
	return nil
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	k := open(t, path, &keyfile.Key{9})
	id := keyfile.ID{1}
	if _, err := k.Create(id); err != nil {
		t.Fatal(err)
	}
	wrong := open(t, path, &keyfile.Key{8})
	if _, err := wrong.Get(id); !errors.Is(err, keyfile.ErrKey) {
		t.Errorf("with the wrong key: %v, want ErrKey", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := slices.Clone(raw)
	newer[7] = 2
	for name, b := range map[string][]byte{"newer version": newer, "something else": []byte("something else"), "zeros": make([]byte, 100)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.Open(fsx.OS{}, path, &keyfile.Key{9}); !errors.Is(err, keyfile.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	raw[8+40] ^= 1 // in the slot
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(id); !errors.Is(err, keyfile.ErrDamaged) {
		t.Errorf("of a slot that changed: %v, want ErrDamaged", err)
	}
	// What is neither whole nor zero is wiped: half of a key that was to be
	// destroyed may be in it.
	if n := len(open(t, path, &keyfile.Key{9}).IDs()); n != 0 {
		t.Errorf("%d keys of a damaged slot", n)
	}
	if raw, err = os.ReadFile(path); err != nil || !bytes.Equal(raw[8:], make([]byte, 80)) {
		t.Errorf("a damaged slot is % x, %v; want zeros", raw[8:], err)
	}
}

// A file that was written before this package was one of its own is read.
func TestGolden(t *testing.T) {
	t.Parallel()
	id, key := keyfile.ID{1, 2, 3}, keyfile.Key{4, 5, 6}
	// Bare.
	raw := []byte("SDKEYS\x01\x01")
	slot := append(append(append([]byte{}, id[:]...), key[:]...), make([]byte, 28)...)
	raw = append(raw, slot...)
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum(slot, crc32.MakeTable(crc32.Castagnoli)))
	path := filepath.Join(t.TempDir(), "bare")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, path, nil).Get(id); err != nil || got != key {
		t.Errorf("bare: %v, %v", got, err)
	}
	// Sealed under {9}, by package takedown as it was.
	path = filepath.Join("testdata", "sealed")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "sealed")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	k := open(t, path, &keyfile.Key{9})
	for i, want := range []string{"d88a222d1a432800e2796ef41334b4960f591a16e1fd3659c3e0a5ccf75f9feb", "5e594c8b2e03b1431b57560bd5a8decfa871fb95c74e1c1fbd6ba7d8e2239bfd"} {
		got, err := k.Get(keyfile.ID{byte(i + 2)})
		if err != nil || fmt.Sprintf("%x", got) != want {
			t.Errorf("sealed %d: %x, %v", i+2, got, err)
		}
	}
}

// TestCrashAtEveryOperation crashes the machine at every operation on the file.
// What Create returned is there afterwards, what Destroy destroyed is not, and
// nothing of it.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	for name, wrap := range wraps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type state struct{ made, doomed, gone map[keyfile.ID]keyfile.Key }
			run := func(fsys *crashfs.FS) state {
				s := state{map[keyfile.ID]keyfile.Key{}, map[keyfile.ID]keyfile.Key{}, map[keyfile.ID]keyfile.Key{}}
				k, err := keyfile.Open(fsys, "d/keys", wrap)
				if err != nil {
					return s
				}
				for i := range 20 {
					id := keyfile.ID{byte(i + 1), 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 1}
					if key, err := k.Create(id); err == nil {
						s.made[id] = key
					}
					old := keyfile.ID{byte(i - 2), 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 1}
					if key, ok := s.made[old]; ok && i%2 == 0 {
						s.doomed[old] = key
						delete(s.made, old)
						if k.Destroy(old) == nil {
							s.gone[old] = key
							delete(s.doomed, old)
						}
					}
				}
				return s
			}
			undisturbed := &crashfs.FS{}
			run(undisturbed)
			total := undisturbed.Ops()
			if total < 60 {
				t.Fatalf("only %d operations", total)
			}
			for n := 1; n <= total; n++ {
				for _, mode := range []crashfs.Mode{crashfs.Crash, crashfs.CrashWithin, crashfs.Fail} {
					fsys := &crashfs.FS{}
					fsys.Arm(n, mode)
					s := run(fsys)
					for seed := range uint64(3) {
						var rng *rand.Rand
						if seed > 0 {
							rng = rand.New(rand.NewPCG(uint64(n), seed))
						}
						after := fsys.AfterCrash(rng)
						k, err := keyfile.Open(after, "d/keys", wrap)
						if err != nil {
							t.Fatalf("%d %v: Open after the crash: %v", n, mode, err)
						}
						for id, want := range s.made {
							if got, err := k.Get(id); err != nil || got != want {
								t.Fatalf("%d %v: key %x: %v", n, mode, id, err)
							}
						}
						raw := after.Bytes("d/keys")
						for id, key := range s.gone {
							if k.Has(id) || bytes.Contains(raw, id[:8]) || bytes.Contains(raw, key[:8]) {
								t.Fatalf("%d %v: key %x is still there", n, mode, id)
							}
						}
						// What was being destroyed is whole or nowhere.
						for id, key := range s.doomed {
							if _, err := k.Get(id); err != nil && (!errors.Is(err, keyfile.ErrGone) || bytes.Contains(raw, key[:8])) {
								t.Fatalf("%d %v: half of key %x: %v", n, mode, id, err)
							}
						}
						if _, err := k.Create(keyfile.ID{0xee}); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		})
	}
}

// A file that is damaged in any way opens with the keys that are whole, or not
// at all; it takes new keys then.
func FuzzOpen(f *testing.F) {
	for _, wrap := range wraps {
		path := filepath.Join(f.TempDir(), "keys")
		k := open(f, path, wrap)
		for i := range byte(3) {
			if _, err := k.Create(keyfile.ID{i}); err != nil {
				f.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, wrap == nil)
		f.Add(b[:100], wrap == nil)
		f.Add(b[:4], wrap == nil)
	}
	f.Fuzz(func(t *testing.T, b []byte, bare bool) {
		wrap := &keyfile.Key{9}
		if bare {
			wrap = nil
		}
		disk := &crashfs.FS{}
		file, err := disk.Create("d/keys")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		k, err := keyfile.Open(disk, "d/keys", wrap)
		if err != nil {
			if !errors.Is(err, keyfile.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		before := k.IDs()
		for _, id := range before {
			if _, err := k.Get(id); err != nil && !errors.Is(err, keyfile.ErrKey) {
				t.Fatal(err)
			}
		}
		id := keyfile.ID{0xff, 0xfe}
		known := k.Has(id)
		key, err := k.Create(id)
		if err != nil {
			if known && errors.Is(err, keyfile.ErrKey) {
				return
			}
			t.Fatal(err)
		}
		again, err := keyfile.Open(disk, "d/keys", wrap)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.Get(id); err != nil || got != key {
			t.Fatalf("the new key: %v", err)
		}
		if want := len(before) + 1; !known && len(again.IDs()) != want {
			t.Fatalf("%d keys, want %d", len(again.IDs()), want)
		}
		if err := again.Retain(func(keyfile.ID) bool { return false }); err != nil {
			t.Fatal(err)
		}
	})
}

// Of two slots of one ID the second goes when the file is opened: Destroy would
// leave it behind, and the key would be there again.
func TestOpen_TwoSlotsOfOneID(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	k := open(t, path, nil)
	ids := []keyfile.ID{{1}, {2}}
	for _, id := range ids {
		if _, err := k.Create(id); err != nil {
			t.Fatal(err)
		}
	}
	want, err := k.Get(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(raw, raw[8:88]...), 0o600); err != nil {
		t.Fatal(err)
	}
	k = open(t, path, nil)
	if got, err := k.Get(ids[0]); err != nil || got != want {
		t.Errorf("the key is another one, %v", err)
	}
	if err := errors.Join(k.Destroy(ids[0]), k.Close()); err != nil {
		t.Fatal(err)
	}
	if raw, err = os.ReadFile(path); err != nil || bytes.Contains(raw, want[:]) {
		t.Errorf("the file still holds what was destroyed, %v", err)
	}
	k = open(t, path, nil)
	defer k.Close()
	if k.Has(ids[0]) || !k.Has(ids[1]) {
		t.Errorf("opened again: %v", k.IDs())
	}
}

// Peek tells what a file has keys for, whatever they are sealed under, and
// CopyTo leaves the keys that are there already.
func TestPeekAndCopyAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "keys"), filepath.Join(dir, "copy")
	k := open(t, path, &keyfile.Key{9})
	defer k.Close()
	to := open(t, copied, nil)
	defer to.Close()
	want := []keyfile.ID{{1}, {3}, {4}}
	for i, id := range []keyfile.ID{{1}, {2}, {3}, {4}} {
		if _, err := k.Create(id); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := errors.Join(k.Destroy(id), k.CopyTo(to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := k.CopyTo(to); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(copied)
	if err != nil || len(raw) != 8+3*80 {
		t.Errorf("the copy has %d bytes, %v", len(raw), err)
	}
	for _, path := range []string{path, copied} {
		got, err := keyfile.Peek(fsx.OS{}, path)
		slices.SortFunc(got, func(a, b keyfile.ID) int { return bytes.Compare(a[:], b[:]) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s has %v, %v", filepath.Base(path), got, err)
		}
	}
	if _, err := keyfile.Peek(fsx.OS{}, path+"?"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
