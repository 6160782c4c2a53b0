package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// sweepCmd goes through an index.
type sweepCmd struct {
	listFlags
	Source  string `arg:"" help:"A folder with pictures, a CSV file with a head (columns key, url, page, file, hash, sha256; others are ignored), or a file of JSON Lines with these fields." predictor:"file"`
	CSV     string `help:"Write what was found to this CSV file instead of printing it." placeholder:"FILE" name:"csv"`
	HTML    string `help:"Write a page with small pictures of what was found." placeholder:"FILE" name:"html"`
	State   string `help:"Keep the position here. A sweep that was interrupted continues; a sweep after a complete one looks only for what the list got since." placeholder:"FILE"`
	Workers int    `help:"Pictures that are looked at at the same time; 0 is one for each core." default:"0"`
}

// Help is shown below the usage.
func (sweepCmd) Help() string {
	return `Looks at every picture of a folder and its subfolders, or at every row of a table. A row needs at least one of url, page,
file, hash and sha256; several hashes are separated by spaces, in JSON Lines they are a list. Files are relative to the
folder of the table. The sweep only reports: it deletes nothing.

  staydown sweep --list blocklist.snap photos/ --csv found.csv --html found.html --state sweep.json
  staydown sweep --list blocklist.snap index.csv --json

The file of --csv has the key, the verdict, how the picture was recognised, the rule and its case. A sweep with --state
and --csv that is started again continues both files.`
}

// sweepRow is what is known of an entry of an index.
type sweepRow struct {
	Key    string       `json:"key"`
	URL    string       `json:"url"`
	Page   string       `json:"page"`
	File   string       `json:"file"`
	Hash   []phash.Hash `json:"hash"`
	SHA256 string       `json:"sha256"`
	// Candidate, unless nil, is the whole candidate as takedown writes it.
	Candidate *takedown.Candidate `json:"candidate"`
	err       error
}

// sweepFound is an entry that was found.
type sweepFound struct {
	Key      string            `json:"key"`
	Decision takedown.Decision `json:"decision"`
	URL      string            `json:"url,omitempty"`
	File     string            `json:"file,omitempty"`
}

// sweepState is what --state keeps.
type sweepState struct {
	Source string            `json:"source"`
	Lists  map[string]string `json:"lists"` // id by name
	Cursor takedown.Cursor   `json:"cursor"`
	// Bytes is the length of the CSV file up to the position.
	Bytes    int64 `json:"csv_bytes"`
	Looked   int   `json:"looked"`
	Complete bool  `json:"complete"`
}

// sweepJob is a row with its place in the order.
type sweepJob struct {
	index int
	row   sweepRow
}

// sweeper hands rows to workers and takes their results back in order.
type sweeper struct {
	c   *sweepCmd
	a   *app
	e   *takedown.Enforcer
	bar *progressbar.ProgressBar

	mu    sync.Mutex
	next  func() (sweepRow, bool)
	taken int
	done  int                // results that were written, in order
	wait  map[int]*sweepDone // results behind a row that is not finished
	state sweepState
	saved time.Time

	file    *os.File // of --csv
	rows    *csv.Writer
	counts  map[takedown.Verdict]int
	looked  int
	problem error
}

// sweepDone is the result of a row.
type sweepDone struct {
	key   string
	found *sweepFound
	err   error
}

