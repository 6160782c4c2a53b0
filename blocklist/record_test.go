package blocklist_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"image"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// vector is a record in testdata/records.json, and what it says.
type vector struct {
	Name   string     `json:"name"`
	Hex    string     `json:"hex"`
	Digest string     `json:"digest"` // running, with the records before it
	Says   recordDump `json:"says"`
}

// vectors are the content of testdata/records.json.
type vectors struct {
	List    string   `json:"list"` // id
	Tenant  uint32   `json:"tenant"`
	Epoch   uint32   `json:"epoch"`
	Records []vector `json:"records"`
}

// recordDump is all that a record says.
type recordDump struct {
	Form        int      `json:"form"`
	Seq         uint64   `json:"seq"`
	Type        uint8    `json:"type"`
	ID          string   `json:"id"`
	Time        int64    `json:"time"`
	Target      uint64   `json:"target"`
	Tenant      uint32   `json:"tenant"`
	Batch       string   `json:"batch"`
	Body        string   `json:"body"` // P
	Scope       uint8    `json:"scope"`
	Effect      uint8    `json:"effect"`
	Kind        uint8    `json:"kind"`
	Case        string   `json:"case"`
	Territories string   `json:"territories"`
	Start       int64    `json:"start"`
	End         int64    `json:"end"`
	Until       int64    `json:"until"`
	Purposes    uint64   `json:"purposes"`
	Addresses   []string `json:"addresses"`
	Files       []string `json:"files"`
	Hashes      []string `json:"hashes"`
	Features    []string `json:"features"`
	Faces       []string `json:"faces"`
	Views       []string `json:"views"`
	Extra       []string `json:"extra"`
}

func dumpRecord(e *blocklist.Event) recordDump {
	unix := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	body := blocklist.BodyDigest(e)
	d := recordDump{
		Form: 1, Seq: e.Seq, Type: uint8(e.Type), ID: hex.EncodeToString(e.ID[:]), Time: unix(e.Time), Target: e.Target,
		Tenant: e.List, Batch: hex.EncodeToString(e.Batch[:]), Body: hex.EncodeToString(body[:]), Until: unix(e.Until),
		Case: strings.Repeat("0", 32), Addresses: []string{}, Files: []string{}, Hashes: []string{}, Features: []string{}, Faces: []string{}, Views: []string{}, Extra: []string{},
	}
	if e.IsErased() {
		d.Form = 2
	}
	k := &e.Keys
	if r := e.Rule; r != nil {
		k = &r.Keys
		d.Scope, d.Effect, d.Kind, d.Case, d.Purposes = uint8(r.Scope), uint8(r.Effect), r.Kind, hex.EncodeToString(r.Case[:]), uint64(r.Purposes)
		d.Start, d.End = unix(r.Start), unix(r.End)
		for _, t := range r.Territories {
			d.Territories += t.String()
		}
	}
	text := func(parts ...any) string {
		b, _ := json.Marshal(parts)
		return string(b)
	}
	for _, a := range k.Addresses {
		d.Addresses = append(d.Addresses, text(a.Kind, hex.EncodeToString(a.Digest[:])))
	}
	for _, f := range k.Bytes {
		d.Files = append(d.Files, text("sha256", hex.EncodeToString(f[:])))
	}
	for _, f := range k.SHA1 {
		d.Files = append(d.Files, text("sha1", hex.EncodeToString(f[:])))
	}
	for _, f := range k.MD5 {
		d.Files = append(d.Files, text("md5", hex.EncodeToString(f[:])))
	}
	for _, h := range k.Hashes {
		d.Hashes = append(d.Hashes, text(h.Hash.String(), h.Variant, h.Reach, h.View))
	}
	for i, f := range k.Features {
		set, _ := f.MarshalBinary()
		sum := sha256.Sum256(set)
		view := uint8(0)
		if k.FeatureViews != nil {
			view = k.FeatureViews[i]
		}
		d.Features = append(d.Features, text(len(set), hex.EncodeToString(sum[:]), view))
	}
	for _, f := range k.Faces {
		d.Faces = append(d.Faces, text(f.Model.Name, f.Model.Dimensions, f.Limits.Block, f.Limits.Review, hex.EncodeToString(f.Sealed)))
	}
	for _, v := range k.Views {
		d.Views = append(d.Views, text(v.Frame, v.Reading, v.Rect.Min.X, v.Rect.Min.Y, v.Rect.Dx(), v.Rect.Dy()))
	}
	for _, x := range e.Extra {
		d.Extra = append(d.Extra, text(x.Tag, hex.EncodeToString(x.Value)))
	}
	return d
}

