package blocklist_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/embedding"
)

// tracesOf are bytes by which a template that lies anywhere in the clear would
// be found: components as they are stored, and as a model gives them.
func tracesOf(tb testing.TB, v blocklist.FaceVector, x []float32) (traces [][]byte) {
	tb.Helper()
	encoded, err := v.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	components := encoded[len(encoded)-v.Model().Dimensions:]
	norm, biggest := 0.0, float32(0)
	for _, f := range x {
		norm += float64(f) * float64(f)
		biggest = max(biggest, f, -f)
	}
	for at := 0; at+16 <= len(components); at += 16 {
		traces = append(traces, components[at:at+16])
		// Four components are enough.
		for _, scale := range []float64{1, 1 / math.Sqrt(norm), 1 / float64(biggest), 127 / float64(biggest)} {
			var single, double []byte
			for _, f := range x[at : at+4] {
				single = binary.LittleEndian.AppendUint32(single, math.Float32bits(float32(float64(f)*scale)))
				double = binary.LittleEndian.AppendUint64(double, math.Float64bits(float64(f)*scale))
			}
			traces = append(traces, single, double)
		}
	}
	return traces
}

// filesOf reads all files of the folders. A list may replace a file meanwhile: then the
// reading starts over, since what vanished lies under another name now.
func filesOf(tb testing.TB, dirs ...string) map[string][]byte {
	tb.Helper()
	for range 1000 {
		files, err := readFiles(dirs)
		if err == nil {
			return files
		}
		if !errors.Is(err, fs.ErrNotExist) {
			tb.Fatal(err)
		}
	}
	tb.Fatal("files vanished in each of 1,000 readings")
	return nil
}

func readFiles(dirs []string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			files[path] = b
		}
	}
	return files, nil
}

func wantNowhere(tb testing.TB, what string, files map[string][]byte, traces ...[]byte) {
	tb.Helper()
	for name, b := range files {
		for _, trace := range traces {
			if i := bytes.Index(b, trace); i >= 0 {
				tb.Fatalf("%s: % x is in %s at %d", what, trace, name, i)
			}
		}
	}
}

// opensWithAnything tries every 32 bytes in a row of the contents as the key of
// a sealed face, and returns how many were tried.
func opensWithAnything(tb testing.TB, contents [][]byte, sealed []byte, contexts ...[]byte) (tried int, opened bool) {
	tb.Helper()
	seen := map[[32]byte]bool{}
	for _, b := range contents {
		for i := 0; i+32 <= len(b); i++ {
			key := embedding.Key(b[i : i+32])
			if seen[key] {
				continue
			}
			seen[key] = true
			for _, context := range contexts {
				if _, err := embedding.Open(key, context, sealed); err == nil {
					return len(seen), true
				}
			}
		}
	}
	return len(seen), false
}

