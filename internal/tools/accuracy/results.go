package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// answer is what the list says of a picture.
type answer struct {
	verdict, why string
	of           string // the registered picture that is named; empty for none
	distance     int
	points       int
	coverage     float64
}

// row is a question and its answers, or what became of a registration.
type row struct {
	side       string // copies, families, documents, unrelated, registered
	group      string // known, realistic, evading; else the side
	set, name  string // the kind or family
	registered string
	asked      string
	crawler    answer
	ranker     answer // by one stored hash
	parts      answer // by the hashes of parts, too
	note       string // why a registration was refused
	risks      string // codes, with commas
}

// key names the question.
func (r *row) key() string {
	return strings.Join([]string{r.side, r.set, r.name, r.registered, r.asked}, "\t")
}

// block, review and missed class an answer; wrong is one that names another
// picture than the registered one, where only that counts.
type outcome uint8

const (
	missed outcome = iota
	review
	block
	wrong
)

func (r *row) outcome(a *answer) outcome {
	switch {
	case a.verdict == "allow":
		return missed
	case r.side == "copies" && a.of != r.registered:
		return wrong
	case a.verdict == "review":
		return review
	}
	return block
}

var columns = []string{"side", "group", "set", "name", "registered", "asked",
	"crawler", "why", "of", "distance", "points", "coverage", "ranker", "ranker_of", "ranker_distance", "risks", "note",
	"parts", "parts_of", "parts_distance"}

// columnsBefore is the number of columns before there were parts.
const columnsBefore = 17

func (r *row) String() string {
	return strings.Join([]string{
		r.side, r.group, r.set, r.name, r.registered, r.asked,
		r.crawler.verdict, r.crawler.why, r.crawler.of, strconv.Itoa(r.crawler.distance), strconv.Itoa(r.crawler.points),
		strconv.FormatFloat(r.crawler.coverage, 'f', 3, 64),
		r.ranker.verdict, r.ranker.of, strconv.Itoa(r.ranker.distance), r.risks, r.note,
		r.parts.verdict, r.parts.of, strconv.Itoa(r.parts.distance),
	}, "\t")
}

func parseRow(line string) (row, error) {
	f := strings.Split(line, "\t")
	if len(f) == columnsBefore {
		f = append(f, f[12:15]...)
	}
	if len(f) != len(columns) {
		return row{}, fmt.Errorf("%d columns, want %d", len(f), len(columns))
	}
	var errs error
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			errs = err
		}
		return n
	}
	coverage, err := strconv.ParseFloat(f[11], 64)
	if err != nil {
		errs = err
	}
	r := row{side: f[0], group: f[1], set: f[2], name: f[3], registered: f[4], asked: f[5],
		crawler: answer{f[6], f[7], f[8], number(f[9]), number(f[10]), coverage},
		ranker:  answer{verdict: f[12], of: f[13], distance: number(f[14])}, risks: f[15], note: f[16],
		parts: answer{verdict: f[17], of: f[18], distance: number(f[19])}}
	return r, errs
}

// results are the rows of a run and the file that they are kept in.
type results struct {
	mu   sync.Mutex
	rows []row
	have map[string]bool
	file *os.File
}

// openResults goes on with the file of an earlier run of that identity, or
// begins another one.
func openResults(path, identity string) (*results, error) {
	r := &results{have: map[string]bool{}}
	head := "# " + identity + "\n" + strings.Join(columns, "\t") + "\n"
	old, err := os.ReadFile(path)
	if err == nil && strings.HasPrefix(string(old), head) {
		whole := old[:strings.LastIndexByte(string(old), '\n')+1] // the last line may be torn
		if err := r.read(string(whole[len(head):])); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		head = string(whole)
	} else if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if r.file, err = os.Create(path); err != nil {
		return nil, err
	}
	_, err = r.file.WriteString(head)
	return r, err
}

func (r *results) read(lines string) error {
	for line := range strings.Lines(lines) {
		row, err := parseRow(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return err
		}
		r.rows = append(r.rows, row)
		r.have[row.key()] = true
	}
	return nil
}

// readResults reads the file of another run.
func readResults(path string) ([]row, error) {
	f, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(f), "\n")
	_, rest, _ = strings.Cut(rest, "\n")
	r := &results{have: map[string]bool{}}
	if err := r.read(rest); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r.rows, nil
}

// has reports whether a question was answered before.
func (r *results) has(q *row) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.have[q.key()]
}

// add keeps answers, all of them or none.
func (r *results) add(rows ...row) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := bufio.NewWriter(r.file)
	for _, row := range rows {
		if !r.have[row.key()] {
			r.have[row.key()] = true
			r.rows = append(r.rows, row)
			fmt.Fprintln(w, row.String())
		}
	}
	return w.Flush()
}

// only keeps the rows that were asked for in this run, of those that the file
// has, in an order that does not depend on which came first.
func (r *results) only(asked map[string]bool) {
	r.rows = slices.DeleteFunc(r.rows, func(q row) bool { return !asked[q.key()] })
	slices.SortFunc(r.rows, func(a, b row) int { return strings.Compare(a.key(), b.key()) })
}

func (r *results) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
