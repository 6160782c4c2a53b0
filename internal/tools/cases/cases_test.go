package cases

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash/avif"
)

var update = flag.Bool("update", false, "write known.tsv as the cases fail now, keeping the issues in it")

// result is how one case went.
type result struct {
	id     string // folder and asked file
	passed bool
	want   string
	got    string
	note   string
}

// question is a row of an expect.tsv.
type question struct {
	dir, registered, asked, want, flags, ranker string
}

func (q question) id() string { return q.dir + "/" + q.asked }

// TestCases asks all cases and compares what fails with known.tsv.
func TestCases(t *testing.T) {
	t.Parallel()
	root := sharedtest.Path(t, "cases")
	var mu sync.Mutex
	var all []result
	add := func(r result) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r)
	}
	risks := risksOf(t)
	if _, err := avif.Decode(read(t, filepath.Join(root, "decoding", "26-desk-decoder", "scene.avif")), 1<<20); err != nil {
		t.Fatal(err)
	}
	t.Run("ask", func(t *testing.T) {
		for registered, questions := range byRegistration(readQuestions(t, root)) {
			t.Run(registered, func(t *testing.T) {
				t.Parallel()
				r := register(t, read(t, filepath.Join(root, registered)))
				for _, q := range questions {
					a := r.ask(t, read(t, filepath.Join(root, q.dir, q.asked)), q.flags)
					add(q.judge(t, r, a, risks[registered]))
				}
			})
		}
		for id, f := range functions {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				got, passed := f(t, func(name string) []byte { return read(t, filepath.Join(root, id, name)) })
				add(result{id: id, passed: passed, got: got})
			})
		}
	})
	if t.Failed() {
		return
	}
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.id, b.id) })
	if testing.Verbose() {
		t.Log("\n" + table(all))
	}
	compare(t, all)
}

// judge says whether the answers are right. A registration with a warning passes
// where the case allows it, and only by a risk that belongs to it. A registration
// that was refused for another reason never passes: that nothing is blocked then
// is no right answer.
func (q question) judge(t *testing.T, r registration, a answers, risks []string) result {
	want, got := q.want, a.crawler.String()
	if q.ranker != "" {
		want += ", ranker " + q.ranker
		got += ", ranker " + a.ranker.String()
	}
	passed := r.refused == nil && right(t, q.want, a.crawler) && right(t, q.ranker, a.ranker)
	note := a.note
	mayWarn := strings.Contains(q.flags, "warned")
	if mayWarn && len(risks) == 0 {
		t.Fatalf("%s may pass by a warning, and risks.tsv has no line for what is registered", q.id())
	}
	if mayWarn || r.refused != nil {
		for _, w := range r.warnings {
			passed = passed || slices.Contains(risks, w)
		}
	}
	if len(r.warnings) > 0 {
		got += ", warned " + strings.Join(r.warnings, "+")
	}
	if r.refused != nil {
		got += ", refused"
		note = r.refused.Error()
	}
	return result{q.id(), passed, want, got, strings.ReplaceAll(note, "\n", " ")}
}

func readQuestions(t *testing.T, root string) []question {
	t.Helper()
	var all []question
	files, err := filepath.Glob(filepath.Join(root, "decoding", "*", "expect.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"recognition", "registration"} {
		files = append(files, filepath.Join(root, name, "expect.tsv"))
	}
	for _, file := range files {
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range rows(t, file, 3) {
			f = append(f, "", "")
			all = append(all, question{dir, f[0], f[1], f[2], f[3], f[4]})
		}
	}
	if len(all) < 80 {
		t.Fatalf("only %d cases below %s", len(all), root)
	}
	return all
}

// byRegistration groups the questions by the file to register, so that it is
// registered once.
func byRegistration(all []question) map[string][]question {
	m := map[string][]question{}
	for _, q := range all {
		file := filepath.Join(q.dir, q.registered)
		m[file] = append(m[file], q)
	}
	return m
}

// compare holds what fails against known.tsv, in both directions.
func compare(t *testing.T, all []result) {
	t.Helper()
	const file = "known.tsv"
	issues := map[string]string{}
	for _, f := range rows(t, file, 3) {
		issues[f[0]] = f[2]
	}
	if *update {
		var b strings.Builder
		b.WriteString("# Case, the answer it gets today, and the issue that will mend it.\n")
		for _, r := range all {
			if !r.passed {
				fmt.Fprintf(&b, "%s\t%s\t%s\n", r.id, r.got, cmp.Or(issues[r.id], "?"))
			}
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	failed := 0
	for _, r := range all {
		_, known := issues[r.id]
		delete(issues, r.id)
		switch {
		case !r.passed:
			failed++
			if !known {
				t.Errorf("%s: want %s, got %s: %s", r.id, r.want, r.got, r.note)
			}
		case known:
			t.Errorf("%s passes now: delete its line from %s", r.id, file)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(issues)) {
		t.Errorf("%s has a case that does not exist: %s", file, id)
	}
	t.Logf("%d cases, %d fail", len(all), failed)
}

func table(all []result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range all {
		word := "FAIL"
		if r.passed {
			word = "pass"
		}
		fmt.Fprintf(w, "%s\t%s\twant %s\tgot %s\t%s\n", word, r.id, cmp.Or(r.want, "it to work"), r.got, r.note)
	}
	w.Flush()
	return b.String()
}

// risksOf reads risks.tsv: the registered file, and the codes that fit it.
func risksOf(t *testing.T) map[string][]string {
	m := map[string][]string{}
	for _, f := range rows(t, "risks.tsv", 2) {
		m[f[0]] = append(m[f[0]], f[1])
	}
	return m
}

// TestOrdinary registers ordinary photographs: they are accepted without a
// warning, and found again.
func TestOrdinary(t *testing.T) {
	t.Parallel()
	photos := rows(t, "ordinary.txt", 1)
	if len(photos) < 20 {
		t.Fatalf("only %d photographs", len(photos))
	}
	for _, f := range photos {
		t.Run(f[0], func(t *testing.T) {
			t.Parallel()
			file := read(t, sharedtest.Path(t, "photos", f[0]))
			r := register(t, file)
			if len(r.warnings) > 0 || r.refused != nil {
				t.Errorf("warned of %v, refused: %v", r.warnings, r.refused)
			}
			if a := r.ask(t, file, ""); !right(t, "block", a.crawler) || !right(t, "block", a.ranker) {
				t.Errorf("its own file: %v, ranker %v: %s", a.crawler, a.ranker, a.note)
			}
		})
	}
}

// rows reads a file with tabs between columns. Lines that begin with # say
// something about the file.
func rows(t *testing.T, file string, columns int) (all [][]string) {
	t.Helper()
	for line := range strings.Lines(string(read(t, file))) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) < columns {
			t.Fatalf("%s: %q has %d columns, want %d", file, line, len(f), columns)
		}
		all = append(all, f)
	}
	return all
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
