package blocklist_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
)

var update = flag.Bool("update", false, "write the fixtures of the current format version anew; only before its first release")

var fixtureAddresses = newUniverse(5, 6).addresses

// fixture is what testdata/v1.json says of the other files.
type fixture struct {
	Snapshot blocklist.Dump `json:"snapshot"`
	Records  []struct {
		Hex  string `json:"hex"`
		Text string `json:"text"` // of the event
	} `json:"records"`
}

func eventText(e *blocklist.Event) string {
	text := fmt.Sprintf("%d %x %d %d %v target %d until %d keys %s", e.Seq, e.ID, e.List, e.Time.Unix(), e.Type, e.Target, e.Until.Unix(), keysText(e.Keys))
	if r := e.Rule; r != nil {
		text += fmt.Sprintf(" rule {%v %v %v %v %v %v %v %s}", r.Width, r.Effect, r.Case, r.Kind, r.Territories, r.Start, r.End, keysText(r.Keys))
	}
	return text
}

func keysText(k blocklist.Keys) string {
	text := fmt.Sprintf("{%v %v %v}", k.Addresses, k.Bytes, k.Hashes)
	for _, f := range k.Features {
		text += fmt.Sprintf(" features of %d points", f.Len())
	}
	return text
}

// The files of version 1 are read for ever, and say what they said then.
func TestFixtures(t *testing.T) {
	t.Parallel()
	var f fixture
	if *update {
		u := newUniverse(5, 6)
		data, _, l := smallSnapshot(t, u)
		v, err := blocklist.LoadBytes(data, newClock().now)
		if err != nil {
			t.Fatal(err)
		}
		f.Snapshot = blocklist.DumpOf(v, fixtureAddresses)
		if err := l.Events(1, func(e blocklist.Event) bool {
			f.Records = append(f.Records, struct {
				Hex  string `json:"hex"`
				Text string `json:"text"`
			}{hex.EncodeToString(blocklist.AppendRecord(nil, &e)), eventText(&e)})
			return true
		}); err != nil {
			t.Fatal(err)
		}
		write := func(name string, data []byte) {
			if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.MarshalIndent(f, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		write("v1.json", append(text, '\n'))
		write("v1.snap", data)
		data[8] = 2
		write("future.snap", data)
	}
	text, err := os.ReadFile("testdata/v1.json")
	if err != nil {
		t.Fatal(err)
	}
	f = fixture{}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	l, err := blocklist.Load("testdata/v1.snap", &blocklist.LoadOptions{Now: newClock().now})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Snapshot, blocklist.DumpOf(l.View(), fixtureAddresses)); diff != "" {
		t.Errorf("v1.snap (-want +got):\n%s", diff)
	}
	for i, r := range f.Records {
		raw, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatal(err)
		}
		e, err := blocklist.ParseRecord(raw)
		if err != nil {
			t.Errorf("record %d: %v", i, err)
			continue
		}
		if diff := cmp.Diff(r.Text, eventText(&e)); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i, diff)
		}
	}
	if len(f.Records) == 0 {
		t.Error("no records")
	}
	if _, err := blocklist.Load("testdata/future.snap", nil); !errors.Is(err, blocklist.ErrVersion) {
		t.Errorf("future.snap: %v, want ErrVersion", err)
	}
	future, _ := hex.DecodeString(f.Records[0].Hex)
	future[0] = 2
	if _, err := blocklist.ParseRecord(blocklist.SealRecord(future)); !errors.Is(err, blocklist.ErrVersion) {
		t.Errorf("record of version 2: %v, want ErrVersion", err)
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
	text, err := os.ReadFile("testdata/v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var f fixture
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Snapshot, read("testdata/v1.snap", fixtureAddresses)); diff != "" {
		t.Errorf("v1.snap (-want +got):\n%s", diff)
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
	if diff := cmp.Diff(blocklist.DumpOf(loaded.View(), r.addresses[:50]), read(path, r.addresses[:50])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