func (c *sweepCmd) Run(a *app) error {
	e, lists, err := c.enforcer(a.ctx)
	if err != nil {
		return err
	}
	defer closeLists(lists)
	s := &sweeper{c: c, a: a, e: e, wait: map[int]*sweepDone{}, counts: map[takedown.Verdict]int{}}
	s.state = sweepState{Source: c.Source, Lists: map[string]string{}}
	for _, l := range lists {
		id := l.List.Info().ID
		s.state.Lists[l.Name] = hex.EncodeToString(id[:])
	}
	if err := s.restore(); err != nil {
		return err
	}
	rows, total, err := c.rows(a)
	if err != nil {
		return err
	}
	next, stop := iter.Pull(rows)
	defer stop()
	s.next = func() (sweepRow, bool) {
		for {
			r, ok := next()
			if !ok || s.state.Cursor.After == "" || r.Key > s.state.Cursor.After {
				return r, ok
			}
		}
	}
	if err := s.openCSV(); err != nil {
		return err
	}
	s.bar = a.progress(total, "pictures")
	err = s.run(a.ctx)
	s.bar.Finish()
	if err := errors.Join(err, s.closeCSV()); err != nil {
		return err
	}
	s.summary()
	if c.HTML != "" {
		return c.page(a)
	}
	return nil
}

// progress is a bar on the terminal, or nothing if there is none.
func (a *app) progress(total int, what string) *progressbar.ProgressBar {
	f, ok := a.errOut.(*os.File)
	if a.Quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return progressbar.DefaultSilent(int64(total))
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(f), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(what), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// restore reads --state.
func (s *sweeper) restore() error {
	if s.c.State == "" {
		return nil
	}
	b, err := os.ReadFile(s.c.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var old sweepState
	if err := json.Unmarshal(b, &old); err != nil || old.Source == "" {
		return fmt.Errorf("%s: not the position of a sweep", s.c.State)
	}
	if old.Source != s.c.Source {
		return fmt.Errorf("%s: the position of a sweep of %s", s.c.State, old.Source)
	}
	for name, id := range s.state.Lists {
		if was, ok := old.Lists[name]; ok && was != id {
			return fmt.Errorf("%s: the position in another list; delete the file to begin anew", s.c.State)
		}
	}
	old.Lists = s.state.Lists
	if old.Complete { // a new sweep, for what is new
		old.Complete, old.Bytes, old.Looked = false, 0, 0
	}
	s.state = old
	return nil
}

// save writes --state.
func (s *sweeper) save() error {
	if s.c.State == "" {
		return nil
	}
	if s.rows != nil {
		s.rows.Flush()
		if err := errors.Join(s.rows.Error(), s.file.Sync()); err != nil {
			return err
		}
		at, err := s.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		s.state.Bytes = at
	}
	b, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	s.saved = time.Now()
	return replaceFile(s.c.State, b)
}

// replaceFile writes a file in one step.
func replaceFile(path string, data []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// csvHead are the columns of --csv.
var csvHead = []string{"key", "verdict", "why", "list", "rule", "case", "distance", "coverage", "weak", "url", "file", "error"}

// openCSV opens --csv at the position of --state.
func (s *sweeper) openCSV() (err error) {
	if s.c.CSV == "" {
		return nil
	}
	flags := os.O_RDWR | os.O_CREATE
	if s.c.State == "" {
		flags |= os.O_TRUNC
	}
	if s.file, err = os.OpenFile(s.c.CSV, flags, 0o600); err != nil {
		return err
	}
	if fi, err := s.file.Stat(); err != nil || fi.Size() < s.state.Bytes {
		return errors.Join(err, s.file.Close(), fmt.Errorf("%s is shorter than at the position of --state; delete that to begin anew", s.c.CSV))
	}
	if err := s.file.Truncate(s.state.Bytes); err != nil {
		return err
	}
	if _, err := s.file.Seek(s.state.Bytes, io.SeekStart); err != nil {
		return err
	}
	s.rows = csv.NewWriter(s.file)
	if s.state.Bytes == 0 {
		return s.rows.Write(csvHead)
	}
	return nil
}

func (s *sweeper) closeCSV() error {
	if s.rows == nil {
		return nil
	}
	s.rows.Flush()
	return errors.Join(s.rows.Error(), s.file.Sync(), s.file.Close())
}

// run lets the workers sweep.
func (s *sweeper) run(ctx context.Context) error {
	workers := cmp.Or(s.c.Workers, runtime.NumCPU())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin := s.state.Cursor
	if begin.Next == nil { // that of the list as it is now, for all workers
		for _, err := range s.e.Sweep(ctx, func(context.Context, string) iter.Seq2[takedown.Item, error] {
			return func(yield func(takedown.Item, error) bool) { yield(takedown.Item{}, errStop) }
		}, &begin) {
			if !errors.Is(err, errStop) {
				return err
			}
		}
		s.state.Cursor.Next = begin.Next
	}
	ends := make([]takedown.Cursor, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			ends[i] = takedown.Cursor{Seen: begin.Seen, Next: begin.Next}
			if err := s.work(ctx, &ends[i]); err != nil {
				s.mu.Lock()
				s.problem = cmp.Or(s.problem, err)
				s.mu.Unlock()
				cancel()
			}
		})
	}
	wg.Wait()
	if s.problem != nil {
		if err := s.save(); err != nil {
			return err
		}
		if s.c.State != "" {
			return fmt.Errorf("interrupted; the same command continues from there: %w", s.problem)
		}
		return s.problem
	}
	s.state.Cursor, s.state.Complete = ends[0], true
	return s.save()
}

var errStop = errors.New("stop")

// work is one worker.
func (s *sweeper) work(ctx context.Context, at *takedown.Cursor) error {
	var now *sweepDone
	items := func(ctx context.Context, _ string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			for {
				job, ok := s.take()
				if !ok || ctx.Err() != nil {
					return
				}
				now = &sweepDone{key: job.row.Key}
				c, err := s.c.look(ctx, &job.row)
				if now.err = err; ctx.Err() != nil {
					return
				}
				if !yield(takedown.Item{Key: job.row.Key, Candidate: c}, nil) {
					return
				}
				if now.found == nil && c.Undecodable && at.Seen == nil { // nothing matches, but it was not compared either
					if d := s.e.Check(c); d.Verdict > takedown.Allow {
						now.found = &sweepFound{Key: now.key, Decision: d}
					}
				}
				if now.found != nil {
					now.found.URL, now.found.File = job.row.URL, job.row.File
				}
				if err := s.finish(job.index, now); err != nil {
					yield(takedown.Item{}, err)
					return
				}
			}
		}
	}
	for f, err := range s.e.Sweep(ctx, items, at) {
		if err != nil {
			return err
		}
		now.found = &sweepFound{Key: f.Item.Key, Decision: f.Decision}
	}
	return ctx.Err()
}

