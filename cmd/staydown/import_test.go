package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// pdqText makes a plausible PDQ hash.
func pdqText(r *rand.Rand) string {
	var b [32]byte
	for i, at := range r.Perm(256) {
		if i < 128 {
			b[at/8] |= 1 << (at % 8)
		}
	}
	return hex.EncodeToString(b[:])
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImport_PDQ(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	a, b, c := pdqText(r), pdqText(r), pdqText(r)
	file := write(t, "a.csv", "hash,quality\n"+a+",100\n\n# comment\n"+strings.ToUpper(b)+",80,x,y\n"+c+",20\nnonsense\n"+strings.Repeat("00", 32)+"\n"+a+"\n"+strings.Repeat("x", 20_000)+"\n")
	dir, refused := filepath.Join(t.TempDir(), "l"), filepath.Join(t.TempDir(), "refused.csv")
	args := []string{"import", dir, file, "--source", "partner", "--format", "pdq", "--effect", "block", "--refused", refused}
	out, _ := call(t, 1, args...)
	wants(t, out, "7 entries, 2 added, 1 unchanged, 0 ended, 4 refused")
	report, err := os.ReadFile(refused)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(report), "6,quality 20 is below 50", "7,not a PDQ hash", "8,", "10,longer than 16 KiB")
	call(t, 3, "check", "-l", dir, a, b)
	call(t, 0, "check", "-l", dir, c)
	// Again: nothing changes.
	out, _ = call(t, 1, args...)
	wants(t, out, "7 entries, 0 added, 3 unchanged")
	// Another effect replaces, and does not add.
	out, _ = call(t, 1, "import", dir, file, "--source", "partner", "--format", "pdq", "--effect", "review")
	wants(t, out, "2 added, 1 unchanged, 2 ended")
	call(t, 4, "check", "-l", dir, a, b)
	out, _ = call(t, 1, args...)
	wants(t, out, "2 added, 1 unchanged, 2 ended")
	call(t, 3, "check", "-l", dir, a)

	// A second source covers a too. Withdrawing the first leaves that.
	other := write(t, "b.txt", a+"\n")
	call(t, 0, "import", dir, other, "--source", "second", "--format", "pdq", "--effect", "review", "--max-distance", "4")
	out, _ = call(t, 0, "import", "withdraw", dir, "--source", "partner")
	wants(t, out, "2 rules of partner would end")
	call(t, 3, "check", "-l", dir, a)
	call(t, 0, "import", "withdraw", dir, "--source", "partner", "--yes")
	call(t, 4, "check", "-l", dir, a)
	call(t, 0, "check", "-l", dir, b)
	out, _ = call(t, 0, "import", "list", dir)
	wants(t, out, "partner: case ", "withdrawn", "second: case")
	// And importing it again brings it back.
	out, _ = call(t, 1, args...)
	wants(t, out, "2 added")
	call(t, 3, "check", "-l", dir, b)
	// The second source says how near a copy has to be.
	h := phash.MustParse(b)
	near := h.Bytes()
	near[0] ^= 0x1f
	call(t, 3, "check", "-l", dir, hex.EncodeToString(near))

	// A whole list that lacks b ends it.
	whole := write(t, "w.txt", a+"\n")
	out, _ = call(t, 0, "import", dir, whole, "--source", "partner", "--format", "pdq", "--effect", "block", "--sync")
	wants(t, out, "0 added, 1 unchanged, 1 ended")
	call(t, 0, "check", "-l", dir, b)

	call(t, 1, "import", "withdraw", dir, "--source", "nobody", "-y")
	call(t, 2, "import", dir, file, "--source", "x", "--format", "other", "--effect", "block")
	call(t, 2, "import", dir, file, "--source", "x", "--format", "pdq")
	call(t, 1, "import", dir, file+"-not-there", "--source", "x", "--format", "pdq", "--effect", "block")
}

