package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/cmd/staydown/internal/exchange"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// importCmds are the commands about lists of others.
type importCmds struct {
	Run      importCmd         `cmd:"" default:"withargs" help:"Import a file (the default: staydown import DIR FILE …)."`
	List     importListCmd     `cmd:"" help:"Show what was imported: each source with its case."`
	Withdraw importWithdrawCmd `cmd:"" help:"End all rules of a source."`
}

// importCmd takes the list of another organisation.
type importCmd struct {
	Dir        string   `arg:"" help:"The folder of the list to import into. It is made if it does not exist." predictor:"file"`
	File       string   `arg:"" help:"The file to import; \"-\" is standard input." predictor:"file"`
	Source     string   `help:"The name of the source. Each source is one case; importing it again brings the case up to date." required:"" placeholder:"NAME"`
	Format     string   `help:"The form of the file: ${formats}." required:"" enum:"${formats}" placeholder:"FORMAT"`
	Effect     string   `help:"What the rules do: block, or hold for review. Entries that their source has not verified are always held for review." required:"" enum:"block,review" placeholder:"block|review"`
	In         []string `help:"Only in these countries, ISO 3166-1 alpha-2." placeholder:"CC"`
	Distance   int      `help:"The largest distance of a match of a hash, in bits; −1 for that of the enforcer." default:"-1" placeholder:"BITS" name:"max-distance"`
	Turned     bool     `help:"Also register the hashes of mirrored and turned copies, as far as they follow from the hash. It takes eight times the memory."`
	Restricted bool     `help:"Mark the source as child safety or otherwise restricted: serve then blocks without naming rule and case, and hosts keep its matches from their ordinary reviewers."`
	Sync       bool     `help:"The file is the whole list: rules of the source that it lacks are ended."`
	Refused    string   `help:"Write the number of each refused line, and why, to this CSV file." placeholder:"FILE"`
	Decryption string   `help:"The file with the key that the list is encrypted with." type:"existingfile" placeholder:"FILE" name:"encryption-key"`
}

// Help is shown below the usage.
func (importCmd) Help() string {
	var b strings.Builder
	for _, f := range exchange.Formats {
		fmt.Fprintf(&b, "  %-9s %s\n", f.Name, f.Help)
	}
	return `Formats:
` + b.String() + `
The list of another organisation lives in a folder of its own, beside that of your desk, and an enforcer asks both:
  staydown import lists/partner partner.csv --source partner --format pdq --effect review
  staydown check --list main=blocklist.snap --list partner=lists/partner picture.jpg

Importing the same file again changes nothing. An entry whose source withdraws it ends its rule. A line that cannot be
used is counted and reported with its number; the others are imported. A host that many people share, such as
github.io, is refused. If the file is damaged, everything before the damage is imported, and the exit code is 1.`
}

// importsName is the file with the sources of a list, in its folder.
const importsName = "imports.json"

// importSource is a source and its case.
type importSource struct {
	Source     string          `json:"source"`
	Case       takedown.CaseID `json:"case"`
	Format     string          `json:"format"`
	Effect     string          `json:"effect"`
	Restricted bool            `json:"restricted,omitempty"`
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Withdrawn  *time.Time      `json:"withdrawn,omitempty"`
	LastRun    importCounts    `json:"last_run"`
}

// importCounts are the results of a run.
type importCounts struct {
	File      string `json:"file_sha256,omitempty"`
	Entries   int    `json:"entries"`
	Added     int    `json:"added"`
	Unchanged int    `json:"unchanged"`
	Ended     int    `json:"ended"`
	Refused   int    `json:"refused"`
}

func readImports(dir string) (list []importSource, err error) {
	b, err := os.ReadFile(filepath.Join(dir, importsName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Join(dir, importsName), err)
	}
	return list, err
}

