package keyfile_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/fsx/crashfs"
	"github.com/staydown/staydown/internal/keyfile"
)

// A file with a mark is made only when it is asked for, says how many keys were made
// and what its store had done, and is refused under another key.
func TestMarked(t *testing.T) {
	t.Parallel()
	path, wrap := filepath.Join(t.TempDir(), "keys"), &keyfile.Key{9}
	if _, err := keyfile.OpenMarked(fsx.OS{}, path, wrap, nil); !errors.Is(err, keyfile.ErrNoFile) {
		t.Fatalf("no file: %v, want ErrNoFile", err)
	}
	k, err := keyfile.OpenMarked(fsx.OS{}, path, wrap, &keyfile.Mark{Store: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(5) {
		if _, err := k.Create(keyfile.ID{i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	want := keyfile.Mark{Store: [16]byte{1}, Seq: 7, Digest: [32]byte{3}}
	if err := errors.Join(k.Destroy(keyfile.ID{2}, keyfile.ID{5}), k.SetMark(keyfile.Mark{Seq: 6}), k.SetMark(want), k.Sync(), k.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.OpenMarked(fsx.OS{}, path, &keyfile.Key{8}, nil); !errors.Is(err, keyfile.ErrKey) {
		t.Errorf("another key: %v, want ErrKey", err)
	}
	if _, err := keyfile.Open(fsx.OS{}, path, wrap); !errors.Is(err, keyfile.ErrFormat) {
		t.Errorf("as a file without a mark: %v, want ErrFormat", err)
	}
	if k, err = keyfile.OpenMarked(fsx.OS{}, path, wrap, nil); err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if k.Mark() != want || k.Slots() != 5 || len(k.Since(0)) != 3 || len(k.Since(3)) != 1 {
		t.Errorf("mark %+v, %d slots, %v", k.Mark(), k.Slots(), k.IDs())
	}
}

// A damaged slot stays as it is, unless a crash can have left it so.
func TestMarked_Damaged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage func(b []byte)
		from   uint64
		left   int // damaged slots after WipeDamaged
	}{
		"a bit":              {func(b []byte) { b[keyfile.EmptySize+80*3+20] ^= 1 }, 6, 1},
		"a bit, younger":     {func(b []byte) { b[keyfile.EmptySize+80*3+20] ^= 1 }, 3, 0},
		"half destroyed":     {func(b []byte) { clear(b[keyfile.EmptySize+80*3 : 512]) }, 6, 0}, // slot 3 lies over the border of a sector
		"destroyed at begin": {func(b []byte) { clear(b[keyfile.EmptySize+80*2 : keyfile.EmptySize+80*2+20]) }, 6, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, wrap := filepath.Join(t.TempDir(), "keys"), &keyfile.Key{9}
			k, err := keyfile.OpenMarked(fsx.OS{}, path, wrap, &keyfile.Mark{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range byte(6) {
				if _, err := k.Create(keyfile.ID{i + 1}); err != nil {
					t.Fatal(err)
				}
			}
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			tc.damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if k, err = keyfile.OpenMarked(fsx.OS{}, path, wrap, nil); err != nil {
					t.Fatal(err)
				}
				if len(k.IDs()) != 5 || k.Damaged() > 1 {
					t.Errorf("%d keys, %d damaged", len(k.IDs()), k.Damaged())
				}
				if err := errors.Join(k.WipeDamaged(tc.from), k.Close()); err != nil {
					t.Fatal(err)
				}
				if k.Damaged() != tc.left {
					t.Errorf("%d slots are left damaged, want %d", k.Damaged(), tc.left)
				}
			}
		})
	}
}

// A crash at any operation leaves a mark that was set, and every key that Create
// returned.
func TestMarked_Crash(t *testing.T) {
	t.Parallel()
	wrap := &keyfile.Key{9}
	type state struct {
		made         map[keyfile.ID]keyfile.Key
		synced, last uint64
		begun        bool
	}
	run := func(fsys *crashfs.FS) (s state) {
		s.made = map[keyfile.ID]keyfile.Key{}
		k, err := keyfile.OpenMarked(fsys, "d/keys", wrap, &keyfile.Mark{})
		if err != nil {
			return s
		}
		s.begun = true
		for i := range 12 {
			s.last = uint64(i + 1)
			if k.SetMark(keyfile.Mark{Seq: s.last}) != nil {
				continue
			}
			id := keyfile.ID{byte(i + 1)}
			if key, err := k.Create(id); err == nil {
				s.made[id], s.synced = key, s.last
			}
		}
		return s
	}
	whole := &crashfs.FS{}
	run(whole)
	for n := 1; n <= whole.Ops(); n++ {
		for _, mode := range []crashfs.Mode{crashfs.Crash, crashfs.CrashWithin, crashfs.Fail} {
			fsys := &crashfs.FS{}
			fsys.Arm(n, mode)
			s := run(fsys)
			for seed := range uint64(3) {
				var rng *rand.Rand
				if seed > 0 {
					rng = rand.New(rand.NewPCG(uint64(n), seed))
				}
				var fresh *keyfile.Mark
				if !s.begun {
					fresh = &keyfile.Mark{}
				}
				k, err := keyfile.OpenMarked(fsys.AfterCrash(rng), "d/keys", wrap, fresh)
				if err != nil {
					t.Fatalf("%d %v: %v", n, mode, err)
				}
				if m := k.Mark().Seq; m < s.synced || m > s.last {
					t.Fatalf("%d %v: the mark is %d, set were %d to %d", n, mode, m, s.synced, s.last)
				}
				for id, want := range s.made {
					if got, err := k.Get(id); err != nil || got != want {
						t.Fatalf("%d %v: key %x: %v", n, mode, id, err)
					}
				}
			}
		}
	}
}