// record is a record of StopNCII, after the public description.
func record(kind, value, status string) string {
	return fmt.Sprintf(`{"lastModtimestamp": 1, "signalType": %q, "hashValue": %q, "hashStatus": %q, "caseNumbers": {"c": "x"}}`, kind, value, status)
}

func TestImport_StopNCII(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	a, b, c := pdqText(r), pdqText(r), pdqText(r)
	page := func(records ...string) string {
		return `{"count": 2, "hasMoreRecords": false, "hashRecords": [` + strings.Join(records, ",") + `], "nextPageToken": "x"}`
	}
	file := write(t, "a.json", page(record("ImagePDQ", a, "Active"), record("ImagePDQ", b, "Received"))+"\n"+
		page(record("VideoMD5", "d41d8cd98f00b204e9800998ecf8427e", "Active"), record("ImagePDQ", c, "Active"), `{"signalType": 5}`, record("ImagePDQ", c, "Withdrawn"), record("ImagePDQ", "ff", "Active"), record("ImagePDQ", a, "Odd")))
	dir := filepath.Join(t.TempDir(), "l")
	args := []string{"import", dir, file, "--source", "stopncii", "--format", "stopncii", "--effect", "block"}
	out, errOut := call(t, 1, args...)
	wants(t, out, "8 entries, 3 added, 0 unchanged, 1 ended, 4 refused")
	wants(t, errOut, "line 3 refused: signalType is not ImagePDQ", "line 5 refused", "line 7 refused: not a PDQ hash", "line 8 refused: hashStatus")
	call(t, 3, "check", "-l", dir, a)
	call(t, 4, "check", "-l", dir, b)
	call(t, 0, "check", "-l", dir, c)
	// b is verified, a is withdrawn, c comes back.
	file = write(t, "b.json", page(record("ImagePDQ", b, "Active"), record("ImagePDQ", strings.ToUpper(a), "Deleted"), record("ImagePDQ", c, "Active")))
	args[2] = file
	call(t, 0, args...)
	call(t, 0, args...)
	call(t, 0, "check", "-l", dir, a)
	call(t, 3, "check", "-l", dir, b)
	call(t, 3, "check", "-l", dir, c)

	for name, text := range map[string]string{"cut": page(record("ImagePDQ", a, "Active"))[:200], "empty": "", "list": "[]", "none": "{}", "text": "hello"} {
		var o, e bytes.Buffer
		if code := run(t.Context(), []string{"import", dir, write(t, name, text), "--source", name, "--format", "stopncii", "--effect", "block"}, nil, &o, &e); code != 1 || e.Len() == 0 {
			t.Errorf("%s: exit code %d, %s%s", name, code, o.String(), e.String())
		}
	}
}