// With a FaceKey the keys of faces lie under it, in a plain list too, and it
// alone opens them; Rekey changes it, and keeps it when something else changes.
func TestOptions_FaceKey(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]*blocklist.EncryptionKey{"encrypted": {5}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			opts := &blocklist.Options{EncryptionKey: key, FaceKey: &blocklist.EncryptionKey{7}}
			l := open(t, dir, opts)
			id, x := l.ID(), faceOf(t, faceModels[0], 1, 0, 0)
			e := faceRule(t, l, 1, blocklist.FaceLimits{Block: 0.9, Review: 0.8}, x)
			rule := mustAppend(t, l, e)[0]
			l.Close()
			var contents [][]byte
			for path, b := range filesOf(t, dir) {
				contents = append(contents, b)
				if key != nil && !strings.Contains(path, "face-keys") {
					contents = append(contents, decrypt(t, path, b, *key, id)...)
				}
			}
			if n, opened := opensWithAnything(t, contents, e.Rule.Keys.Faces[0].Sealed, append(id[:], e.ID[:]...)); opened || n < 1000 {
				t.Errorf("the face opens (%v) with one of %d", opened, n)
			}
			look := func(what string, o *blocklist.Options, want bool) {
				t.Helper()
				l := open(t, dir, o)
				defer l.Close()
				if got := facesFound(l.State(), x)[rule]; got != want || l.State().SearchesFaces() != want {
					t.Errorf("%s: found %v, searches %v, want %v", what, got, l.State().SearchesFaces(), want)
				}
			}
			look("with it", opts, true)
			look("without", &blocklist.Options{EncryptionKey: key}, false)
			look("with another", &blocklist.Options{EncryptionKey: key, FaceKey: &blocklist.EncryptionKey{8}}, false)
			look("with it again", opts, true)
			for _, next := range []blocklist.Options{
				{EncryptionKey: &blocklist.EncryptionKey{6}, FaceKey: opts.FaceKey}, {EncryptionKey: &blocklist.EncryptionKey{6}, FaceKey: &blocklist.EncryptionKey{9}}, {EncryptionKey: &blocklist.EncryptionKey{6}}, *opts,
			} {
				if err := boltjournal.Rekey(t.Context(), dir, opts, &next, nil); err != nil {
					t.Fatal(err)
				}
				opts = &next
				look("after Rekey", opts, true)
				if names, err := filepath.Glob(filepath.Join(dir, "face-keys*")); err != nil || len(names) != 1 {
					t.Errorf("files of keys: %q, %v", names, err)
				}
			}
		})
	}
}

