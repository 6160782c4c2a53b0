package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// inspectCmd describes a list.
type inspectCmd struct {
	Path string `arg:"" help:"A snapshot file, or the folder of a list or a desk." predictor:"file"`
	keyFlags
	Rule    []uint64 `help:"Show these rules, with their history if the list is a folder." placeholder:"N"`
	Case    []string `help:"Show all rules of these cases." placeholder:"ID"`
	Rules   bool     `help:"Show all rules."`
	History bool     `help:"With rules of a folder: every event of the rule." negatable:"" default:"true"`
}

// Help is shown below the usage.
func (inspectCmd) Help() string {
	return `Without a rule, prints the identity of the list, the number of its last event with the running digest, when it was
written, its age, and how many rules and keys it has. Two lists with the same identity, number and digest have the same
content. A list has no names, addresses or pictures: a rule shows its scope, effect, case, countries and times.

  staydown inspect blocklist.snap
  staydown inspect blocklist.snap --rule 17
  staydown inspect takedowns/ --case 4hmk2…`
}

// listState is the answer of inspect and verify.
type listState struct {
	Path    string           `json:"path"`
	ID      string           `json:"id"`
	Epoch   uint32           `json:"epoch"`
	Seq     uint64           `json:"seq"`
	Digest  string           `json:"digest"`
	Written *time.Time       `json:"written,omitempty"`
	Age     string           `json:"age,omitempty"`
	Counts  blocklist.Counts `json:"counts"`
	Signed  string           `json:"signed_by_trusted,omitempty"`
	Writer  bool             `json:"folder"`
	Faces   int              `json:"faces_without_key,omitempty"`
}

func stateOf(path string, l *blocklist.List, trusted bool) *listState {
	i := l.Info()
	s := &listState{Path: path, ID: hex.EncodeToString(i.ID[:]), Epoch: i.Position.Epoch, Seq: i.Position.Seq, Digest: hex.EncodeToString(i.Position.Digest[:]),
		Counts: i.Counts, Writer: l.Writable(), Faces: i.FacesWithoutKey}
	if !i.SnapshotTime.IsZero() && !l.Writable() {
		s.Written = &i.SnapshotTime
		s.Age = time.Since(i.SnapshotTime).Round(time.Second).String()
	}
	if trusted {
		s.Signed = "yes"
	}
	return s
}

func (s *listState) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "list     %s, epoch %d\nnumber   %d\ndigest   %s\n", s.ID, s.Epoch, s.Seq, s.Digest)
	switch {
	case s.Written != nil:
		fmt.Fprintf(&b, "written  %s, %s ago\n", s.Written.UTC().Format(time.RFC3339), s.Age)
	case s.Writer:
		fmt.Fprintln(&b, "written  a folder: always up to date")
	}
	fmt.Fprintf(&b, "holds    %d rules, %d addresses and files, %d hashes, %d pictures with features, %d faces", s.Counts.Rules, s.Counts.Addresses, s.Counts.Hashes, s.Counts.Features, s.Counts.Faces)
	if s.Signed != "" {
		b.WriteString("\nsigned   by a trusted key")
	}
	if s.Faces > 0 {
		fmt.Fprintf(&b, "\nwarning  the keys of %d faces are lost", s.Faces)
	}
	return b.String()
}

func (c *inspectCmd) Run(a *app) error {
	l, err := c.openList(c.Path)
	if err != nil {
		return err
	}
	defer l.Close()
	rules := slices.Clone(c.Rule)
	if len(c.Case) > 0 || c.Rules {
		cases := map[takedown.CaseID]bool{}
		for _, text := range c.Case {
			id, err := takedown.ParseCaseID(text)
			if err != nil {
				return usagef("--case %s: %v", text, err)
			}
			cases[id] = true
		}
		for id, r := range rulesOf(l) {
			if c.Rules || cases[r.Case] {
				rules = append(rules, id)
			}
		}
		slices.Sort(rules)
		if rules = slices.Compact(rules); len(rules) == 0 && len(c.Case) > 0 {
			return errors.New("no rule of these cases is in the list; a revoked rule leaves it when it is compacted")
		}
	}
	if len(rules) == 0 && !c.Rules {
		s := stateOf(c.Path, l, len(c.Trust) > 0 && !l.Writable())
		a.print(s, s.text())
		return nil
	}
	for _, id := range rules {
		if err := c.rule(a, l, id); err != nil {
			return err
		}
	}
	return nil
}