func TestImport_NCMEC(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	a := pdqText(r)
	doc := func(items string) string {
		return `<?xml version="1.0"?><queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images maxTimestamp="2026-01-01T00:00:00Z">` + items + `</images><paging><next>/x</next></paging></queryResult>`
	}
	image := func(id, prints string) string {
		return `<image><member id="42">M</member><timestamp>2026-01-01T00:00:00Z</timestamp><id>` + id + `</id><classification>A1</classification><fingerprints>` + prints + `</fingerprints></image>`
	}
	dogs := photo(t, "dogs.jpg")
	data, err := os.ReadFile(dogs)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "a.xml", doc(image("1", "<md5>"+strings.Repeat("ab", 16)+"</md5><sha1>"+strings.Repeat("cd", 20)+"</sha1><pdna>AAAA</pdna><pdq>"+a+"</pdq>")+
		image("2", "<pdna>AAAA</pdna>")+image("3", "<md5>zz</md5>")+`<video><id>v</id></video>`+image("", "<md5>"+strings.Repeat("ab", 16)+"</md5>")))
	dir := filepath.Join(t.TempDir(), "l")
	args := []string{"import", dir, file, "--source", "ncmec", "--format", "ncmec", "--effect", "block", "--restricted"}
	out, errOut := call(t, 1, args...)
	wants(t, out, "5 entries, 1 added, 0 unchanged, 0 ended, 4 refused")
	wants(t, errOut, "none of md5, sha1, pdq", "a video", "member or id is missing")
	call(t, 3, "check", "-l", dir, a)
	out, _ = call(t, 0, "inspect", dir)
	wants(t, out, "1 rules, 2 addresses and files, 1 hashes")
	out, _ = call(t, 0, "import", "list", dir)
	wants(t, out, "restricted")
	call(t, 0, "check", "-l", dir, dogs)
	args[2] = write(t, "s.xml", doc(image("9", fmt.Sprintf("<md5>%x</md5>", md5.Sum(data)))))
	call(t, 0, args...)
	call(t, 3, "check", "-l", dir, dogs)
	args[2] = write(t, "b.xml", doc(`<deletedImage><member id="42">M</member><id>1</id><timestamp>2026-01-02T00:00:00Z</timestamp></deletedImage>`))
	out, _ = call(t, 0, args...)
	wants(t, out, "1 ended")
	call(t, 0, "check", "-l", dir, a)
	for name, text := range map[string]string{
		"cut": doc(image("1", "<pdq>"+a+"</pdq>"))[:300], "empty": "", "other": "<a/>", "no namespace": "<queryResult><images/></queryResult>",
		"entities": `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]>` + doc(image("&x;", "<pdq>"+a+"</pdq>")),
		"endless":  doc(image("1", "<md5>"+strings.Repeat("a", 3<<20)+"</md5>")),
	} {
		var o, e bytes.Buffer
		if code := run(t.Context(), []string{"import", dir, write(t, "x", text), "--source", name, "--format", "ncmec", "--effect", "block"}, nil, &o, &e); code != 1 || e.Len() == 0 {
			t.Errorf("%s: exit code %d, %s%s", name, code, o.String(), e.String())
		}
	}
}

func TestImport_Addresses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "l")
	file := write(t, "a.txt", "! title\nbad.example\n*.worse.example\n||ads.example^\n0.0.0.0 sink.example\nhttps://social.example/u/jane/*\nhttps://one.example/a.jpg\ngithub.io\nco.uk\nsomeone.github.io\nhttps://x.example/a*b\nexample.com/pic*\ntwo words here\n/regex/\n")
	out, errOut := call(t, 1, "import", dir, file, "--source", "hosts", "--format", "patterns", "--effect", "block")
	wants(t, out, "13 entries, 7 added, 0 unchanged, 0 ended, 6 refused")
	wants(t, errOut, "line 8 refused", "line 9 refused", "shared")
	for target, code := range map[string]int{
		"https://bad.example/x.png": 3, "https://cdn.bad.example/": 3, "https://worse.example/": 3, "https://ads.example/1": 3, "http://sink.example/2": 3,
		"https://social.example/u/jane/1.jpg": 3, "https://social.example/u/janet/1.jpg": 0, "https://one.example/a.jpg": 3, "https://one.example/b.jpg": 0,
		"https://someone.github.io/": 3, "https://other.github.io/": 0, "https://example.co.uk/": 0,
	} {
		call(t, code, "check", "-l", dir, target)
	}
	pages := write(t, "p.txt", "https://forum.example/thread/1\nnot an address\n")
	call(t, 1, "import", dir, pages, "--source", "pages", "--format", "pages", "--effect", "review")
	call(t, 4, "check", "-l", dir, "--page", "https://forum.example/thread/1")
	call(t, 0, "check", "-l", dir, "https://forum.example/thread/1")
	sums := write(t, "s.txt", strings.Repeat("ab", 32)+"  a.jpg\n"+strings.Repeat("AB", 20)+"\n"+strings.Repeat("12", 16)+"\nxyz\n")
	out, _ = call(t, 1, "import", dir, sums, "--source", "sums", "--format", "digests", "--effect", "block")
	wants(t, out, "4 entries, 3 added")
}

