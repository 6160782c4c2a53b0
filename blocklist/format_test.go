package blocklist_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/embedding"
)

var update = flag.Bool("update", false, "write the fixtures of the current format version anew; only before its first release")

var fixtureAddresses = newUniverse(5, 6).addresses

// fixture is what testdata/list.json says of list.snap.
type fixture struct {
	Snapshot blocklist.Dump `json:"snapshot"`
}

// The files in testdata are read, and say what they said when they were written.
func TestFixtures(t *testing.T) {
	t.Parallel()
	var f fixture
	if *update {
		u := newUniverse(5, 6)
		data, _, _ := smallSnapshot(t, u)
		v, err := blocklist.LoadBytes(data, newClock().now)
		if err != nil {
			t.Fatal(err)
		}
		f.Snapshot = blocklist.DumpOf(v, fixtureAddresses)
		write := func(name string, data []byte) {
			if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.MarshalIndent(f, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		write("list.json", append(text, '\n'))
		write("list.snap", data)
		data[8] = 2
		write("future.snap", data)
	}
	text, err := os.ReadFile("testdata/list.json")
	if err != nil {
		t.Fatal(err)
	}
	f = fixture{}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	l, err := blocklist.Load("testdata/list.snap", &blocklist.LoadOptions{Now: newClock().now})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Snapshot, blocklist.DumpOf(l.State(), fixtureAddresses)); diff != "" {
		t.Errorf("list.snap (-want +got):\n%s", diff)
	}
	if _, err := blocklist.Load("testdata/future.snap", nil); !errors.Is(err, blocklist.ErrVersion) {
		t.Errorf("future.snap: %v, want ErrVersion", err)
	}
}

// faceFixture is what testdata/faces.json says of a published snapshot with
// faces, and of the records that brought them.
type faceFixture struct {
	Key     string   `json:"key"`     // for encryption
	Created int64    `json:"created"` // of the snapshot
	Vectors []string `json:"vectors"` // encoded; that of event i is the i-th
	List    string   `json:"list"`
	Records []string `json:"records"`
	Keys    []string `json:"keys"` // of their faces
}

// Faces that were written once are opened and found.
func TestFaceFixtures(t *testing.T) {
	t.Parallel()
	c := newClock()
	if *update {
		key := blocklist.EncryptionKey{1, 2, 3}
		f := faceFixture{Key: hex.EncodeToString(key[:]), Created: c.now().Unix()}
		l := open(t, filepath.Join(t.TempDir(), "l"), &blocklist.Options{Now: c.now, EncryptionKey: &key, FaceLifetime: blocklist.MaxFaceLifetime})
		id := l.ID()
		f.List = hex.EncodeToString(id[:])
		for i := range 4 {
			v := faceOf(t, faceModels[i%2], uint64(100+i), 0, 0)
			b, _ := v.MarshalBinary()
			f.Vectors = append(f.Vectors, hex.EncodeToString(b))
			e := faceRule(t, l, uint64(i+1), limitsOf[i%2], v)
			e.Seq = mustAppend(t, l, e)[0]
			e.Time = c.now().Truncate(1e9)
			f.Records = append(f.Records, hex.EncodeToString(blocklist.AppendRecord(nil, &e)))
			k := l.FaceKey(e.ID)
			f.Keys = append(f.Keys, hex.EncodeToString(k[:]))
		}
		if err := l.Publish("testdata/faces.snap"); err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(f, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/faces.json", append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("testdata/faces.json")
	if err != nil {
		t.Fatal(err)
	}
	var f faceFixture
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	raw := func(s string) []byte {
		t.Helper()
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := blocklist.EncryptionKey(raw(f.Key))
	c.sec.Store(f.Created + 30*86400 - 1)
	l, err := blocklist.Load("testdata/faces.snap", &blocklist.LoadOptions{Now: c.now, EncryptionKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range f.Vectors {
		v, err := embedding.DecodeVector(raw(s))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[uint64]bool{uint64(i + 1): true}, facesFound(l.State(), v)); diff != "" {
			t.Errorf("vector %d (-want +got):\n%s", i, diff)
		}
		e, err := blocklist.ParseRecord(raw(f.Records[i]))
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Rule.Keys.Faces) != 1 {
			t.Fatalf("record %d has %d faces", i, len(e.Rule.Keys.Faces))
		}
		got := e.Rule.Keys.Faces[0]
		opened, err := embedding.Open(embedding.Key(raw(f.Keys[i])), append(raw(f.List), e.ID[:]...), got.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		if similarity, _ := opened.Similarity(v); similarity != 1 || got.Limits != limitsOf[i%2] || got.Model != v.Model() {
			t.Errorf("record %d: %v, %v, similarity %v", i, got.Model, got.Limits, similarity)
		}
	}
	c.sec.Add(1)
	if l.State().SearchesFaces() {
		t.Error("the faces are searched after their time")
	}
}

// A reader that knows the format only from its description, in another
// language, reads the same.
func TestIndependentReader(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("skipped: python3 is missing")
	}
	read := func(path string, addresses []string) (d blocklist.Dump) {
		t.Helper()
		cmd := exec.Command(python, append([]string{"testdata/read_snapshot.py", path}, addresses...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	text, err := os.ReadFile("testdata/list.json")
	if err != nil {
		t.Fatal(err)
	}
	var f fixture
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Snapshot, read("testdata/list.snap", fixtureAddresses)); diff != "" {
		t.Errorf("list.snap (-want +got):\n%s", diff)
	}

	// A bigger one: a directory of many bits, runs and arrays in the sets,
	// indexed hashes.
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "l"), &blocklist.Options{CompactAfter: -1})
	r := newUniverse(77, 3000)
	var events []blocklist.Event
	for i := 0; i < len(r.addresses); i += 2 {
		e := addedRule(t, l, uint64(i+1), r.addresses[i])
		e.Rule.Kind = uint8(i % 7)
		e.Rule.Purposes = blocklist.Purposes(i / 2 % 8)
		e.Rule.Keys.Bytes = r.files[i : i+2]
		e.Rule.Keys.Hashes = []blocklist.HashKey{{Hash: r.hashes[i], Variant: 3}, {Hash: r.hashes[i+1]}}
		if i%3 > 0 {
			e.Rule.Territories = territories[i%3:]
		}
		events = append(events, e)
	}
	mustAppend(t, l, events...)
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := blocklist.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(blocklist.DumpOf(loaded.State(), r.addresses[:50]), read(path, r.addresses[:50])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// One with faces, from the folder of the list.
	for i := range 20 {
		v := faceOf(t, faceModels[i%2], uint64(i), 0, 0)
		w := faceOf(t, faceModels[0], uint64(100+i), 0, 0)
		mustAppend(t, l, faceRule(t, l, uint64(9000+i), limitsOf[i%3], v, w))
	}
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "l", "snapshot-*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	want := blocklist.DumpOf(l.State(), nil)
	if diff := cmp.Diff(want, read(names[0], nil)); diff != "" {
		t.Errorf("with faces (-want +got):\n%s", diff)
	}
	if n := len(want.Grants); len(want.Grants[n-1].Faces) != 2 {
		t.Errorf("the last rule has %d faces, want 2", len(want.Grants[n-1].Faces))
	}
}

// What a newer version wrote is named so, not called damaged, wherever it
// stands: an index inside a snapshot, a set of features in a record, a record in
// a journal.
func TestNewerVersionInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	e := addedRule(t, l, 1, "https://example.com/1")
	e.Rule.Keys.Hashes = []blocklist.HashKey{{Hash: newUniverse(1, 1).hashes[0]}}
	f := featuresOf(t, 1).Compact()
	set, _ := f.AppendBinary(nil)
	e.Rule.Keys.Features = []blocklist.Features{f}
	mustAppend(t, l, e)
	snap := filepath.Join(t.TempDir(), "p")
	if err := l.Publish(snap); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(snap)
	if err != nil {
		t.Fatal(err)
	}
	for name, version := range map[string]int{
		"an index of hashes":   bytes.Index(data, []byte("sdSEGMT\n")) + 8,
		"an index of features": bytes.Index(data, []byte("SDFSEG")) + 6,
	} {
		newer := slices.Clone(data)
		newer[version] = 9
		if _, err := blocklist.LoadBytes(blocklist.Reseal(newer), newClock().now); !errors.Is(err, blocklist.ErrVersion) || errors.Is(err, blocklist.ErrFormat) {
			t.Errorf("%s of version 9 in a snapshot: %v, want ErrVersion", name, err)
		}
	}

	record := blocklist.AppendRecord(nil, &e)
	record[bytes.Index(record, set)+2] = 9
	if _, err := blocklist.ParseRecord(blocklist.SealRecord(record)); !errors.Is(err, blocklist.ErrVersion) || errors.Is(err, blocklist.ErrFormat) {
		t.Errorf("version 9 of features in a record: %v, want ErrVersion", err)
	}

	// So that Open has to read the record.
	db, err := bbolt.Open(filepath.Join(dir, "journal.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("events"))
		key, rec := b.Cursor().First()
		// Behind 56 bytes of the entry, and before its checksum.
		rec = slices.Clone(rec)
		record := rec[56 : len(rec)-4]
		record[0] = 9
		blocklist.SealRecord(record)
		return b.Put(slices.Clone(key), blocklist.SealRecord(rec))
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := boltjournal.Open(dir, nil); !errors.Is(err, blocklist.ErrVersion) || errors.Is(err, blocklist.ErrJournal) {
		t.Errorf("a record of version 9: %v, want ErrVersion", err)
	}
}