func (s *sweeper) take() (job sweepJob, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.next()
	job = sweepJob{s.taken, row}
	s.taken++
	return job, ok
}

// finish takes the result of a row, and writes all that are next in order.
func (s *sweeper) finish(index int, d *sweepDone) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait[index] = d
	for {
		d, ok := s.wait[s.done]
		if !ok {
			break
		}
		delete(s.wait, s.done)
		s.done++
		s.looked++
		s.state.Looked++
		s.state.Cursor.After = d.key
		s.bar.Add(1)
		if err := s.write(d); err != nil {
			return err
		}
	}
	if time.Since(s.saved) > 2*time.Second {
		return s.save()
	}
	return nil
}

// write reports a result.
func (s *sweeper) write(d *sweepDone) error {
	if d.err != nil {
		s.a.fail("%s: %v", d.key, d.err)
	}
	if d.found == nil && d.err == nil {
		return nil
	}
	f := d.found
	if f == nil {
		f = &sweepFound{Key: d.key}
	} else {
		s.counts[f.Decision.Verdict]++
		s.a.note(f.Decision.Verdict)
	}
	if s.rows != nil {
		return s.rows.Write(f.record(d.err))
	}
	if d.found != nil {
		s.a.print(f, fmt.Sprintf("%s: %s", f.Key, f.Decision))
	}
	return nil
}