func TestExport(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	a, b := pdqText(r), pdqText(r)
	dir := filepath.Join(t.TempDir(), "l")
	call(t, 0, "import", dir, write(t, "a.txt", a+"\n"), "--source", "one", "--format", "pdq", "--effect", "block")
	call(t, 0, "import", dir, write(t, "b.txt", b+"\n"), "--source", "two", "--format", "pdq", "--effect", "review", "--turned")
	sum := strings.Repeat("ab", 32)
	call(t, 0, "import", dir, write(t, "c.txt", sum+"\n"), "--source", "three", "--format", "digests", "--effect", "block")
	out, _ := call(t, 0, "export", dir, "--format", "pdq")
	wants(t, out, "hash,quality,rule,case,effect\n"+a+",,1,", ",block\n"+b+",,2,", ",review\n")
	if n := strings.Count(out, "\n"); n != 3 {
		t.Errorf("%d lines", n)
	}
	// What is exported is what is imported.
	file := write(t, "again.csv", out)
	again := filepath.Join(t.TempDir(), "again")
	call(t, 0, "import", again, file, "--source", "x", "--format", "pdq", "--effect", "block")
	call(t, 3, "check", "-l", again, a, b)
	out, _ = call(t, 0, "export", dir, "--format", "pdq", "--source", "two")
	if strings.Contains(out, a) {
		t.Error("of another source")
	}
	out, _ = call(t, 0, "export", dir, "--format", "digests")
	if out != sum+"\n" {
		t.Errorf("%q", out)
	}
	out, _ = call(t, 0, "export", dir, "--format", "stopncii-feedback")
	wants(t, out, `"count":2`, `{"hashValue":"`+a+`","feedbackValue":"Blocked"`, `{"hashValue":"`+b+`","feedbackValue":"PendingReview"`)
	// A reviewer finds that b matches other pictures.
	l, err := boltjournal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventException, Target: 2, Keys: blocklist.Keys{Bytes: [][32]byte{{1}}}}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	out, _ = call(t, 0, "export", dir, "--format", "stopncii-feedback", "--source", "two")
	wants(t, out, `"NotBlocked"`)
	call(t, 1, "export", dir, "--format", "pdq", "--source", "nobody")
	call(t, 1, "export", dir, "--format", "lumen")
	call(t, 1, "export", t.TempDir(), "--format", "pdq")
}

func TestExport_Lumen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "desk")
	d, err := desk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	agreed := request.Statement{Text: "I agree.", Accepted: time.Now()}
	c, err := d.Submit(t.Context(), request.DMCANotice{
		Requester: request.Requester{GivenName: "Jane", FamilyName: "Roe", Email: "jane@example.org", PostalAddress: "1 Road", Phone: "+4930123456", Country: "DE"},
		Works:     []request.Work{{Description: "A photograph of two dogs.", Original: "https://jane.example/dogs.jpg"}},
		ImageURLs: []string{"https://copy.example/dogs.jpg"}, GoodFaith: agreed, Accurate: agreed,
		Authorised: agreed, Signature: "Jane Roe",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	out, _ := call(t, 0, "export", dir, "--format", "lumen")
	wants(t, out, `"type":"DMCA"`, c.ID.String(), "https://copy.example/dogs.jpg", `"description":"`+redacted, redacted)
	if strings.Contains(out, "Roe") || strings.Contains(out, "jane@") || strings.Contains(out, "two dogs") {
		t.Errorf("a person is named: %s", out)
	}
	out, _ = call(t, 0, "export", dir, "--format", "lumen", "--with-names")
	wants(t, out, "Jane Roe", "two dogs")
	call(t, 2, "import", dir, "x", "--source", "x", "--format", "pdq", "--effect", "block")
}
