package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// photos are real pictures of the repository.
const photos = "../../examples/quickstart/photos"

func photo(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(photos, name)
	if !exists(path) {
		t.Skip("the photographs of the repository are not here")
	}
	return path
}

// call runs the program as a shell does.
func call(t *testing.T, want int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	if got := run(t.Context(), args, strings.NewReader(""), &o, &e); got != want {
		t.Fatalf("staydown %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, want, o.String(), e.String())
	}
	return o.String(), e.String()
}

// wants fails if a text does not have all parts.
func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

var testCase = takedown.CaseID{7}

// makeList makes the folder of a list that blocks copies of dogs.jpg, an address in
// all countries, one in Germany, and holds a host.
func makeList(t *testing.T) string {
	t.Helper()
	path := photo(t, "dogs.jpg")
	dir := filepath.Join(t.TempDir(), "list")
	l, err := boltjournal.Open(dir, &blocklist.Options{CompactAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pic, err := phash.Decode(bytes.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := phash.HashesToStore(pic, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := blocklist.Keys{Bytes: [][32]byte{sha256.Sum256(data)}}
	for _, h := range reg.Hashes {
		keys.Hashes = append(keys.Hashes, blocklist.HashKey{Hash: h.Hash, Variant: uint8(h.Transform)})
	}
	address := func(kind blocklist.AddressKind, u string) blocklist.Keys {
		d, err := l.Digest(kind, u)
		if err != nil {
			t.Fatal(err)
		}
		return blocklist.Keys{Addresses: []blocklist.Address{{Kind: kind, Digest: d}}}
	}
	de, _ := blocklist.ParseTerritory("DE")
	for i, r := range []blocklist.Rule{
		{Kind: 1, Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: testCase, Keys: keys},
		{Kind: 2, Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Case: testCase, Keys: address(blocklist.ImageAddress, "https://example.com/a.jpg")},
		{Kind: 2, Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Case: testCase, Territories: []blocklist.Territory{de}, Keys: address(blocklist.ImageAddress, "https://example.com/de.jpg")},
		{Kind: 2, Scope: blocklist.ScopeHost, Effect: blocklist.EffectReview, Case: testCase, Keys: address(blocklist.HostAddress, "held.example.org")},
	} {
		if _, err := l.Append(t.Context(), blocklist.Event{ID: [16]byte{byte(i + 1)}, Type: blocklist.EventAdded, Rule: &r}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// signed publishes a list with a key of its own.
func signed(t *testing.T, dir string) (snap, pub string) {
	t.Helper()
	tmp := t.TempDir()
	key := filepath.Join(tmp, "list.key")
	call(t, 0, "keygen", key)
	snap = filepath.Join(tmp, "list.snap")
	call(t, 0, "sign", dir, snap, "--key", key)
	return snap, key + ".pub"
}

// save writes a picture as a JPEG.
func save(t *testing.T, path string, img image.Image, quality int) {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The questions of a stranger, by the commands that the help names.
func TestCheck(t *testing.T) {
	t.Parallel()
	snap, pub := signed(t, makeList(t))
	copied := filepath.Join(t.TempDir(), "copy.jpg")
	img, err := imaging.Open(photo(t, "dogs.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, copied, imaging.Resize(imaging.FlipH(img), 300, 0, imaging.Linear), 60)
	for _, x := range []struct {
		code int
		want string
		args []string
	}{
		{3, "block by address, rule 2", []string{"http://EXAMPLE.com/a.jpg#x"}},
		{0, "allow", []string{"https://example.com/b.jpg"}},
		{4, "restricted", []string{"https://example.com/de.jpg"}},
		{3, "in DE", []string{"--in", "DE", "https://example.com/de.jpg"}},
		{0, "allow", []string{"--in", "FR", "https://example.com/de.jpg"}},
		{4, "review", []string{"https://cdn.held.example.org/x.png"}},
		{3, "rule 1", []string{copied}},
		{3, "rule 1", []string{photo(t, "dogs.jpg")}},
		{0, "allow", []string{photo(t, "beach5.jpg")}},
		{0, "allow", []string{strings.Repeat("0f", 32)}},
		{1, "allow", []string{"main.go"}}, // not a picture: only its bytes are compared
		{1, "", []string{"no-such-file.jpg"}},
		{1, "", []string{"ftp://example.com/a.jpg"}},
		{2, "", []string{"--in", "XX", "https://example.com/a.jpg"}},
		{5, "unknown", []string{"--max-age", "1ns", "https://example.com/b.jpg"}},
	} {
		out, errOut := call(t, x.code, append([]string{"check", "--list", snap, "--trust", pub}, x.args...)...)
		wants(t, out, x.want)
		if x.code == 1 || x.code == 2 {
			wants(t, errOut, "staydown")
		}
	}
	out, _ := call(t, 3, "check", "--json", "-l", "main="+snap, "https://example.com/a.jpg")
	var got checked
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Decision.Case != testCase || got.Decision.List != "main" || got.Before == nil || time.Since(*got.Before) > time.Hour {
		t.Errorf("%+v", got)
	}
	// A folder answers too, and knows since when.
	out, _ = call(t, 3, "check", "-l", makeList(t), "https://example.com/a.jpg")
	wants(t, out, "since "+time.Now().UTC().Format("2006-01-02"))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	dir := makeList(t)
	snap, pub := signed(t, dir)
	out, _ := call(t, 0, "verify", snap, "--trust", pub, "--max-age", "1h")
	wants(t, out, "signed   by a trusted key", "in order", "4 rules")
	call(t, 0, "verify", dir)
	call(t, 5, "verify", snap, "--max-age", "1ns")
	_, other := signed(t, dir)
	_, errOut := call(t, 5, "verify", snap, "--trust", other)
	wants(t, errOut, "wrong key")
	call(t, 5, "check", "-l", snap, "--trust", other, "https://example.com/a.jpg")
	call(t, 2, "verify", dir, "--trust", pub)
	call(t, 1, "verify", "main.go")
	call(t, 1, "verify", filepath.Join(dir, "nothing"))
	call(t, 1, "verify", snap, "--trust", "main.go")

	data, err := os.ReadFile(snap)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.snap")
	for at := 0; at < len(data); at += 1 + len(data)/200 {
		if data[at] == 0 { // the space between sections is not covered
			continue
		}
		changed := bytes.Clone(data)
		changed[at] ^= 0x20
		if err := os.WriteFile(bad, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		var o, e bytes.Buffer
		if code := run(t.Context(), []string{"verify", bad, "--trust", pub}, nil, &o, &e); code != 1 && code != 5 {
			t.Errorf("byte %d changed: exit code %d: %s%s", at, code, o.String(), e.String())
		}
	}
	if err := os.WriteFile(bad, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, 1, "verify", bad)

	// A later state continues an earlier one, and not the other way round.
	l, err := boltjournal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), blocklist.Event{ID: [16]byte{99}, Type: blocklist.EventRevoked, Target: 2}); err != nil {
		t.Fatal(err)
	}
	later := filepath.Join(t.TempDir(), "later.snap")
	if err := l.Publish(later); err != nil {
		t.Fatal(err)
	}
	l.Close()
	call(t, 0, "verify", later, "--after", snap)
	call(t, 5, "verify", snap, "--after", later)
	call(t, 5, "verify", later, "--after", func() string { s, _ := signed(t, makeList(t)); return s }())
	out, _ = call(t, 3, "diff", snap, later)
	wants(t, out, "- rule 2")
	call(t, 0, "diff", snap, snap)
	call(t, 5, "diff", snap, func() string { s, _ := signed(t, makeList(t)); return s }())
}

func TestDump(t *testing.T) {
	t.Parallel()
	dir, tmp := makeList(t), t.TempDir()
	dump, again := filepath.Join(tmp, "a.jsonl"), filepath.Join(tmp, "b.jsonl")
	call(t, 0, "dump", dir, "-o", dump)
	call(t, 1, "dump", dir, "-o", dump) // never replaces a file
	made := filepath.Join(tmp, "made")
	call(t, 0, "load", dump, made)
	call(t, 0, "dump", made, "-o", again)
	a, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(again); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the dump of the loaded list differs: %v\n%s\n%s", err, a, b)
	}
	wants(t, string(a), `"scope":"duplicate"`, `"case":"`+testCase.String(), `"type":"added"`)
	call(t, 0, "diff", dir, made)
	call(t, 3, "check", "-l", made, "https://example.com/a.jpg")
	call(t, 1, "load", dump, made) // it is there already

	lines := bytes.SplitAfter(a, []byte("\n"))
	for name, bad := range map[string][]byte{
		"cut off":       bytes.Join(lines[:3], nil),
		"a line lost":   bytes.Join(append(append([][]byte{}, lines[:2]...), lines[3:]...), nil),
		"no head":       bytes.Join(lines[1:], nil),
		"another file":  []byte("hello\n"),
		"nothing":       nil,
		"changed":       bytes.Replace(a, []byte(`"data":"`), []byte(`"data":"AAAA`), 1),
		"a wrong id":    bytes.Replace(a, []byte(`"id":"01`), []byte(`"id":"`), 1),
		"a new version": bytes.Replace(a, []byte(`"staydown_dump":1`), []byte(`"staydown_dump":2`), 1),
	} {
		path, to := filepath.Join(tmp, "bad.jsonl"), filepath.Join(tmp, "bad")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		var o, e bytes.Buffer
		if code := run(t.Context(), []string{"load", path, to}, nil, &o, &e); code != 1 || exists(to) {
			t.Errorf("%s: exit code %d, folder there %t: %s", name, code, exists(to), e.String())
		}
	}
	left, err := filepath.Glob(filepath.Join(tmp, ".load-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	dir := makeList(t)
	out, _ := call(t, 0, "inspect", dir)
	wants(t, out, "number   4", "4 rules")
	out, _ = call(t, 0, "inspect", dir, "--rule", "3")
	wants(t, out, "rule 3: in force, block, scope url", "in DE", "event 3: added, 1 keys")
	call(t, 1, "inspect", dir, "--rule", "33")
	out, _ = call(t, 0, "inspect", dir, "--case", testCase.String())
	wants(t, out, "rule 1", "rule 2", "rule 3", "rule 4")
	call(t, 2, "inspect", dir, "--case", "x")
	call(t, 1, "inspect", dir, "--case", takedown.CaseID{8}.String())
	out, _ = call(t, 0, "inspect", dir, "--rules", "--json", "--no-history")
	if n := strings.Count(out, "\n"); n != 4 {
		t.Errorf("%d lines:\n%s", n, out)
	}
}

func TestHashAndCompare(t *testing.T) {
	t.Parallel()
	dogs, tmp := photo(t, "dogs.jpg"), t.TempDir()
	out, errOut := call(t, 1, "hash", dogs, "main.go", "no-such-file")
	wants(t, out, "pdq:", "100 ")
	wants(t, errOut, "main.go: ", "no-such-file: no such file")
	data, err := os.ReadFile(dogs)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(tmp, "cut.jpg")
	if err := os.WriteFile(cut, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = call(t, 0, "hash", cut)
	wants(t, out, "cut.jpg (")

	img, err := imaging.Open(dogs)
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	crop, match := filepath.Join(tmp, "crop.jpg"), filepath.Join(tmp, "match.png")
	save(t, crop, imaging.Crop(img, image.Rect(b.Dx()/5, b.Dy()/5, b.Dx()*4/5, b.Dy()*4/5)), 80)
	out, _ = call(t, 3, "compare", dogs, crop, "-o", match)
	wants(t, out, "features  block", "of A is proved to be in B")
	side, err := imaging.Open(match)
	if err != nil {
		t.Fatal(err)
	}
	marked := 0
	for y := range side.Bounds().Dy() {
		for x := range side.Bounds().Dx() {
			if r, g, b, _ := side.At(x, y).RGBA(); r>>8 == 0xe0 && g>>8 == 0x10 && b>>8 == 0x50 {
				marked++
			}
		}
	}
	if marked < 500 {
		t.Errorf("%d pixels of the outline", marked)
	}
	out, _ = call(t, 3, "compare", dogs, dogs)
	wants(t, out, "bytes     block")
	out, _ = call(t, 0, "compare", dogs, photo(t, "beach5.jpg"))
	wants(t, out, "together  allow")
	call(t, 1, "compare", dogs, "main.go")
}

func TestSweep(t *testing.T) {
	t.Parallel()
	snap, _ := signed(t, makeList(t))
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "pics", "sub")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	img, err := imaging.Open(photo(t, "dogs.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "copy.jpg"), imaging.Resize(img, 320, 0, imaging.Linear), 50)
	save(t, filepath.Join(dir, "=mirrored.jpg"), imaging.FlipH(img), 70)
	other, err := os.ReadFile(photo(t, "beach5.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"innocent.jpg": other, "broken.jpg": other[:40], "text.txt": []byte("text"), "empty": nil} {
		if err := os.WriteFile(filepath.Join(tmp, "pics", name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, page, state := filepath.Join(tmp, "found.csv"), filepath.Join(tmp, "found.html"), filepath.Join(tmp, "state.json")
	args := []string{"sweep", "-l", snap, filepath.Join(tmp, "pics"), "--csv", found, "--html", page, "--state", state}
	_, errOut := call(t, 3, args...)
	wants(t, errOut, "6 looked at, block 2, review 1")
	csv, err := os.ReadFile(found)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(csv), "key,verdict", "sub/copy.jpg,block,hash", "sub/=mirrored.jpg,block", "broken.jpg,review")
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(html), "data:image/jpeg;base64,", "sub/copy.jpg", testCase.String())
	// The list has nothing new, so the next sweep finds nothing.
	_, errOut = call(t, 0, args...)
	wants(t, errOut, "6 looked at, block 0")

	// A sweep that is interrupted, and continued, finds the same.
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var o, e bytes.Buffer
	if code := run(ctx, args, nil, &o, &e); code != 1 {
		t.Errorf("interrupted: exit code %d: %s", code, e.String())
	}
	call(t, 3, args...)
	if again, err := os.ReadFile(found); err != nil || !bytes.Equal(again, csv) {
		t.Errorf("continued: %v\n%s\n%s", err, again, csv)
	}
	call(t, 1, "sweep", "-l", snap, tmp, "--state", state)
	call(t, 1, "sweep", "-l", func() string { s, _ := signed(t, makeList(t)); return s }(), filepath.Join(tmp, "pics"), "--state", state)
}

// Names of files that spreadsheets would run are quoted in the table, and are found
// again for the page.
func TestSweep_NamesLikeFormulas(t *testing.T) {
	t.Parallel()
	snap, _ := signed(t, makeList(t))
	pics := t.TempDir()
	img, err := imaging.Open(photo(t, "dogs.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"=a.jpg", "+a.jpg", "-a.jpg", "@a.jpg", "'a.jpg", "'=a.jpg", "a.jpg"}
	for _, name := range names {
		save(t, filepath.Join(pics, name), imaging.Resize(img, 320, 0, imaging.Linear), 70)
	}
	found, page := filepath.Join(t.TempDir(), "found.csv"), filepath.Join(t.TempDir(), "found.html")
	call(t, 3, "sweep", "-l", snap, pics, "--csv", found, "--html", page)
	csv, err := os.ReadFile(found)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(csv), "\n'=a.jpg,block", "\n'+a.jpg,block", "\n'-a.jpg,block", "\n'@a.jpg,block", "\n''a.jpg,block", "\n''=a.jpg,block", "\na.jpg,block")
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(html, []byte("data:image/jpeg;base64,")); n != len(names) {
		t.Errorf("%d of %d pictures are on the page", n, len(names))
	}
}

func TestCutName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"main=list.snap":                         {"main", "list.snap"},
		"list.snap":                              {"", "list.snap"},
		"main=https://lists.example/main/?key=1": {"main", "https://lists.example/main/?key=1"},
		"https://lists.example/main/?key=1":      {"", "https://lists.example/main/?key=1"},
		"./a=b.snap":                             {"", "./a=b.snap"},
		`C:\lists\a=b.snap`:                      {"", `C:\lists\a=b.snap`},
		"partner=lists/partner":                  {"partner", "lists/partner"},
	} {
		if name, path := cutName(text); name != want[0] || path != want[1] {
			t.Errorf("%s: %q, %q", text, name, path)
		}
	}
}

func TestSweep_Tables(t *testing.T) {
	t.Parallel()
	snap, _ := signed(t, makeList(t))
	tmp := t.TempDir()
	pic, err := imaging.Open(photo(t, "dogs.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := phash.PDQ(pic)
	if err != nil {
		t.Fatal(err)
	}
	csv := "\ufeffid,URL,hash\n1,https://example.com/a.jpg,\n2,https://example.com/z.jpg,\n3,," + h.String() + "\n4,,nonsense\n5,,\n"
	if err := os.WriteFile(filepath.Join(tmp, "a.csv"), []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errOut := call(t, 1, "sweep", "-l", snap, filepath.Join(tmp, "a.csv"))
	wants(t, out, "0000000001: block by address", "0000000003: block by hash")
	wants(t, errOut, "0000000004: ", "0000000005: none of")
	lines := `{"key":"x","url":"https://example.com/de.jpg"}` + "\n" + `{"hash":["` + h.String() + `"]}` + "\n"
	if err := os.WriteFile(filepath.Join(tmp, "a.jsonl"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = call(t, 3, "sweep", "-l", snap, filepath.Join(tmp, "a.jsonl"))
	wants(t, out, "0000000001 x: restricted", "0000000002: block by hash")
	for name, content := range map[string]string{"b.csv": "a,b\n1,2\n", "c.jsonl": "{\n", "d.csv": ""} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var o, e bytes.Buffer
		if code := run(t.Context(), []string{"sweep", "-l", snap, filepath.Join(tmp, name)}, nil, &o, &e); code != 1 && name != "d.csv" {
			t.Errorf("%s: exit code %d %s", name, code, e.String())
		}
	}
	call(t, 2, "sweep", "-l", snap, "main.go")
}

func TestKeygen(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	key, secret := filepath.Join(tmp, "k"), filepath.Join(tmp, "s")
	call(t, 0, "keygen", key)
	call(t, 1, "keygen", key) // never replaces
	call(t, 0, "keygen", "--encryption", secret)
	call(t, 1, "sign", makeList(t), filepath.Join(tmp, "x.snap"), "--key", secret)
	for _, path := range []string{key, secret} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	// sign never replaces a file of something else.
	foreign := filepath.Join(tmp, "foreign")
	if err := os.WriteFile(foreign, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, 1, "sign", makeList(t), foreign, "--key", key)
	if b, err := os.ReadFile(foreign); err != nil || string(b) != "keep" {
		t.Errorf("%q, %v", b, err)
	}
}

// Every command explains itself, and a wrong call says where to look.
func TestHelp(t *testing.T) {
	t.Parallel()
	out, _ := call(t, 0, "--help")
	wants(t, out, "Exit codes", "check", "sweep", "verify")
	for _, cmd := range []string{"hash", "compare", "check", "sweep", "inspect", "verify", "diff", "dump", "load", "import", "export", "serve", "keygen", "sign", "desk queue", "desk accept", "feed status"} {
		if out, _ := call(t, 0, append(strings.Fields(cmd), "--help")...); !strings.Contains(out, "staydown "+cmd+" ") || len(out) < 400 {
			t.Errorf("%s --help has no example:\n%s", cmd, out)
		}
	}
	out, _ = call(t, 0, "check", "--help")
	wants(t, out, "blocked, by which case, since when?", "genuine and fresh?")
	_, errOut := call(t, 2, "check")
	wants(t, errOut, "--help")
}