// everyField are events that have, together, every field of a record.
func everyField(t *testing.T) (names []string, events []blocklist.Event) {
	t.Helper()
	u := newUniverse(21, 4)
	at := time.Unix(1_750_000_000, 0).UTC()
	add := func(name string, e blocklist.Event) {
		e.Seq, e.ID, e.List, e.Time = uint64(len(events)+1), newID(uint64(0x1000+len(events))), 300, at.Add(time.Duration(len(events))*time.Second)
		for i := range e.Salt {
			e.Salt[i] = byte(len(events)*16 + i)
		}
		names, events = append(names, name), append(events, e)
	}
	digest := func(b byte) (d blocklist.Digest) {
		for i := range d {
			d[i] = b + byte(i)
		}
		return d
	}
	rule := func(r blocklist.Rule) blocklist.Event { return blocklist.Event{Type: blocklist.EventAdded, Rule: &r} }
	add("the least a rule has", rule(blocklist.Rule{Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock}))
	add("addresses", rule(blocklist.Rule{Scope: blocklist.ScopeURL, Effect: blocklist.EffectReview, Kind: 9, Case: newID(77),
		Territories: territories[:3], Start: at, End: at.Add(time.Hour), Purposes: blocklist.PurposeTrain | blocklist.PurposeFace,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.PageAddress, Digest: digest(1)}, {Kind: blocklist.ImageAddress, Digest: digest(99)}}}}))
	add("files by all digests", rule(blocklist.Rule{Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{
		Bytes: u.files[:2], SHA1: [][20]byte{{1, 2, 3}}, MD5: [][16]byte{{4, 5}, {6}}}}))
	set := featuresOf(t, 1).Compact()
	picture := rule(blocklist.Rule{Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{
		Hashes: []blocklist.HashKey{
			{Hash: u.hashes[0], Variant: 7, Reach: blocklist.ReachBits(12), View: 2},
			{Hash: phash.FromPerception(0x8f373714acfcf4d0), Reach: blocklist.ReachBits(0)},
			{Hash: u.hashes[1], View: 1},
		},
		Features: []blocklist.Features{set, set}, FeatureViews: []uint8{0, 2},
		Views: []blocklist.View{{Frame: 3, Reading: phash.ReadingBlack}, {Rect: image.Rect(10, 200, 3000, 4000)}},
	}})
	picture.Batch = newID(4242)
	add("a picture", picture)
	sealed := bytes.Repeat([]byte{1}, 100)
	add("a face", rule(blocklist.Rule{Scope: blocklist.ScopeFace, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{
		Faces: []blocklist.Face{{Model: blocklist.FaceModel{Name: "m-1", Dimensions: 64}, Limits: blocklist.FaceLimits{Block: 0.75, Review: 0.5}, Sealed: sealed}}}}))
	add("learned", blocklist.Event{Type: blocklist.EventDerived, Target: 4, Until: at.Add(24 * time.Hour), Keys: blocklist.Keys{Bytes: u.files[2:3]}})
	add("excepted", blocklist.Event{Type: blocklist.EventException, Target: 4, Keys: blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: u.hashes[2]}}}})
	add("excepted from all rules", blocklist.Event{Type: blocklist.EventException, Keys: blocklist.Keys{Bytes: u.files[3:]}})
	add("undone", blocklist.Event{Type: blocklist.EventReverted, Target: 6})
	add("revoked", blocklist.Event{Type: blocklist.EventRevoked, Target: 2})
	newer := rule(blocklist.Rule{Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock})
	newer.Extra = []blocklist.Field{{Tag: 31, Value: []byte("header")}, {Tag: 65, Value: []byte{}}, {Tag: 1001, Value: []byte("payload")}}
	add("fields of a newer version", newer)
	erased := events[1]
	add("erased", blocklist.Event{Type: blocklist.EventAdded, Erased: blocklist.BodyDigest(&erased)})
	events[len(events)-1].Salt = [16]byte{}
	return names, events
}