// record is a row of --csv.
func (f *sweepFound) record(err error) []string {
	d, text := f.Decision, ""
	if err != nil {
		text = err.Error()
	}
	row := []string{f.Key, "", "", "", "", "", "", "", "", f.URL, f.File, text}
	if d.Why != 0 || d.Verdict != 0 {
		row[1], row[2], row[3], row[4], row[5], row[8] = d.Verdict.String(), d.Why.String(), d.List, strconv.FormatUint(d.Rule, 10), d.Case.String(), strconv.FormatBool(d.Weak)
		switch d.Why {
		case takedown.TierHash:
			row[6] = strconv.Itoa(d.Distance)
		case takedown.TierFeatures:
			row[7] = strconv.FormatFloat(d.Coverage, 'f', 2, 64)
		}
	}
	for i := range row {
		row[i] = quoteCell(row[i])
	}
	return row
}

// quoteCell puts ' before what spreadsheets would run as a formula: names of files
// are other people's. It does so before ' too, so that unquoteCell knows.
func quoteCell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r'", rune(text[0])) {
		return "'" + text
	}
	return text
}

func unquoteCell(cell string) string { return strings.TrimPrefix(cell, "'") }

func (s *sweeper) summary() {
	if s.a.JSON {
		return
	}
	fmt.Fprintf(s.a.errOut, "%d looked at", s.looked)
	for _, v := range []takedown.Verdict{takedown.Block, takedown.Review, takedown.Restricted} {
		fmt.Fprintf(s.a.errOut, ", %s %d", v, s.counts[v])
	}
	fmt.Fprintln(s.a.errOut)
}

// look makes the candidate of a row. It returns what is known beside an error.
func (c *sweepCmd) look(ctx context.Context, r *sweepRow) (takedown.Candidate, error) {
	var cand takedown.Candidate
	if r.Candidate != nil {
		cand = *r.Candidate
	}
	if r.err != nil {
		return cand, r.err
	}
	if r.File != "" {
		f, err := os.Open(c.path(r.File))
		if err != nil {
			return cand, err
		}
		defer f.Close()
		got, err := takedown.InspectContext(ctx, f, takedown.Source{ImageURL: r.URL, PageURL: r.Page}, &takedown.InspectOptions{Decode: decoding()})
		if undecodable(err) {
			err = nil // the verdict about an image that cannot be decoded is Review
		}
		cand = got
		if err != nil {
			return cand, err
		}
	} else {
		if r.URL != "" {
			cand.ImageURLs = append(cand.ImageURLs, r.URL)
		}
		if r.Page != "" {
			cand.PageURLs = append(cand.PageURLs, r.Page)
		}
	}
	cand.Hashes = append(cand.Hashes, r.Hash...)
	if r.SHA256 != "" {
		sum, err := parseSHA256(r.SHA256)
		if err != nil {
			return cand, err
		}
		cand.SHA256 = sum
	}
	return cand, nil
}

// undecodable reports whether an error is about what a file is. The decision about
// the file takes it into account.
func undecodable(err error) bool {
	return errors.As(err, new(*phash.DecodeError)) || errors.As(err, new(*phash.LeftOutError))
}

func parseSHA256(text string) (sum [32]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(sum) {
		return sum, errors.New("sha256: 64 hex digits are expected")
	}
	return [32]byte(b), nil
}

// path is where a file of a row is.
func (c *sweepCmd) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	if isDir(c.Source) {
		return filepath.Join(c.Source, file)
	}
	return filepath.Join(filepath.Dir(c.Source), file)
}