// ruleState is a rule, as it is printed.
type ruleState struct {
	Rule        uint64          `json:"rule"`
	State       string          `json:"state"`
	Scope       string          `json:"scope"`
	Effect      string          `json:"effect"`
	Case        takedown.CaseID `json:"case"`
	Kind        string          `json:"kind,omitempty"`
	Territories []string        `json:"territories,omitempty"`
	Purposes    string          `json:"purposes,omitempty"`
	Start       *time.Time      `json:"start,omitempty"`
	End         *time.Time      `json:"end,omitempty"`
}

func ruleOf(id uint64, r blocklist.Rule, state blocklist.RuleState) *ruleState {
	s := &ruleState{Rule: id, State: state.String(), Scope: r.Scope.String(), Effect: r.Effect.String(), Case: r.Case}
	if r.Kind != 0 {
		s.Kind = takedown.Kind(r.Kind).String()
	}
	for _, t := range r.Territories {
		s.Territories = append(s.Territories, t.String())
	}
	if r.Purposes != 0 {
		s.Purposes = r.Purposes.String()
	}
	if !r.Start.IsZero() {
		s.Start = &r.Start
	}
	if !r.End.IsZero() {
		s.End = &r.End
	}
	return s
}

func (s *ruleState) text() string {
	t := fmt.Sprintf("rule %d: %s, %s, scope %s, case %s", s.Rule, s.State, s.Effect, s.Scope, s.Case)
	if s.Kind != "" {
		t += ", " + s.Kind
	}
	if len(s.Territories) > 0 {
		t += ", in " + strings.Join(s.Territories, " ")
	}
	if s.Purposes != "" {
		t += ", for " + s.Purposes
	}
	if s.Start != nil {
		t += ", from " + s.Start.UTC().Format(time.RFC3339)
	}
	if s.End != nil {
		t += ", until " + s.End.UTC().Format(time.RFC3339)
	}
	return t
}

// eventLine is an event, as it is printed: with numbers of keys instead of keys.
type eventLine struct {
	Seq    uint64     `json:"seq"`
	Time   time.Time  `json:"time"`
	Type   string     `json:"type"`
	Target uint64     `json:"target,omitempty"`
	Keys   int        `json:"keys"`
	Until  *time.Time `json:"until,omitempty"`
}

func (c *inspectCmd) rule(a *app, l *blocklist.List, id uint64) error {
	r, state, ok := l.State().Rule(id)
	if !ok {
		a.fail("%s: there is no rule %d, or it was revoked", c.Path, id)
		return nil
	}
	s := ruleOf(id, r, state)
	a.print(s, s.text())
	if !l.Writable() || !c.History {
		return nil
	}
	return l.History(id, func(e blocklist.Event) bool {
		line := eventLine{Seq: e.Seq, Time: e.Time, Type: e.Type.String(), Target: e.Target, Keys: e.Keys.Len()}
		if e.Rule != nil {
			line.Keys = e.Rule.Keys.Len()
		}
		text := fmt.Sprintf("  %s  event %d: %s, %d keys", e.Time.UTC().Format(time.RFC3339), e.Seq, line.Type, line.Keys)
		if !e.Until.IsZero() {
			line.Until = &e.Until
			text += ", until " + e.Until.UTC().Format(time.RFC3339)
		}
		a.print(line, text)
		return true
	})
}

// rulesOf returns the rules of a list that are not revoked, in the order of their
// numbers.
func rulesOf(l *blocklist.List) iter.Seq2[uint64, blocklist.Rule] {
	return func(yield func(uint64, blocklist.Rule) bool) {
		s := l.State()
		for id := uint64(1); id <= s.Seq(); id++ {
			if r, state, ok := s.Rule(id); ok && state != blocklist.RuleRevoked && !yield(id, r) {
				return
			}
		}
	}
}