func writeImports(dir string, list []importSource) error {
	b, err := json.MarshalIndent(list, "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, importsName), append(b, '\n'))
}

// findSource returns the source with a name, or nil.
func findSource(list []importSource, name string) *importSource {
	i := slices.IndexFunc(list, func(s importSource) bool { return s.Source == name })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// readSource reads the sources of a list, and finds the one with a name.
func readSource(dir, name string) (list []importSource, s *importSource, err error) {
	if list, err = readImports(dir); err != nil {
		return nil, nil, err
	}
	if s = findSource(list, name); s == nil {
		return nil, nil, fmt.Errorf("%s: no source %s was imported", dir, name)
	}
	return list, s, nil
}

// importer brings the entries of a source into a list.
type importer struct {
	a      *app
	c      *importCmd
	l      *blocklist.List
	source *importSource
	rule   blocklist.Rule // the terms of all rules

	refused *csv.Writer
	shown   int
	n       importCounts
	now     time.Time

	batch []pendingEntry
	// ledger has the events of this source by their ids. It is read when something
	// is to be ended, or is there in another form.
	ledger map[[16]byte]uint64
	// kept are the rules that the file names, for --sync.
	kept map[uint64]bool
}

// pendingEntry is an entry that waits for the next batch.
type pendingEntry struct {
	key    string
	effect blocklist.Effect
	turn   uint32 // how often the entry came back after its end
	event  blocklist.Event
}

func (c *importCmd) Run(a *app) (err error) {
	format, _ := exchange.ByName(c.Format)
	l, list, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if findSource(list, c.Source) == nil {
		list = append(list, importSource{Source: c.Source})
	}
	im := &importer{a: a, c: c, l: l, source: findSource(list, c.Source), now: time.Now().UTC().Truncate(time.Second)}
	if err := im.terms(); err != nil {
		return err
	}
	in, done, err := im.input()
	if err != nil {
		return err
	}
	defer done()
	digest := sha256.New()
	err = im.read(format.Read(io.TeeReader(in, digest)))
	if err == nil && c.Sync {
		err = im.endOthers()
	}
	if err == nil {
		io.Copy(digest, in)
		im.n.File = hex.EncodeToString(digest.Sum(nil))
	}
	s := im.source
	s.Format, s.Effect, s.Restricted, s.Last, s.LastRun, s.Withdrawn = c.Format, c.Effect, c.Restricted, im.now, im.n, nil
	if s.First.IsZero() {
		s.First = im.now
	}
	if err := errors.Join(err, im.report(), writeImports(c.Dir, list)); err != nil {
		return err
	}
	if im.n.Added+im.n.Ended > 0 {
		return l.Compact(a.ctx)
	}
	return nil
}

// open opens or makes the list, and reads its sources.
func (c *importCmd) open() (l *blocklist.List, list []importSource, err error) {
	if isDesk(c.Dir) {
		return nil, nil, usagef("%s is the folder of a desk, whose list has only the cases of the desk; import into a folder of its own", c.Dir)
	}
	if strings.TrimSpace(c.Source) == "" {
		return nil, nil, usagef("--source is empty")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, nil, err
	}
	key, err := (&keyFlags{Decryption: c.Decryption}).encryption()
	if err != nil {
		return nil, nil, err
	}
	if list, err = readImports(c.Dir); err != nil {
		return nil, nil, err
	}
	l, err = boltjournal.Open(c.Dir, &blocklist.Options{EncryptionKey: key, PublicSuffix: publicSuffix})
	return l, list, err
}

// terms makes the rule without its keys.
func (im *importer) terms() error {
	s := im.source
	if s.Case == (takedown.CaseID{}) {
		id := im.l.Info().ID
		s.Case = takedown.CaseID(hashID("case", id[:], im.c.Source, 0))
	}
	im.rule = blocklist.Rule{Case: s.Case, Effect: effectOf(im.c.Effect)}
	for _, code := range im.c.In {
		t, err := blocklist.ParseTerritory(code)
		if err != nil {
			return usagef("--in: %v", err)
		}
		im.rule.Territories = append(im.rule.Territories, t)
	}
	if im.c.Distance > 254 {
		return usagef("--max-distance: 0 to 254 bits are expected")
	}
	if im.c.Sync {
		im.kept = map[uint64]bool{}
	}
	if s.Effect != "" && s.Effect != im.c.Effect || im.c.Sync {
		return im.readLedger() // entries are there in another form
	}
	return nil
}

func effectOf(name string) blocklist.Effect {
	if name == "block" {
		return blocklist.EffectBlock
	}
	return blocklist.EffectReview
}

// input opens the file and the report of refused lines.
func (im *importer) input() (in io.Reader, done func(), err error) {
	var files []*os.File
	done = func() {
		for _, f := range files {
			f.Close()
		}
	}
	bar := im.a.progress(-1, "bytes")
	in = im.a.in
	if im.c.File != "-" {
		f, err := os.Open(im.c.File)
		if err != nil {
			return nil, done, err
		}
		files = append(files, f)
		if fi, err := f.Stat(); err == nil {
			bar = im.a.progress(int(fi.Size()), "bytes")
		}
		in = f
	}
	if im.c.Refused != "" {
		f, err := os.Create(im.c.Refused)
		if err != nil {
			return nil, done, err
		}
		files = append(files, f)
		im.refused = csv.NewWriter(f)
		im.refused.Write([]string{"line", "why"})
	}
	r := progressbar.NewReader(in, bar)
	return &r, done, nil
}

// maxRefusedShown is how many refused lines are printed.
const maxRefusedShown = 20

// refuse reports an entry that is not taken.
func (im *importer) refuse(line int, why string) {
	im.n.Refused++
	if im.refused != nil {
		im.refused.Write([]string{strconv.Itoa(line), why})
	}
	if im.shown++; im.shown <= maxRefusedShown && im.refused == nil {
		fmt.Fprintf(im.a.errOut, "staydown: line %d refused: %s\n", line, why)
	}
}

// report prints the result.
func (im *importer) report() error {
	if im.refused != nil {
		im.refused.Flush()
		if err := im.refused.Error(); err != nil {
			return err
		}
	} else if more := im.n.Refused - maxRefusedShown; more > 0 {
		fmt.Fprintf(im.a.errOut, "staydown: %d more lines refused; --refused FILE names all\n", more)
	}
	im.a.failed = im.a.failed || im.n.Refused > 0
	im.a.print(im.source.with(im.n), fmt.Sprintf("source %s, case %s: %d entries, %d added, %d unchanged, %d ended, %d refused",
		im.source.Source, im.source.Case, im.n.Entries, im.n.Added, im.n.Unchanged, im.n.Ended, im.n.Refused))
	return nil
}

func (s importSource) with(n importCounts) importSource {
	s.LastRun = n
	return s
}

// importBatch is how many entries are appended in one commit.
const importBatch = 50_000

// read takes all entries.
func (im *importer) read(entries func(func(exchange.Entry, error) bool)) error {
	for e, err := range entries {
		var refused *exchange.RefusedError
		if errors.As(err, &refused) {
			im.n.Entries++
			im.refuse(refused.Line, refused.Why)
			continue
		}
		if err != nil {
			return errors.Join(err, im.flush())
		}
		im.n.Entries++
		if err := im.take(&e); err != nil {
			return err
		}
		if len(im.batch) >= importBatch {
			if err := im.flush(); err != nil {
				return err
			}
		}
	}
	return im.flush()
}

// take puts an entry into the batch, or ends its rule.
func (im *importer) take(e *exchange.Entry) error {
	effect := im.rule.Effect
	if e.Status == exchange.Unverified {
		effect = blocklist.EffectReview
	}
	if e.Status == exchange.Ended {
		return im.end(e.Key, 0)
	}
	keys, scope, err := im.keys(e)
	if err != nil {
		im.refuse(e.Line, err.Error())
		return nil
	}
	if im.ledger != nil {
		// The same entry with the other effect is replaced.
		if err := im.end(e.Key, otherEffect(effect)); err != nil {
			return err
		}
	}
	r := im.rule
	r.Effect, r.Scope, r.Keys = effect, scope, keys
	if scope == blocklist.ScopeDuplicate || scope == blocklist.ScopeBytes {
		r.Kind = uint8(request.KindHashEntry)
	}
	p := pendingEntry{key: e.Key, effect: effect, event: blocklist.Event{Type: blocklist.EventAdded, Time: im.now, Batch: im.source.Case, Rule: &r}}
	p.setTurn(im.source.Case, im.turnOf(e.Key, effect))
	im.batch = append(im.batch, p)
	return nil
}

func otherEffect(e blocklist.Effect) blocklist.Effect {
	return blocklist.EffectBlock + blocklist.EffectReview - e
}

func (p *pendingEntry) setTurn(id takedown.CaseID, turn uint32) {
	p.turn = turn
	p.event.ID = entryID(id, p.key, p.effect, turn)
}

// entryID is the id of the event of an entry: the same whenever it is imported.
func entryID(id takedown.CaseID, key string, effect blocklist.Effect, turn uint32) [16]byte {
	return hashID(effect.String(), id[:], key, turn)
}

func hashID(what string, id []byte, key string, turn uint32) [16]byte {
	h := sha256.New()
	fmt.Fprintf(h, "staydown import %s\n", what)
	h.Write(id)
	h.Write(binary.BigEndian.AppendUint32(nil, turn))
	io.WriteString(h, key)
	return [16]byte(h.Sum(nil)[:16])
}

// keys makes the keys of an entry.
func (im *importer) keys(e *exchange.Entry) (k blocklist.Keys, scope blocklist.Scope, err error) {
	k.Bytes, k.SHA1, k.MD5 = e.SHA256, e.SHA1, e.MD5
	if len(k.Bytes)+len(k.SHA1)+len(k.MD5) > 0 {
		scope = blocklist.ScopeBytes
	}
	for _, h := range e.Hashes {
		stored := []phash.StoredHash{{Hash: h, Transform: phash.MakeTransform(phash.Whole, phash.Upright)}}
		if im.c.Turned || !h.Plausible() { // it would be a fifth of the work of an import
			reg, err := phash.HashesToStoreOf(h)
			if err != nil {
				return k, 0, err
			}
			stored = reg.Hashes
		}
		for _, s := range stored {
			hk := blocklist.HashKey{Hash: s.Hash, Variant: uint8(s.Transform)}
			if im.c.Distance >= 0 {
				hk.Reach = blocklist.ReachBits(im.c.Distance)
			}
			k.Hashes = append(k.Hashes, hk)
		}
		scope = blocklist.ScopeDuplicate
	}
	for _, x := range []struct {
		texts []string
		kind  blocklist.AddressKind
		scope blocklist.Scope
	}{{e.Images, blocklist.ImageAddress, blocklist.ScopeURL}, {e.Pages, blocklist.PageAddress, blocklist.ScopeURL},
		{e.Hosts, blocklist.HostAddress, blocklist.ScopeHost}, {e.Prefixes, blocklist.PrefixAddress, blocklist.ScopePrefix}} {
		for _, text := range x.texts {
			d, err := im.l.Digest(x.kind, text)
			if err != nil {
				return k, 0, err
			}
			k.Addresses, scope = append(k.Addresses, blocklist.Address{Kind: x.kind, Digest: d}), x.scope
		}
	}
	return k, scope, nil
}

// flush appends the batch. An entry that was there and has ended is added as a new
// one.
func (im *importer) flush() error {
	for len(im.batch) > 0 {
		events, last := make([]blocklist.Event, len(im.batch)), im.l.State().Seq()
		for i := range im.batch {
			events[i] = im.batch[i].event
		}
		seqs, err := im.l.Append(im.a.ctx, events...)
		if err != nil {
			return err
		}
		state := im.l.State()
		var again []pendingEntry
		for i, seq := range seqs {
			p := im.batch[i]
			switch _, is, ok := state.Rule(seq); {
			case seq > last:
				im.n.Added++
				last = seq // the same entry twice in one batch is added once
			case !ok || is == blocklist.RuleRevoked:
				p.setTurn(im.source.Case, p.turn+1)
				again = append(again, p)
				continue
			default:
				im.n.Unchanged++
			}
			if im.ledger != nil {
				im.ledger[p.event.ID] = seq
			}
			if im.kept != nil {
				im.kept[seq] = true
			}
		}
		im.batch = again
	}
	im.batch = im.batch[:0]
	return nil
}

// readLedger reads which events of the source are in the list.
func (im *importer) readLedger() error {
	if im.ledger != nil {
		return nil
	}
	im.ledger = map[[16]byte]uint64{}
	return im.l.Events(1, func(e blocklist.Event) bool {
		if e.Type == blocklist.EventAdded && e.Batch == im.source.Case {
			im.ledger[e.ID] = e.Seq
		}
		return im.a.ctx.Err() == nil
	})
}

// turnOf returns the turn with which an entry is added: that of its live rule, or
// the next one.
func (im *importer) turnOf(key string, effect blocklist.Effect) (turn uint32) {
	if im.ledger == nil {
		return 0
	}
	for ; ; turn++ {
		seq, ok := im.ledger[entryID(im.source.Case, key, effect, turn)]
		if !ok {
			return turn
		}
		if _, is, there := im.l.State().Rule(seq); there && is != blocklist.RuleRevoked {
			return turn
		}
	}
}

// end ends the rule of an entry, with one effect or, for zero, with any.
func (im *importer) end(key string, effect blocklist.Effect) error {
	// What waits may be the entry.
	if slices.ContainsFunc(im.batch, func(p pendingEntry) bool { return p.key == key }) {
		if err := im.flush(); err != nil {
			return err
		}
	}
	if err := im.readLedger(); err != nil {
		return err
	}
	for _, e := range []blocklist.Effect{blocklist.EffectBlock, blocklist.EffectReview} {
		if effect != 0 && e != effect {
			continue
		}
		id := entryID(im.source.Case, key, e, im.turnOf(key, e))
		if seq, ok := im.ledger[id]; ok {
			if err := revoke(im.a.ctx, im.l, []uint64{seq}, im.now); err != nil {
				return err
			}
			im.n.Ended++
		}
	}
	return nil
}

// revoke ends rules.
func revoke(ctx context.Context, l *blocklist.List, rules []uint64, now time.Time) error {
	id := l.Info().ID
	for part := range slices.Chunk(rules, importBatch) {
		events := make([]blocklist.Event, len(part))
		for i, r := range part {
			events[i] = blocklist.Event{ID: hashID("end", id[:], strconv.FormatUint(r, 10), 0), Type: blocklist.EventRevoked, Target: r, Time: now}
		}
		if _, err := l.Append(ctx, events...); err != nil {
			return err
		}
	}
	return nil
}

// endOthers ends the rules of the source that the file does not name.
func (im *importer) endOthers() error {
	var gone []uint64
	for _, seq := range liveRules(im.l, im.source.Case) {
		if !im.kept[seq] {
			gone = append(gone, seq)
		}
	}
	im.n.Ended += len(gone)
	return revoke(im.a.ctx, im.l, gone, im.now)
}

// liveRules returns the rules of a case that have not ended.
func liveRules(l *blocklist.List, id takedown.CaseID) (rules []uint64) {
	for seq, r := range rulesOf(l) {
		if r.Case == id {
			rules = append(rules, seq)
		}
	}
	return rules
}

// importListCmd shows the sources.
type importListCmd struct {
	Dir string `arg:"" help:"The folder of the list." predictor:"file"`
}

// Help is shown below the usage.
func (importListCmd) Help() string {
	return "Prints each source with its case, effect, the time of the last import and its result.\n\n  staydown import list lists/partner"
}

func (c *importListCmd) Run(a *app) error {
	if _, err := listDir(c.Dir); err != nil {
		return err
	}
	list, err := readImports(c.Dir)
	if err != nil {
		return err
	}
	for _, s := range list {
		text := fmt.Sprintf("%s: case %s, %s, %s, imported %s: %d entries, %d refused", s.Source, s.Case, s.Format, s.Effect, s.Last.Format(time.RFC3339), s.LastRun.Entries, s.LastRun.Refused)
		if s.Restricted {
			text += ", restricted"
		}
		if s.Withdrawn != nil {
			text += ", withdrawn " + s.Withdrawn.Format(time.RFC3339)
		}
		a.print(s, text)
	}
	return nil
}

// importWithdrawCmd ends a source.
type importWithdrawCmd struct {
	Dir        string `arg:"" help:"The folder of the list." predictor:"file"`
	Source     string `help:"The source to withdraw." required:"" placeholder:"NAME"`
	Yes        bool   `help:"Do it. Without it, the command only prints what would end." short:"y"`
	Decryption string `help:"The file with the key that the list is encrypted with." type:"existingfile" placeholder:"FILE" name:"encryption-key"`
}

// Help is shown below the usage.
func (importWithdrawCmd) Help() string {
	return `Ends every rule that came from the source. Rules of other sources that cover the same pictures stay. Importing the
source again brings the rules back.

  staydown import withdraw lists/partner --source partner --yes`
}

func (c *importWithdrawCmd) Run(a *app) (err error) {
	list, s, err := readSource(c.Dir, c.Source)
	if err != nil {
		return err
	}
	key, err := (&keyFlags{Decryption: c.Decryption}).encryption()
	if err != nil {
		return err
	}
	l, err := openFolder(c.Dir, blocklist.Options{EncryptionKey: key})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	rules := liveRules(l, s.Case)
	if !c.Yes {
		a.print(map[string]any{"source": c.Source, "case": s.Case, "would_end": len(rules)}, fmt.Sprintf("%d rules of %s would end; --yes does it", len(rules), c.Source))
		return nil
	}
	now := time.Now().UTC().Truncate(time.Second)
	if err := revoke(a.ctx, l, rules, now); err != nil {
		return err
	}
	s.Withdrawn = &now
	if err := errors.Join(writeImports(c.Dir, list), l.Compact(a.ctx)); err != nil {
		return err
	}
	a.print(map[string]any{"source": c.Source, "case": s.Case, "ended": len(rules)}, fmt.Sprintf("%d rules of %s ended", len(rules), c.Source))
	return nil
}