func writeVectors(t *testing.T) {
	t.Helper()
	id := newID(0xabcdef)
	v := vectors{List: hex.EncodeToString(id[:]), Tenant: 300, Epoch: 2}
	digest := blocklist.Genesis(id, v.Tenant, v.Epoch)
	names, events := everyField(t)
	for i := range events {
		e := &events[i]
		if err := e.Check(); err != nil {
			t.Fatalf("%s: %v", names[i], err)
		}
		digest = e.Digest(digest)
		v.Records = append(v.Records, vector{names[i], hex.EncodeToString(blocklist.AppendRecord(nil, e)), hex.EncodeToString(digest[:]), dumpRecord(e)})
	}
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/records.json", append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/records.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || len(v.Records) < 12 {
		t.Fatal(len(v.Records), err)
	}
	return v
}

// Records that were written once say what they said then, are written again byte
// for byte, and give the same running digest.
func TestRecordVectors(t *testing.T) {
	t.Parallel()
	if *update {
		writeVectors(t)
	}
	v := readVectors(t)
	id, _ := hex.DecodeString(v.List)
	digest := blocklist.Genesis([16]byte(id), v.Tenant, v.Epoch)
	for _, r := range v.Records {
		raw, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatal(err)
		}
		e, err := blocklist.ParseRecord(raw)
		if err != nil {
			t.Errorf("%s: %v", r.Name, err)
			continue
		}
		if diff := cmp.Diff(r.Says, dumpRecord(&e)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Name, diff)
		}
		if again := blocklist.AppendRecord(nil, &e); !bytes.Equal(again, raw) {
			t.Errorf("%s: written as %x", r.Name, again)
		}
		digest = e.Digest(digest)
		if got := hex.EncodeToString(digest[:]); got != r.Digest {
			t.Errorf("%s: running digest %s, want %s", r.Name, got, r.Digest)
		}
	}
}

