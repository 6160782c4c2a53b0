package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// deskCmds are the commands about a desk, for those without pages.
type deskCmds struct {
	Queue   deskQueueCmd   `cmd:"" help:"List the cases that wait for a reviewer, the most urgent first."`
	Case    deskCaseCmd    `cmd:"" help:"Show a case."`
	Accept  deskAcceptCmd  `cmd:"" help:"Accept a case: its rules are in force when the command ends."`
	Reject  deskRejectCmd  `cmd:"" help:"Reject a case."`
	Due     deskDueCmd     `cmd:"" help:"List deadlines."`
	Expire  deskExpireCmd  `cmd:"" help:"End the cases whose granted time is over. Call it daily."`
	Backup  deskBackupCmd  `cmd:"" help:"Back up the folder of a desk."`
	Recover deskRecoverCmd `cmd:"" help:"Repair a folder that cannot be opened."`
	Report  deskReportCmd  `cmd:"" help:"Show the state of a desk, and what an operator has to look at."`
}

// deskFlags open a desk.
type deskFlags struct {
	Dir        string `arg:"" help:"The folder of the desk. No program may have it open." type:"existingdir" predictor:"file"`
	Decryption string `help:"The file with the key that the list is encrypted with." type:"existingfile" placeholder:"FILE" name:"encryption-key"`
	Key        string `help:"The signing key of keygen, with which published files are signed." type:"existingfile" placeholder:"FILE"`
	Operator   string `help:"The file with the operator key (32 bytes), if it is not in the folder." type:"existingfile" placeholder:"FILE" name:"operator-key"`
}