// rows returns the entries of the source in the order of their keys, and how many
// there are, −1 if that is not known.
func (c *sweepCmd) rows(a *app) (iter.Seq[sweepRow], int, error) {
	if isDir(c.Source) {
		var names []string
		err := filepath.WalkDir(c.Source, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				a.fail("%v", err)
				return nil
			}
			if d.Type().IsRegular() {
				rel, err := filepath.Rel(c.Source, path)
				if err != nil {
					return err
				}
				names = append(names, filepath.ToSlash(rel))
			}
			return a.ctx.Err()
		})
		slices.Sort(names)
		return func(yield func(sweepRow) bool) {
			for _, n := range names {
				if !yield(sweepRow{Key: n, File: n}) {
					return
				}
			}
		}, len(names), err
	}
	f, err := os.Open(c.Source)
	if err != nil {
		return nil, 0, err
	}
	switch ext := strings.ToLower(filepath.Ext(c.Source)); ext {
	case ".csv":
		return csvRows(f), -1, nil
	case ".jsonl", ".ndjson", ".json":
		return jsonRows(f), -1, nil
	}
	f.Close()
	return nil, 0, usagef("%s: neither a folder, nor a file that ends in .csv or .jsonl", c.Source)
}

// maxSweepLine is the longest line of JSON Lines: a candidate with features of many
// frames.
const maxSweepLine = 16 << 20

// rowKey is the key of a line: lines of a file are in the order of their numbers.
func rowKey(n int) string { return fmt.Sprintf("%010d", n) }

func jsonRows(f *os.File) iter.Seq[sweepRow] {
	return func(yield func(sweepRow) bool) {
		defer f.Close()
		sc := bufio.NewScanner(f)
		sc.Buffer(make([]byte, 64<<10), maxSweepLine)
		n := 0
		for sc.Scan() {
			if n++; len(strings.TrimSpace(sc.Text())) == 0 {
				continue
			}
			var r sweepRow
			r.err = json.Unmarshal(sc.Bytes(), &r)
			r.finish(n)
			if !yield(r) {
				return
			}
		}
		if err := sc.Err(); err != nil {
			r := sweepRow{err: err}
			r.finish(n + 1)
			yield(r)
		}
	}
}

// finish gives a row the key by which it is found again.
func (r *sweepRow) finish(n int) {
	if key := rowKey(n); r.Key == "" {
		r.Key = key
	} else {
		r.Key = key + " " + r.Key
	}
	if r.err == nil && r.URL == "" && r.Page == "" && r.File == "" && len(r.Hash) == 0 && r.SHA256 == "" && r.Candidate == nil {
		r.err = errors.New("none of url, page, file, hash, sha256 is set")
	}
}

func csvRows(f *os.File) iter.Seq[sweepRow] {
	return func(yield func(sweepRow) bool) {
		defer f.Close()
		r := csv.NewReader(bufio.NewReaderSize(f, 1<<20))
		r.FieldsPerRecord, r.ReuseRecord, r.LazyQuotes = -1, true, true
		head, err := r.Read()
		column := map[string]int{}
		for i, name := range head {
			column[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
		}
		if err == nil && len(column) > 0 {
			known := false
			for _, name := range []string{"url", "page", "file", "hash", "sha256"} {
				_, ok := column[name]
				known = known || ok
			}
			if !known {
				err = errors.New("the first line names none of the columns url, page, file, hash, sha256")
			}
		}
		for n := 1; ; n++ {
			var record []string
			if err == nil {
				if record, err = r.Read(); errors.Is(err, io.EOF) {
					return
				}
			}
			row := sweepRow{err: err}
			broken := err != nil && !errors.As(err, new(*csv.ParseError))
			field := func(name string) string {
				if i, ok := column[name]; ok && i < len(record) {
					return strings.TrimSpace(record[i])
				}
				return ""
			}
			row.Key, row.URL, row.Page, row.File, row.SHA256 = field("key"), field("url"), field("page"), field("file"), field("sha256")
			for _, text := range strings.Fields(field("hash")) {
				h, err := phash.Parse(text)
				if err != nil {
					row.err = err
					continue
				}
				row.Hash = append(row.Hash, h)
			}
			row.finish(n)
			if !yield(row) || broken {
				return
			}
			err = nil
		}
	}
}
