package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.go": "package a\n\nfunc short() {}\n\nfunc (t T) long(x int) int {\n" + strings.Repeat("\tx++\n", 59) + "\treturn x\n}\n\n" +
			"func branched(x int) int {\n\tswitch x {\n" + strings.Repeat("\tcase 1:\n", 15) + "\t}\n\treturn x\n}\n",
		"a_test.go":        "package a\n\nfunc test() {}\n",
		"testdata/b.go":    "no Go",
		"nested/go.mod":    "module nested\n",
		"nested/b.go":      "no Go",
		"below/c/other.go": "package c\n\nfunc other()\n\nfunc third() {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := read([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	long, branched := count(all)
	if len(all) != 4 || long != 1 || branched != 1 {
		t.Errorf("%d functions, %d long, %d branched; want 4, 1, 1: %+v", len(all), long, branched, all)
	}
	var b strings.Builder
	list(&b, all)
	if want := "  62 lines, complexity  1  " + filepath.ToSlash(dir) + "/a.go:5 long\n"; !strings.HasPrefix(b.String(), want) || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("got\n%swant first %q, and one more", b.String(), want)
	}
	if _, err := read([]string{filepath.Join(dir, "testdata")}); err == nil {
		t.Error("a folder without functions: no error")
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text           string
		long, branched int
		note, err      string
	}{
		{"lines 3\ncomplexity 2\n", 3, 2, "", ""},
		{"lines 3\ncomplexity 2\n", 2, 2, "the ceiling of lines can be lowered from 3 to 2\n", ""},
		{"lines 3\ncomplexity 2\n", 3, 3, "", "3 functions are over the limit of complexity, at most 2 may be"},
		{"lines 3\n", 3, 0, "", `there is no line "complexity"`},
		{"three\n", 3, 0, "", `"three" is not a name and a number`},
	} {
		note, err := hold(test.text, test.long, test.branched)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.err || err == nil && note != test.note {
			t.Errorf("%q, %d, %d: %q, %q; want %q, %q", test.text, test.long, test.branched, note, got, test.note, test.err)
		}
	}
}