// Withdrawal deletes: nothing readable of a template is in any file of the list
// at any time, and after its rule was revoked nothing that is left opens it,
// whoever has the encryption key; not what was there before either.
func TestRevoke_DestroysFaces(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]*blocklist.EncryptionKey{"encrypted": {5}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, out := t.TempDir(), t.TempDir()
			published := filepath.Join(out, "p")
			c := newClock()
			opts := &blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: key}
			l := open(t, dir, opts)
			defer func() { l.Close() }()
			limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
			model := faceModels[0]

			const doomed = 3
			rng := rand.New(rand.NewPCG(3, 5))
			var traces [][]byte
			var persons []blocklist.FaceVector
			var sealed [][]byte // of the doomed rule, from wherever it was
			var rules []uint64
			now := func(what string) map[string][]byte {
				t.Helper()
				files := filesOf(t, dir, out)
				wantNowhere(t, what, files, traces...)
				return files
			}
			publish := func() {
				t.Helper()
				if key == nil {
					return
				}
				if err := l.Publish(published); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 6 {
				x := make([]float32, model.Dimensions)
				for j := range x {
					x[j] = float32(rng.NormFloat64())
				}
				v, err := embedding.New(model, x)
				if err != nil {
					t.Fatal(err)
				}
				traces = append(traces, tracesOf(t, v, x)...)
				persons = append(persons, v)
				e := faceRule(t, l, uint64(i+1), limits, v)
				if i == doomed {
					sealed = append(sealed, e.Rule.Keys.Faces[0].Sealed)
				}
				now("sealed")
				rules = append(rules, mustAppend(t, l, e)...)
				now("appended")
				if i == doomed+1 {
					if err := l.Compact(t.Context()); err != nil {
						t.Fatal(err)
					}
					now("compacted")
					publish()
				}
			}
			publish()
			if key != nil {
				// Somebody has it under another name.
				if err := os.Link(published, filepath.Join(out, "linked")); err != nil {
					t.Fatal(err)
				}
			}
			before := now("all there")
			// The search for traces can find something, and the search for keys.
			if len(filesWith(before, sealed[0][1:30])) == 0 && key == nil {
				t.Fatal("the sealed face is in no file")
			}
			identity, id := l.ID(), newID(doomed+1)
			context := slices.Concat(identity[:], id[:])
			spread := func(files map[string][]byte) [][]byte { return contentsOf(t, files, key, identity) }
			if _, ok := opensWithAnything(t, spread(before), sealed[0], context); !ok {
				t.Fatal("the sealed face cannot be opened with what there is while its rule holds, so this test shows nothing")
			}
			// What a snapshot made of it, sealed anew, is another one.
			sealed = append(sealed, rowsOf(t, spread(before), id)...)
			if len(sealed) < 2 {
				t.Fatal("no snapshot has the face")
			}

			mustAppend(t, l, blocklist.Event{ID: newID(100), Type: blocklist.EventRevoked, Target: rules[doomed]})
			check := func(what string, atNodes bool) {
				t.Helper()
				files := now(what)
				if !atNodes {
					// What was published has the key until Refresh, or Publish.
					for path := range files {
						if strings.HasPrefix(path, out) {
							delete(files, path)
						}
					}
				}
				contents := spread(files)
				for i, s := range sealed {
					n, ok := opensWithAnything(t, contents, s, context)
					if ok {
						t.Fatalf("%s: sealed face %d of the withdrawn rule opens", what, i)
					}
					if n < 1000 {
						t.Fatalf("%s: only %d keys were tried", what, n)
					}
				}
				for i, x := range persons {
					want := map[uint64]bool{rules[i]: true}
					if i == doomed {
						want = map[uint64]bool{}
					}
					if diff := cmp.Diff(want, facesFound(l.State(), x)); diff != "" {
						t.Fatalf("%s: person %d (-want +got):\n%s", what, i, diff)
					}
				}
				if s := l.Info(); s.FacesWithoutKey != 0 || len(s.Fallbacks) > 0 {
					t.Errorf("%s: %+v", what, s)
				}
			}
			check("revoked", false)
			if key != nil {
				if n := len(rowsOf(t, spread(filesOf(t, out)), id)); n == 0 {
					t.Error("what was published does not have the face, so this shows nothing")
				}
				if found, err := l.Refresh(published); !found || err != nil {
					t.Fatal(found, err)
				}
			}
			check("refreshed", true)
			if files := filesOf(t, out); len(rowsOf(t, spread(files), id)) > 0 {
				t.Error("what was published still has the face of the withdrawn rule")
			}
			l.Close()
			l = open(t, dir, opts)
			check("restarted", true)
			if err := l.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			check("compacted", true)
			l.Close()

			// A crash after the journal said that the rule is revoked, before the key
			// was destroyed: Open destroys it.
			for path, b := range before {
				if strings.HasPrefix(filepath.Base(path), "face-keys") {
					if err := os.WriteFile(path, b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, ok := opensWithAnything(t, spread(filesOf(t, dir)), sealed[0], context); !ok {
				t.Fatal("the key did not come back, so this shows nothing")
			}
			l = open(t, dir, opts)
			check("after a crash", true)
		})
	}
}

func filesWith(files map[string][]byte, p []byte) (names []string) {
	for name, b := range files {
		if bytes.Contains(b, p) {
			names = append(names, name)
		}
	}
	return names
}

// contentsOf returns what somebody reads in the files who has the encryption
// key: the files, and everything that it decrypts, to the bare keys.
func contentsOf(tb testing.TB, files map[string][]byte, key *blocklist.EncryptionKey, list [16]byte) (contents [][]byte) {
	tb.Helper()
	for path, b := range files {
		contents = append(contents, b)
		if key == nil {
			continue
		}
		contents = append(contents, decrypt(tb, path, b, *key, list)...)
	}
	return contents
}

// rowsOf returns the sealed faces of an event in contents, by the form of their
// rows in a snapshot.
func rowsOf(tb testing.TB, contents [][]byte, event [16]byte) (rows [][]byte) {
	tb.Helper()
	size := embedding.SealedSize(faceModels[0])
	limits := binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.9))
	for _, b := range contents {
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], append(event[:], limits...))
			if i < 0 {
				break
			}
			if at += i; at+32+size <= len(b) {
				rows = append(rows, slices.Clone(b[at+32:at+32+size]))
			}
		}
	}
	return rows
}