// A reader that knows the record only from its description, in another language,
// reads the same.
func TestRecordVectors_IndependentReader(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("skipped: python3 is missing")
	}
	cmd := exec.Command(python, "testdata/read_record.py", "testdata/records.json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []vector
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := readVectors(t).Records
	for i := range want {
		want[i].Name, want[i].Hex = "", ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// record makes a record of fields that are given in any form.
func record(form byte, header, body []byte) []byte {
	b := binary.AppendUvarint([]byte{form}, uint64(len(header)))
	b = append(append(b, header...), body...)
	return blocklist.SealRecord(append(b, 0, 0, 0, 0))
}

// Each way in which a record can be wrong has its own error, and a required field
// that is not known is named.
func TestParseRecord_Refuses(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("\x07", 16)
	head := "\x02\x01\x05\x04\x01\x01\x06\x10" + id
	salt := strings.Repeat("\x00", 16)
	least := "\x20\x01\x01\x22\x01\x01" // scope, effect
	tests := []struct {
		name         string
		form         byte
		header, body string
		want         error
		tag          uint64
	}{
		{"in order", 1, head, salt + least, nil, 0},
		{"optional field", 1, head + "\x0f\x01x", salt + least + "\x2f\x00", nil, 0},
		{"required field in the header", 1, head + "\x0e\x01x", salt + least, blocklist.ErrVersion, 14},
		{"required field in the payload", 1, head, salt + least + "\xe8\x07\x00", blocklist.ErrVersion, 1000},
		{"form", 3, head, salt + least, blocklist.ErrVersion, 0},
		{"purpose", 1, head, salt + least + "\x2e\x01\x08", blocklist.ErrVersion, 46},
		{"scope", 1, head, salt + "\x20\x01\x09\x22\x01\x01", blocklist.ErrVersion, 0},
		{"algorithm", 1, head, salt + least + "\x50\x09\x63" + id[:8], blocklist.ErrVersion, 0},
		{"reading", 1, head, salt + least + "\x6f\x06\x00\x09\x00\x00\x00\x00", blocklist.ErrVersion, 0},
		{"payload field in the header", 1, head + "\x21\x01x", salt + least, blocklist.ErrFormat, 0},
		{"header field in the payload", 1, head, salt + "\x0f\x01x" + least, blocklist.ErrFormat, 0},
		{"field twice", 1, head, salt + least + "\x22\x01\x01", blocklist.ErrFormat, 0},
		{"out of order", 1, head, salt + "\x22\x01\x01\x20\x01\x01", blocklist.ErrFormat, 0},
		{"long tag", 1, head, salt + "\xa0\x00\x01\x01\x22\x01\x01", blocklist.ErrFormat, 0},
		{"long length", 1, head, salt + "\x20\x81\x00\x01\x22\x01\x01", blocklist.ErrFormat, 0},
		{"default is written", 1, head, salt + least + "\x23\x01\x00", blocklist.ErrFormat, 0},
		{"empty list", 1, head, salt + least + "\x42\x00", blocklist.ErrFormat, 0},
		{"column of zeros", 1, head, salt + least + "\x50\x09\x02" + id[:8] + "\x51\x01\x00", blocklist.ErrFormat, 0},
		{"column of another length", 1, head, salt + least + "\x50\x09\x02" + id[:8] + "\x51\x02\x00\x01", blocklist.ErrFormat, 0},
		{"column without a list", 1, head, salt + least + "\x51\x01\x01", blocklist.ErrFormat, 0},
		{"view that is not there", 1, head, salt + least + "\x50\x09\x02" + id[:8] + "\x53\x01\x01", blocklist.ErrFormat, 0},
		{"territories out of order", 1, head, salt + least + "\x26\x04FRDE", blocklist.ErrFormat, 0},
		{"field beyond the end", 1, head, salt + least + "\x42\x20", blocklist.ErrFormat, 0},
		{"no salt", 1, head, salt[1:], blocklist.ErrFormat, 0},
		{"no rule", 1, head, salt, blocklist.ErrFormat, 0},
		{"payload of an erased record", 2, head, strings.Repeat("\x01", 32) + least, blocklist.ErrFormat, 0},
		{"erased and zero", 2, head, strings.Repeat("\x00", 32), blocklist.ErrFormat, 0},
		{"no id", 1, "\x02\x01\x05\x04\x01\x01", salt + least, blocklist.ErrFormat, 0},
		{"too many unknown fields", 1, head, salt + least + manyFields(65), blocklist.ErrLimit, 0},
		{"too long unknown field", 1, head, salt + least + "\xe9\x07\x81\x80\x04" + strings.Repeat("x", 1<<16+1), blocklist.ErrLimit, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := blocklist.ParseRecord(record(tt.form, []byte(tt.header), []byte(tt.body)))
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			var tag *blocklist.TagError
			if errors.As(err, &tag) != (tt.tag != 0) || tag != nil && tag.Tag != tt.tag {
				t.Errorf("%v names %v, want tag %d", err, tag, tt.tag)
			}
			if err == nil && !bytes.Equal(blocklist.AppendRecord(nil, &e), record(tt.form, []byte(tt.header), []byte(tt.body))) {
				t.Error("is written in another way")
			}
		})
	}
	if _, err := blocklist.ParseRecord([]byte{1, 0}); !errors.Is(err, blocklist.ErrTruncated) {
		t.Errorf("two bytes: %v", err)
	}
	if _, err := blocklist.ParseRecord(make([]byte, 1<<22+1)); !errors.Is(err, blocklist.ErrLimit) {
		t.Errorf("more than 4 MiB: %v", err)
	}
}

func manyFields(n int) string {
	var b []byte
	for i := range n {
		b = append(binary.AppendUvarint(b, uint64(1001+2*i)), 0)
	}
	return string(b)
}

// A digest hides its payload: the same event in two lists has different digests of
// its body, and an erased event keeps the one that it had.
func TestEvent_Digest(t *testing.T) {
	t.Parallel()
	_, events := everyField(t)
	for i := range events {
		e := events[i]
		if e.IsErased() {
			continue
		}
		before := [32]byte{byte(i)}
		want := e.Digest(before)
		salted := e
		salted.Salt[3] ^= 1
		if salted.Digest(before) == want || blocklist.BodyDigest(&salted) == blocklist.BodyDigest(&e) {
			t.Errorf("event %d: the salt makes no difference", i)
		}
		erased := e
		erased.Erased, erased.Salt, erased.Rule, erased.Keys, erased.Until = blocklist.BodyDigest(&e), [16]byte{}, nil, blocklist.Keys{}, time.Time{}
		erased.Extra = slices.DeleteFunc(slices.Clone(e.Extra), func(f blocklist.Field) bool { return f.Tag >= 32 })
		if erased.Digest(before) != want {
			t.Errorf("event %d: erasing changes the digest", i)
		}
	}
}