// verifyCmd verifies a list.
type verifyCmd struct {
	Path string `arg:"" help:"A snapshot file, or the folder of a list or a desk." predictor:"file"`
	keyFlags
	MaxAge time.Duration `help:"A list that was written longer ago is not fresh: exit code 5." placeholder:"DURATION"`
	After  string        `help:"A snapshot that was in use before. An older list, or one with another history, is refused: exit code 5." type:"existingfile" placeholder:"FILE"`
}

// Help is shown below the usage.
func (verifyCmd) Help() string {
	return `Reads every byte of the list again. For a file: its checksums, its signature if --trust is given, its age if --max-age
is given, and that it continues the list of --after. For a folder: every event with its place in the chain, and every
snapshot. Exit code 0 means that all of it is in order, 1 that the list is damaged, 5 that it is not genuine or not fresh.

Is the list I run genuine and fresh?
  staydown verify blocklist.snap --trust list.key.pub --max-age 24h`
}

func (c *verifyCmd) Run(a *app) error {
	l, err := c.openList(c.Path)
	if err != nil {
		return err
	}
	defer l.Close()
	if len(c.Trust) > 0 && l.Writable() {
		return usagef("--trust: a folder is not signed; verify the file that is published from it")
	}
	if err := l.Verify(a.ctx); err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	if err := c.continues(l); err != nil {
		return err
	}
	s := stateOf(c.Path, l, len(c.Trust) > 0)
	if s.Written != nil && c.MaxAge > 0 && time.Since(*s.Written) > c.MaxAge {
		a.print(s, s.text())
		return &unknownError{fmt.Errorf("%s: too old: written %s ago, and --max-age is %s", c.Path, s.Age, c.MaxAge)}
	}
	text := s.text() + "\nin order"
	if len(c.Trust) == 0 && !l.Writable() {
		text += ". The origin was not checked: --trust names the key that must have signed it"
	}
	a.print(s, text)
	return nil
}

// continues checks that the list continues the one of --after.
func (c *verifyCmd) continues(l *blocklist.List) error {
	if c.After == "" {
		return nil
	}
	before, err := c.openList(c.After)
	if err != nil {
		return err
	}
	at := before.Info().Position
	same := before.Info().ID == l.Info().ID
	before.Close()
	if !same {
		return &unknownError{fmt.Errorf("%s: another list than %s", c.Path, c.After)}
	}
	if l.Writable() {
		if p := l.Info().Position; p.Seq < at.Seq {
			return &unknownError{fmt.Errorf("%s: number %d, and %s has %d already", c.Path, p.Seq, c.After, at.Seq)}
		}
		return nil
	}
	keys, err := c.encryption()
	if err != nil {
		return err
	}
	again, err := blocklist.Load(c.Path, &blocklist.LoadOptions{EncryptionKey: keys, After: at})
	if err != nil {
		return &unknownError{fmt.Errorf("%s: does not continue %s: %w", c.Path, c.After, err)}
	}
	return again.Close()
}

// diffCmd compares two lists.
type diffCmd struct {
	A string `arg:"" help:"A list." predictor:"file"`
	B string `arg:"" help:"Another list, usually a later state of the same one." predictor:"file"`
	keyFlags
}

// Help is shown below the usage.
func (diffCmd) Help() string {
	return `Prints the rules that only one of the lists has, and those whose terms differ: "-" is A, "+" is B. The exit code is 3
if there is a difference. Rules of different lists have different numbers, so only states of one list can be compared.
Keys are not compared; the running digest tells whether there are other differences.

  staydown diff yesterday.snap today.snap`
}

// difference is a line of diff.
type difference struct {
	Side string     `json:"side"`
	Rule *ruleState `json:"rule"`
}

