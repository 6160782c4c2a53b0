package boltcheck_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/staydown/staydown/internal/boltcheck"
)

func check(t *testing.T, path string) (meta, err error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return boltcheck.Check(f, fi.Size())
}

// Whatever bbolt writes is in order, after every commit: small and big values,
// nested and inline buckets, deletions, many free pages, other page sizes.
func TestWhatBboltWrites(t *testing.T) {
	t.Parallel()
	for _, pageSize := range []int{1024, 4096, 16384} {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "db")
			db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize, NoSync: true, FreelistType: bbolt.FreelistMapType})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			r := rand.New(rand.NewPCG(1, uint64(pageSize)))
			for round := range 60 {
				err := db.Update(func(tx *bbolt.Tx) error {
					for range r.IntN(400) {
						b, err := tx.CreateBucketIfNotExists([]byte{'a' + byte(r.IntN(3))})
						if err != nil {
							return err
						}
						if r.IntN(20) == 0 {
							if b, err = b.CreateBucketIfNotExists([]byte("nested")); err != nil {
								return err
							}
						}
						key := binary.BigEndian.AppendUint64(nil, uint64(r.IntN(5000)))
						switch r.IntN(5) {
						case 0:
							err = b.Delete(key)
						case 1:
							err = b.Put(key, make([]byte, r.IntN(4*pageSize)))
						default:
							err = b.Put(key, make([]byte, r.IntN(200)))
						}
						if err != nil {
							return err
						}
					}
					if round%20 == 19 {
						return tx.DeleteBucket([]byte("a"))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if meta, err := check(t, path); meta != nil || err != nil {
					t.Fatalf("round %d: %v, %v", round, meta, err)
				}
			}
		})
	}
}

func small(tb testing.TB) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 1024})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 40 {
		if err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("events"))
			if err != nil {
				return err
			}
			small, err := tx.CreateBucketIfNotExists([]byte("meta"))
			if err != nil {
				return err
			}
			if err := small.Put([]byte("last"), []byte{byte(i)}); err != nil {
				return err
			}
			return b.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), make([]byte, 100))
		}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// A file that passes is one that bbolt can read and write: bbolt's own check,
// and a commit, agree.
func TestDamage(t *testing.T) {
	t.Parallel()
	good := small(t)
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(3, 3))
	found, passed := 0, 0
	for round := range 600 {
		data := bytes.Clone(good)
		page := r.IntN(len(data) / 1024)
		at := page*1024 + r.IntN(48)
		if round%3 == 0 {
			at = r.IntN(len(data))
		}
		data[at] ^= byte(1 + r.IntN(255))
		meta, err := boltcheck.Check(bytes.NewReader(data), int64(len(data)))
		if meta != nil || err != nil {
			found++
			for _, e := range []error{meta, err} {
				if e != nil && !errors.Is(e, boltcheck.ErrDamaged) {
					t.Fatalf("byte %d: %v", at, e)
				}
			}
			continue
		}
		passed++
		path := filepath.Join(dir, fmt.Sprint(round))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 1024, NoSync: true})
		if err != nil {
			t.Fatalf("byte %d passed, and bbolt says %v", at, err)
		}
		for range 5 {
			if err := db.Update(func(tx *bbolt.Tx) error {
				for err := range tx.Check() {
					t.Errorf("byte %d passed, and bbolt finds %v", at, err)
				}
				b, err := tx.CreateBucketIfNotExists([]byte("more"))
				if err != nil {
					return err
				}
				return b.Put(make([]byte, 8), make([]byte, 3000))
			}); err != nil {
				t.Fatalf("byte %d passed, and bbolt says %v", at, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d found, %d passed", found, passed)
	for n := range good {
		if n == 0 {
			continue
		}
		if meta, err := boltcheck.Check(bytes.NewReader(good[:n]), int64(n)); meta != nil || err != nil {
			continue
		}
		// bbolt lets the file grow ahead of its pages; all of them must be there.
		whole := bytes.Clone(good[:n])
		whole = append(whole, make([]byte, len(good)-n)...)
		if !bytes.Equal(whole, good) {
			t.Fatalf("a file cut to %d bytes passed", n)
		}
	}
}

// Both kinds of damage to the meta pages are told apart from the others.
func TestMetaPages(t *testing.T) {
	t.Parallel()
	good := small(t)
	for page := range 2 {
		data := bytes.Clone(good)
		data[page*1024+40] ^= 1
		if meta, err := boltcheck.Check(bytes.NewReader(data), int64(len(data))); !errors.Is(meta, boltcheck.ErrDamaged) || err != nil && page == 1 {
			t.Logf("page %d: %v, %v", page, meta, err)
		} else if meta == nil {
			t.Errorf("page %d: nothing was found", page)
		}
	}
	data := bytes.Clone(good)
	data[40] ^= 1
	data[1024+40] ^= 1
	if _, err := boltcheck.Check(bytes.NewReader(data), int64(len(data))); !errors.Is(err, boltcheck.ErrDamaged) {
		t.Errorf("both: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	good := small(f)
	f.Add(good, 0, byte(1))
	f.Add(good[:4096], 2000, byte(1))
	f.Fuzz(func(t *testing.T, data []byte, at int, x byte) {
		if len(data) > 0 {
			data = bytes.Clone(data)
			data[uint(at)%uint(len(data))] ^= x
		}
		boltcheck.Check(bytes.NewReader(data), int64(len(data)))
	})
}

// A file that is cut while it is open gives errors: nothing faults, and nothing
// waits for locks that the fault left behind.
func TestDB_CutWhileOpen(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(*boltcheck.DB) error{
		"View":   func(db *boltcheck.DB) error { return db.View(func(*bbolt.Tx) error { return nil }) },
		"Update": func(db *boltcheck.DB) error { return db.Update(func(*bbolt.Tx) error { return nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "db")
			if err := os.WriteFile(path, small(t), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := boltcheck.Open(path, &bbolt.Options{}, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, 0); err != nil {
				db.Close()
				t.Skip("an open file cannot be cut here: ", err)
			}
			for range 2 {
				for _, err := range []error{
					first(db),
					db.View(func(*bbolt.Tx) error { return nil }),
					db.Update(func(*bbolt.Tx) error { return nil }),
				} {
					if !errors.Is(err, boltcheck.ErrDamaged) {
						t.Errorf("%v, want ErrDamaged", err)
					}
				}
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A mistake of the caller is not called damage.
func TestDB_Panic(t *testing.T) {
	t.Parallel()
	db, err := boltcheck.Open(filepath.Join(t.TempDir(), "db"), &bbolt.Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	mistakes := map[string]func(){
		"panic": func() { panic("mine") },
		"index": func() { var none []int; none[len(none)]++ },
		"nil":   func() { var none *boltcheck.DB; none.Salvaged = nil },
	}
	for name, mistake := range mistakes {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			err := db.Update(func(*bbolt.Tx) error { mistake(); return nil })
			t.Errorf("%s: %v", name, err)
		}()
	}
	// What bbolt panics over is: here a bucket that is missing.
	if err := db.View(func(tx *bbolt.Tx) error { tx.Bucket([]byte("none")).Get(nil); return nil }); !errors.Is(err, boltcheck.ErrDamaged) {
		t.Errorf("a panic of bbolt: %v, want ErrDamaged", err)
	}
}
