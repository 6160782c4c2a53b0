package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// painterScript stands in for python3 and draw.py: what it draws has known answers.
// The copy "same" is the original, "mistaken" shows another photograph; the
// members of "apart" are different photographs, those of "alike" one photograph.
const painterScript = `#!/bin/sh
case "$*" in
*--list)
	printf 'drawn\tsame\tjpg\tknown\n'
	printf 'drawn\tmistaken\tjpg\tevading\n'
	printf 'drawn\tapart\tjpg\tfamily\n'
	printf 'drawn\talike\tjpg\tfamily\n'
	printf 'drawn\tdoc_same\tjpg\tdocument\n'
	exit ;;
esac
tab=$(printf '\t')
while IFS=$tab read -r what set name of out; do
	echo "$what" >>"$DRAWN"
	case $what-$name in
	copy-mistaken) cp "$PHOTOS/nobody.jpg" "$out" ;;
	member-apart) cp "$PHOTOS/$of.jpg" "$out" ;;
	member-alike) cp "$PHOTOS/1.jpg" "$out" ;;
	*) cp "$of" "$out" ;;
	esac && echo ok
done
`

// corpus makes a corpus of photographs of the quickstart.
func corpus(t *testing.T) *options {
	t.Helper()
	dir := t.TempDir()
	put := func(from, to string) {
		b, err := os.ReadFile(filepath.Join("../../../examples/quickstart/photos", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("chicky.jpg", "originals/chicky.jpg")
	put("graf3.jpg", "originals/graf3.jpg")
	put("dogs.jpg", "innocent/dogs.jpg")
	put("graf3.jpg", "photos/0.jpg")
	put("dogs.jpg", "photos/1.jpg")
	put("graf3.jpg", "photos/nobody.jpg")
	t.Setenv("PHOTOS", filepath.Join(dir, "photos"))
	t.Setenv("DRAWN", filepath.Join(dir, "drawn.txt"))
	t.Setenv("STAYDOWN_SHARED", filepath.Join(dir, "none"))
	painter := filepath.Join(dir, "painter")
	if err := os.WriteFile(painter, []byte(painterScript), 0o755); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"-corpus", dir, "-half", "both", "-members", "2", "-j", "2", "-python", painter, "-out", filepath.Join(dir, "out")})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// The whole tool on material whose answers are known.
func TestRun(t *testing.T) {
	o := corpus(t)
	if err := run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(o.out, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	report := read("report.md")
	for _, want := range []string{
		"| copies of known kinds | 2 | 100 (34.2–100) | 0 | 0 | 0 | 100 (34.2–100) | 0 | 0 |",
		"| mistaken | 2 | 50 (9.5–90.5) | 0 | 0 | 50 |", // the other original is what it shows
		"| true copies of documents and templates | 4 | 100 (51–100) |",
		"| alike | 2 | 100 (34.2–100) | 0 | 100 (34.2–100) | 100 | 0 of 2 | 2 | 100 | 100 |",
		"| apart | 2 | 0 (0–65.8) | 0 | 0 (0–65.8) | 0 | 0 of 2 | 2 | 100 | 100 |",
		"| innocent | 1 | 0 (0–79.3) | 0 (0–79.3) | 0 (0–79.3) | 0 | 0 (0–79.3) |",
		"1 of 2 families",
		"Registered photographs: 2; hash refused or narrowed 0 ",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(report)
	}
	if n := strings.Count(read("worst.html"), "data:image/jpeg;base64,"); n != 6 {
		t.Errorf("%d pictures of the worst answers, want 6: one wrong copy, two of a family", n)
	}
	resumed(t, o, report, read)
}

// resumed checks that a second run draws and asks nothing, also when the first
// was ended within a line, and that it finds no change.
func resumed(t *testing.T, o *options, report string, read func(string) string) {
	path := filepath.Join(o.out, "results.tsv")
	first := read("results.tsv")
	drawn, err := os.ReadFile(os.Getenv("DRAWN"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(drawn, []byte("\n")); n != 12 {
		t.Errorf("%d pictures drawn, want 4 copies, 4 members and 4 copies of these", n)
	}
	if err := os.WriteFile(path, []byte(first+"copies\tknown\tto"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if again := read("results.tsv"); again != first {
		t.Errorf("the second run changed the results:\n%s\nwere\n%s", again, first)
	}
	tables := func(s string) string { s, _, _ = strings.Cut(s, "\nCost"); return s }
	if got := tables(read("report.md")); got != tables(report) {
		t.Errorf("the second report is another one:\n%s", got)
	}
	if now, err := os.ReadFile(os.Getenv("DRAWN")); err != nil || !bytes.Equal(now, drawn) {
		t.Errorf("the second run drew again: %v", err)
	}
	rows, err := readResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := compare(rows, rows); !strings.Contains(got, fmt.Sprintf("%d questions of both, 0 answers changed", 13)) {
		t.Errorf("compared with itself: %s", got)
	}
}

func TestCompare(t *testing.T) {
	was := []row{{side: "copies", name: "k", registered: "a", asked: "a", crawler: answer{verdict: "block", of: "a"}, ranker: answer{verdict: "allow"}}}
	is := []row{was[0]}
	is[0].crawler = answer{verdict: "review", of: "a"}
	got := compare(was, is)
	for _, want := range []string{
		"1 questions of both, 1 answers changed",
		"| copies k | 1 | 1 → 0 | 0 → 1 | 0 → 0 | 0 → 0 | 0 → 0 |",
		"- copies k, a ← a: crawler block → review, ranker allow → allow",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the comparison lacks %q:\n%s", want, got)
		}
	}
}

// Values of Wilson's interval from Brown, Cai and DasGupta, Statistical Science
// 16 (2001), and the rule of three for none.
func TestWilson(t *testing.T) {
	for _, tt := range []struct {
		k, n      int
		low, high float64
	}{{0, 10, 0, 27.75}, {5, 10, 23.66, 76.34}, {10, 10, 72.25, 100}, {1, 552, 0.03, 1.02}, {0, 0, 0, 100}} {
		low, high := wilson(tt.k, tt.n)
		if math.Abs(low-tt.low) > 0.01 || math.Abs(high-tt.high) > 0.01 {
			t.Errorf("wilson(%d, %d) = %.2f, %.2f, want %.2f, %.2f", tt.k, tt.n, low, high, tt.low, tt.high)
		}
	}
}

// The halves must never change: what was chosen on one must not be judged on it
// later. Photographs of one series are in one half.
func TestHalfOf(t *testing.T) {
	for name, want := range map[string]half{
		"certificate": choose, "id_card": choose, "boarding_pass": judge, "qr_code": judge,
		"tabler_modern-home-office.jpg": halfOf("tabler_modern-home-office-12.jpg"),
	} {
		if got := halfOf(name); got != want {
			t.Errorf("halfOf(%q) = %v, want %v", name, got, want)
		}
	}
	n := 0
	for i := range 1000 {
		if halfOf(fmt.Sprintf("family%dx", i)) == judge {
			n++
		}
	}
	if n < 440 || n > 560 {
		t.Errorf("%d of 1000 names in one half", n)
	}
}

// What is drawn here can be drawn: every family and kind, if the machine has
// what they are drawn with.
func TestDraw(t *testing.T) {
	o, err := parse([]string{"-corpus", t.TempDir(), "-tools", ""})
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command(o.python, drawArgs(o, "--list")...).Output()
	if err != nil {
		t.Skipf("skipped: draw.py needs packages that are not here: scripts/setup corpus: %v", err)
	}
	ps, err := newPainters(t.Context(), o, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer ps.close()
	dir, groups := t.TempDir(), map[string]int{}
	for line := range strings.Lines(string(list)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		groups[f[3]]++
		out := filepath.Join(dir, f[1]+"."+f[2])
		switch f[3] {
		case "family":
			err = ps.draw(out, "member", f[0], f[1], "0")
		case "document":
			err = ps.draw(out, "again", f[0], f[1], filepath.Join(dir, "bingo_card.jpg"))
		default:
			err = ps.draw(out, "copy", f[0], f[1], "../../../examples/quickstart/photos/graf3.jpg")
		}
		if err != nil {
			t.Fatal(err)
		}
		if c, err := look(out); err != nil || len(c.Hashes) == 0 {
			t.Errorf("%s: %d hashes, %v", out, len(c.Hashes), err)
		}
	}
	if groups["family"] < 10 || groups["realistic"] < 6 || groups["document"] < 6 {
		t.Errorf("too little is drawn: %v", groups)
	}
}