func (c *diffCmd) Run(a *app) error {
	var lists [2]*blocklist.List
	for i, path := range []string{c.A, c.B} {
		l, err := c.openList(path)
		if err != nil {
			return err
		}
		defer l.Close()
		lists[i] = l
	}
	x, y := lists[0].Info(), lists[1].Info()
	if x.ID != y.ID {
		return &unknownError{fmt.Errorf("%s and %s are different lists, not states of one list", c.A, c.B)}
	}
	before, after := maps.Collect(rulesOf(lists[0])), maps.Collect(rulesOf(lists[1]))
	ids := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		var sides [2]*ruleState
		for i, rules := range []map[uint64]blocklist.Rule{before, after} {
			if _, ok := rules[id]; ok {
				r, state, _ := lists[i].State().Rule(id)
				sides[i] = ruleOf(id, r, state)
			}
		}
		if sides[0] != nil && sides[1] != nil && sides[0].text() == sides[1].text() {
			continue
		}
		a.found = true
		for i, s := range sides {
			if s != nil {
				a.print(difference{"-+"[i : i+1], s}, "-+"[i:i+1]+" "+s.text())
			}
		}
	}
	if x.Position != y.Position {
		a.found = true
		if !a.JSON {
			fmt.Fprintf(a.out, "A is at %v, B at %v\n", x.Position, y.Position)
		}
	}
	return nil
}

// keygenCmd makes keys.
type keygenCmd struct {
	Out        string `arg:"" help:"File to write the key to. The public key is written beside it, with .pub at the end." predictor:"file"`
	Encryption bool   `help:"Make a key for --encryption-key instead of one for signing."`
}

// Help is shown below the usage.
func (keygenCmd) Help() string {
	return `Never replaces a file. The signing key stays with the desk; the file with .pub is given to the machines that load the
list, for --trust. An encryption key is needed on both sides.

  staydown keygen list.key
  staydown keygen --encryption list.secret`
}

func (c *keygenCmd) Run(a *app) error {
	if c.Encryption {
		key := make([]byte, 32)
		rand.Read(key)
		if err := writeNew(c.Out, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
			return err
		}
		a.print(map[string]string{"key": c.Out}, c.Out+": an encryption key. Keep it secret.")
		return nil
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	if exists(c.Out + ".pub") {
		return fmt.Errorf("%s.pub exists already", c.Out)
	}
	if err := writeNew(c.Out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	if err := writeNew(c.Out+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o644); err != nil {
		return err
	}
	a.print(map[string]string{"key": c.Out, "public": c.Out + ".pub", "public_hex": hex.EncodeToString(public)},
		fmt.Sprintf("%s: the signing key. Keep it secret.\n%[1]s.pub: the public key %x", c.Out, public))
	return nil
}

// writeNew writes a file that must not exist yet, durably.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// signCmd publishes a list.
type signCmd struct {
	Dir string `arg:"" help:"The folder of a list or of a desk." predictor:"file"`
	Out string `arg:"" help:"The snapshot file to write. An older state of the list is replaced in one step." predictor:"file"`
	signFlags
}

// Help is shown below the usage.
func (signCmd) Help() string {
	return `Writes a snapshot of the list and signs it. Other machines load the file with --trust list.key.pub. Readers of the
file see the old or the new one, never a part.

  staydown sign takedowns/ blocklist.snap --key list.key`
}

func (c *signCmd) Run(a *app) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	l, err := openFolder(c.Dir, opts)
	if err != nil {
		return err
	}
	defer l.Close()
	if old, err := blocklist.Load(c.Out, &blocklist.LoadOptions{EncryptionKey: opts.EncryptionKey}); err == nil {
		other := old.Info().ID != l.Info().ID
		old.Close()
		if other {
			return fmt.Errorf("%s is a file of another list, and is not replaced", c.Out)
		}
	} else if exists(c.Out) {
		return fmt.Errorf("%s exists and is not a readable file of this list; it is not replaced: %w", c.Out, err)
	}
	if err := l.Publish(c.Out); err != nil {
		return err
	}
	s := stateOf(c.Out, l, true)
	a.print(s, s.text())
	return nil
}