func (f *deskFlags) options() (o *desk.Options, err error) {
	o = new(desk.Options)
	if o.ListKey, err = (&keyFlags{Decryption: f.Decryption}).encryption(); err != nil {
		return nil, err
	}
	if f.Key != "" {
		if o.SigningKey, err = readPrivateKey(f.Key); err != nil {
			return nil, err
		}
	}
	if f.Operator != "" {
		if o.OperatorKey, err = os.ReadFile(f.Operator); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// isDesk reports whether a folder is that of a desk.
func isDesk(dir string) bool { return exists(filepath.Join(dir, "cases.db")) }

// open opens the desk. It never makes one.
func (f *deskFlags) open() (*desk.Desk, error) {
	if !isDesk(f.Dir) {
		return nil, fmt.Errorf("%s: not the folder of a desk", f.Dir)
	}
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	d, err := desk.Open(f.Dir, o)
	var mismatch *desk.MismatchError
	if errors.As(err, &mismatch) && mismatch.Choice() != "" {
		err = fmt.Errorf("%w\nput the right file back, or see: staydown desk recover %s --accept %q", err, f.Dir, mismatch.Choice())
	}
	return d, err
}

// caseLine is a case, as it is listed: without anything that a person wrote.
type caseLine struct {
	ID       takedown.CaseID `json:"id"`
	Kind     string          `json:"kind"`
	State    desk.State      `json:"state"`
	Received time.Time       `json:"received"`
	Items    int             `json:"items"`
	Flags    []string        `json:"flags,omitempty"`
}

func lineOf(c *desk.Case) caseLine {
	l := caseLine{ID: c.ID, Kind: c.Kind.String(), State: c.State, Received: c.Received, Items: len(c.Items)}
	for _, f := range c.Flags {
		l.Flags = append(l.Flags, string(f))
	}
	return l
}

func (l caseLine) text() string {
	t := fmt.Sprintf("%s  %s  %s  received %s  %d items", l.ID, l.Kind, l.State, l.Received.UTC().Format(time.RFC3339), l.Items)
	if len(l.Flags) > 0 {
		t += "  " + strings.Join(l.Flags, " ")
	}
	return t
}

type deskQueueCmd struct {
	deskFlags
	State  []string `help:"Cases in these states instead; \"all\" for every case." placeholder:"STATE"`
	Limit  int      `help:"How many cases are listed; 0 for all." default:"50"`
	Person string   `help:"Only cases of a requester: an email address, a phone number, or words of a name." placeholder:"TEXT"`
	URL    string   `help:"Only cases about an address." placeholder:"URL" name:"url"`
}

// Help is shown below the usage.
func (deskQueueCmd) Help() string {
	return `  staydown desk queue takedowns/
  staydown desk queue takedowns/ --state all --url https://example.com/a.jpg`
}

func (c *deskQueueCmd) Run(a *app) error {
	q := desk.Query{Person: c.Person, Address: c.URL}
	for _, s := range c.State {
		q.States = append(q.States, desk.State(s))
	}
	switch {
	case len(c.State) == 1 && c.State[0] == "all":
		q.States = nil
	case len(c.State) == 0 && c.Person == "" && c.URL == "":
		q.States = []desk.State{desk.StateInReview, desk.StateSecondReview}
	}
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	for left := c.Limit; ; {
		page, err := d.Find(a.ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Cases {
			l := lineOf(&page.Cases[i])
			a.print(l, l.text())
			if left--; left == 0 {
				return nil
			}
		}
		if q.After = page.Next; q.After == "" {
			return nil
		}
	}
}

// caseFlags name a case and who acts.
type caseFlags struct {
	deskFlags
	ID string `arg:"" help:"The case."`
}

type actorFlags struct {
	By     string `help:"Who decides: a code, which is written into the log." required:"" placeholder:"CODE"`
	Reason string `help:"Why: a code." placeholder:"CODE"`
}

func (f *caseFlags) id() (takedown.CaseID, error) {
	id, err := takedown.ParseCaseID(f.ID)
	if err != nil {
		err = usagef("%s: %v", f.ID, err)
	}
	return id, err
}

type deskCaseCmd struct {
	caseFlags
	Personal bool `help:"Also show the request with the personal data that it has."`
}

// Help is shown below the usage.
func (deskCaseCmd) Help() string { return "  staydown desk case takedowns/ 4hmk2…" }

func (c *deskCaseCmd) Run(a *app) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	x, err := d.Case(a.ctx, id)
	if err != nil {
		return err
	}
	if a.JSON {
		out := map[string]any{"case": x}
		if c.Personal {
			out["request"] = x.Request
		}
		a.print(out, "")
		return nil
	}
	var b strings.Builder
	fmt.Fprintln(&b, lineOf(&x).text())
	for _, m := range x.Moves {
		fmt.Fprintf(&b, "  %s  %s %s %s\n", m.Time.UTC().Format(time.RFC3339), m.To, m.By, m.Reason)
	}
	for i, it := range x.Items {
		fmt.Fprintf(&b, "  item %d: %+v\n", i, it)
	}
	if len(x.Rules) > 0 {
		fmt.Fprintf(&b, "  rules in force: %v\n", x.Rules)
	}
	due, err := d.DueOf(a.ctx, id)
	if err != nil {
		return err
	}
	for i := range due {
		fmt.Fprintf(&b, "  due %s\n", dueText(&due[i]))
	}
	if c.Personal && x.Request != nil {
		fmt.Fprintf(&b, "  %+v\n", x.Request)
	}
	a.print(nil, strings.TrimSuffix(b.String(), "\n"))
	return nil
}

type deskAcceptCmd struct {
	caseFlags
	actorFlags
	Scope string   `help:"How far: url, bytes, identical, duplicate, face; that of the request by default." placeholder:"SCOPE"`
	Wider string   `help:"Required to grant more than was asked: a code." placeholder:"CODE"`
	In    []string `help:"Only in these countries; everywhere by default." placeholder:"CC"`
	Until string   `help:"The end of the rules, RFC 3339; none by default." placeholder:"TIME"`
}

// Help is shown below the usage.
func (deskAcceptCmd) Help() string {
	return `A risky case needs two reviewers: the first call is noted, and the exit code is 4 until another person makes the same one.

  staydown desk accept takedowns/ 4hmk2… --by jane`
}

func (c *deskAcceptCmd) Run(a *app) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	g := desk.Grant{Actor: desk.Actor{By: c.By, Reason: c.Reason}, Wider: c.Wider, Territories: c.In}
	if c.Scope != "" {
		if g.Scope, err = blocklist.ParseScope(c.Scope); err != nil {
			return usagef("--scope: %v", err)
		}
	}
	if c.Until != "" {
		if g.End, err = time.Parse(time.RFC3339, c.Until); err != nil {
			return usagef("--until: a time such as 2027-01-31T00:00:00Z is expected")
		}
	}
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Accept(a.ctx, id, g)
	var second *desk.SecondReviewError
	if errors.As(err, &second) {
		a.doubt = true
		a.print(map[string]any{"case": id, "second_review": second.Risks}, err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	return showCase(a, d, id)
}

func showCase(a *app, d *desk.Desk, id takedown.CaseID) error {
	x, err := d.Case(a.ctx, id)
	if err != nil {
		return err
	}
	l := lineOf(&x)
	a.print(l, l.text())
	return nil
}

type deskRejectCmd struct {
	caseFlags
	actorFlags
	Outcome string `help:"rejected, out_of_scope, duplicate_of or manifestly_unfounded." default:"rejected" enum:"rejected,out_of_scope,duplicate_of,manifestly_unfounded" placeholder:"OUTCOME"`
	Same    string `help:"For duplicate_of: the case that covers the request already." placeholder:"ID"`
}

// Help is shown below the usage.
func (deskRejectCmd) Help() string {
	return `The reason reaches the requester in a letter. For the reason "spam" no letter is sent.

  staydown desk reject takedowns/ 4hmk2… --by jane --reason not_depicted`
}

func (c *deskRejectCmd) Run(a *app) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	r := desk.Refusal{Actor: desk.Actor{By: c.By, Reason: c.Reason}}
	if c.Outcome != "rejected" {
		r.Outcome = desk.Outcome(c.Outcome)
	}
	if c.Same != "" {
		if r.Same, err = takedown.ParseCaseID(c.Same); err != nil {
			return usagef("--same: %v", err)
		}
	}
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Reject(a.ctx, id, r); err != nil {
		return err
	}
	return showCase(a, d, id)
}

type deskDueCmd struct {
	deskFlags
	Within time.Duration `help:"Deadlines that end within this time. Those that are over are always listed." default:"168h"`
}

// Help is shown below the usage.
func (deskDueCmd) Help() string {
	return `The exit code is 4 if a deadline is over.

  staydown desk due takedowns/ --within 48h`
}

// dueText describes a deadline.
func dueText(d *desk.Due) string {
	t := d.Deadline.Name + " (" + d.Deadline.Basis + ")"
	switch {
	case !d.NotAfter.IsZero():
		t += ", until " + d.NotAfter.UTC().Format(time.RFC3339)
	case d.NotBefore.IsZero():
		t += ", without undue delay since " + d.Start.UTC().Format(time.RFC3339)
	}
	if d.Paused {
		t += ", the clock stands still"
	}
	return t
}

func (c *deskDueCmd) Run(a *app) error {
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	now := time.Now()
	due, err := d.Due(a.ctx, now.Add(c.Within))
	if err != nil {
		return err
	}
	for i := range due {
		x := &due[i]
		over := !x.NotAfter.IsZero() && x.NotAfter.Before(now)
		a.doubt = a.doubt || over
		text := fmt.Sprintf("%s  %s  %s", x.Case, x.Kind, dueText(x))
		if over {
			text += "  OVER"
		}
		a.print(map[string]any{"case": x.Case, "kind": x.Kind.String(), "deadline": x.Deadline.Name, "basis": x.Deadline.Basis, "start": x.Start, "not_before": x.NotBefore, "not_after": x.NotAfter, "paused": x.Paused, "over": over}, text)
	}
	return nil
}

type deskExpireCmd struct{ deskFlags }

// Help is shown below the usage.
func (deskExpireCmd) Help() string { return "  staydown desk expire takedowns/" }

func (c *deskExpireCmd) Run(a *app) error {
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	n, err := d.Expire(a.ctx)
	a.print(map[string]int{"expired": n}, fmt.Sprintf("%d cases have ended", n))
	return err
}

type deskBackupCmd struct {
	deskFlags
	To string `arg:"" help:"A new folder for the backup." predictor:"file"`
}

// Help is shown below the usage.
func (deskBackupCmd) Help() string {
	return `The backup is opened, compared, and every case in it is read before the command ends. It does not have the operator key:
keep a copy of that elsewhere. A desk that is running makes its own backups: docs/operating.md.

  staydown desk backup takedowns/ backups/monday`
}

func (c *deskBackupCmd) Run(a *app) error {
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.Backup(a.ctx, c.To)
	if err != nil {
		return err
	}
	a.print(info, fmt.Sprintf("%s: %d cases, %d events, %d entries of the log; operator key %s", c.To, info.Cases, info.Seq, info.Log, info.OperatorKey))
	return nil
}

type deskRecoverCmd struct {
	deskFlags
	Accept []string `help:"What may be lost, in the words in which the command asks for it. Without it, the command only says what is wrong." placeholder:"CHOICE"`
}

// Help is shown below the usage.
func (deskRecoverCmd) Help() string {
	return `Make a copy of the folder first: repairs cannot be undone. The command repairs nothing that needs a choice which is not
given, and names that choice. Files that are given up are put aside, never deleted.

  staydown desk recover takedowns/
  staydown desk recover takedowns/ --accept "lose list"`
}

func (c *deskRecoverCmd) Run(a *app) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	if len(c.Accept) == 0 {
		d, err := c.open()
		if err == nil {
			d.Close()
			a.print(map[string]bool{"in_order": true}, "the folder can be opened; there is nothing to repair")
		}
		return err
	}
	var choices []desk.Choice
	for _, text := range c.Accept {
		choices = append(choices, desk.Choice(text))
	}
	r, err := desk.Recover(a.ctx, c.Dir, o, choices...)
	text := fmt.Sprintf("repaired %d, put aside %s, unreadable cases %d, adopted %d, ended %d, restored %d, not enforced %d, events lost %d",
		len(r.Repaired), cmp.Or(strings.Join(r.Aside, " "), "nothing"), len(r.Unreadable), len(r.Adopted), len(r.Ended), len(r.Restored), len(r.NotEnforced), r.Events)
	if r.NewList {
		text += "\nthe list was made anew: nodes refuse it until they load it for the first time"
	}
	if err == nil || len(r.Repaired) > 0 {
		a.print(map[string]any{"aside": r.Aside, "unreadable": r.Unreadable, "adopted": r.Adopted, "ended": r.Ended, "restored": r.Restored, "not_enforced": r.NotEnforced, "events": r.Events, "new_list": r.NewList}, text)
	}
	var mismatch *desk.MismatchError
	if errors.As(err, &mismatch) && mismatch.Choice() != "" {
		err = fmt.Errorf("%w\nit is repaired with --accept %q", err, mismatch.Choice())
	}
	return err
}

type deskReportCmd struct {
	deskFlags
	Verify bool `help:"Also read all cases, the log and the list again."`
}

// Help is shown below the usage.
func (deskReportCmd) Help() string {
	return `The exit code is 4 if there is something to look at.

  staydown desk report takedowns/ --verify`
}

func (c *deskReportCmd) Run(a *app) error {
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.Close()
	s, err := d.Status(a.ctx)
	if err != nil {
		return err
	}
	problems := d.Health(a.ctx)
	a.doubt = len(problems) > 0
	text := fmt.Sprintf("desk %s, list at %v with %d rules, log at %d, %d keys, %d messages wait, %d moves wait, operator key %s",
		s.Desk, s.List.Position, s.List.Counts.Rules, s.Log, s.Keys, s.Messages, s.Moves, s.OperatorKey)
	for _, p := range problems {
		text += fmt.Sprintf("\n%s: %s", p.Code, p.Text)
	}
	a.print(map[string]any{"status": s, "problems": problems}, text)
	if c.Verify {
		return d.Verify(a.ctx)
	}
	return nil
}
