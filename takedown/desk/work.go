package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Note is what reviewers write to each other about a case, or a paper that belongs to
// it: a mandate, a judgment, a police report. It is never in a letter. It is sealed
// with the case and erased with it.
type Note struct {
	// By is the reviewer. It is empty for a paper that came with the request, and Paper
	// is the kind of that paper then.
	By    string            `json:"by"`
	Paper request.PaperKind `json:"paper,omitempty"`

	Time time.Time `json:"time"`
	Text string    `json:"text,omitempty"`
	// Name and Size are those of an attached file: see [Desk.Attachment].
	Name string `json:"name,omitempty"`
	Size int    `json:"size,omitempty"`
}

// Limits of notes.
const (
	maxNotes      = 200
	maxAttachment = 10 << 20 // bytes
)

// AddNote adds a note to a case. A file can be attached, of at most 10 MiB; nobody
// has looked for harmful contents in it.
func (d *Desk) AddNote(ctx context.Context, id takedown.CaseID, a Actor, text, name string, file []byte) error {
	if err := a.decider(); err != nil {
		return err
	}
	for _, x := range []struct{ name, text string }{{"text", text}, {"name", name}} {
		if err := checkWords(x.name, x.text, maxFinding); err != nil {
			return err
		}
	}
	if len(file) > maxAttachment {
		return &takedown.ArgumentError{Name: "file", Why: fmt.Sprintf("it has more than %d bytes", maxAttachment)}
	}
	if strings.TrimSpace(text) == "" && len(file) == 0 {
		return &takedown.ArgumentError{Name: "text", Why: "the note is empty"}
	}
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutySee); err != nil {
			return change{}, err
		}
		if c.Erased() {
			return change{}, fmt.Errorf("takedown: case %v: %w", id, ErrErased)
		}
		put, err := d.putNote(c, Note{By: a.By, Time: now, Text: text, Name: name, Size: len(file)}, file)
		if err != nil {
			return change{}, err
		}
		c.note(c.State, "noted", a, now)
		return change{extra: put}, nil
	})
}

// putNote numbers and seals a note. What it returns stores it.
func (d *Desk) putNote(c *caseRecord, n Note, file []byte) (func(StoreTx) error, error) {
	id := c.ID
	if c.NoteCount >= maxNotes {
		return nil, fmt.Errorf("takedown: case %v: more than %d notes", id, maxNotes)
	}
	key, err := d.store.keys.get(id)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("takedown: case %v: a note: %w", id, err)
	}
	at := numbered(id, c.NoteCount)
	c.NoteCount++
	return func(tx StoreTx) error {
		if len(file) > 0 {
			if err := tx.Put(BucketNotes, append(bytes.Clone(at), 1), seal(key, label("attachment", id), file)); err != nil {
				return err
			}
		}
		return tx.Put(BucketNotes, append(bytes.Clone(at), 0), seal(key, label("note", id), b))
	}, nil
}

// checkPapers refuses papers that are not taken.
func checkPapers(papers []request.Paper) error {
	if len(papers) > request.MaxPapers {
		return &takedown.ArgumentError{Name: "papers", Why: fmt.Sprintf("there are more than %d", request.MaxPapers)}
	}
	for i := range papers {
		if err := papers[i].Check(); err != nil {
			return err
		}
	}
	return nil
}

// putPapers numbers and seals the papers of a requester, as notes of nobody.
func (d *Desk) putPapers(c *caseRecord, papers []request.Paper, now time.Time) (func(StoreTx) error, error) {
	var all []func(StoreTx) error
	for _, p := range papers {
		put, err := d.putNote(c, Note{Time: now, Paper: p.Kind, Name: p.Name, Size: len(p.Data)}, p.Data)
		if err != nil {
			return nil, err
		}
		all = append(all, put)
	}
	return func(tx StoreTx) error {
		for _, put := range all {
			if err := put(tx); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Notes returns the notes of a case, the oldest first.
func (d *Desk) Notes(ctx context.Context, id takedown.CaseID) (list []Note, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, err := d.store.keys.get(id)
	if err != nil {
		return nil, err
	}
	err = d.store.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketNotes, id[:], nil, func(k, v []byte) error {
			if k[len(k)-1] != 0 {
				return nil
			}
			b, err := unseal(key, label("note", id), v)
			if err != nil {
				return err
			}
			var n Note
			if err := json.Unmarshal(b, &n); err != nil {
				return fmt.Errorf("%w: a note of case %v is no JSON", ErrStore, id)
			}
			list = append(list, n)
			return nil
		})
	})
	return list, err
}

// Attachment returns the file of a note, by its place in [Desk.Notes]; nil if the note
// has none. It records nothing: see [Desk.ViewPaper].
func (d *Desk) Attachment(ctx context.Context, id takedown.CaseID, note int) (file []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, err := d.store.keys.get(id)
	if err != nil {
		return nil, err
	}
	err = d.store.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketNotes, append(numbered(id, note), 1))
		if err != nil || b == nil {
			return err
		}
		file, err = unseal(key, label("attachment", id), b)
		return err
	})
	return file, err
}

// ViewPaper is Attachment for a reviewer, and records in the log who looked. a.By is
// required. It fails with [ErrNotAllowed] for a reviewer who may not see the case.
func (d *Desk) ViewPaper(ctx context.Context, id takedown.CaseID, a Actor, note int) ([]byte, error) {
	if err := a.decider(); err != nil {
		return nil, err
	}
	if err := d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.maySee(&c.Case, a); err != nil {
			return change{}, err
		}
		c.note(c.State, factViewedPaper, a, now)
		return change{}, nil
	}); err != nil {
		return nil, err
	}
	return d.Attachment(ctx, id, note)
}

// Assign gives a case to a reviewer until a time, so that nobody does the same work
// twice; an empty to takes it back. Meanwhile only that reviewer decides, except for
// the approval of a second reviewer. Decisions of others fail with an
// [*AssignedError].
func (d *Desk) Assign(ctx context.Context, id takedown.CaseID, a Actor, to string, until time.Time) error {
	if err := a.decider(); err != nil {
		return err
	}
	if err := (Actor{By: to}).check(); err != nil {
		return err
	}
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if to != "" && c.Assignee != "" && c.Assignee != to && c.Assignee != a.By && now.Before(c.AssignedUntil) {
			return change{}, &AssignedError{id, c.Assignee, c.AssignedUntil}
		}
		c.Assignee, c.AssignedUntil = to, until.UTC().Truncate(time.Second)
		if to == "" {
			c.AssignedUntil = time.Time{}
		}
		c.note(c.State, "assigned", a, now)
		return change{}, nil
	})
}

// AssignedError reports that a case is assigned to another reviewer.
type AssignedError struct {
	ID    takedown.CaseID
	To    string
	Until time.Time
}

func (e *AssignedError) Error() string {
	return fmt.Sprintf("takedown: case %v is assigned to %s until %s", e.ID, e.To, e.Until.Format(time.RFC3339))
}

// assigned refuses a decision by somebody else than the assignee.
func (c *caseRecord) assigned(a Actor, now time.Time) error {
	second := c.First != nil && c.First.By != a.By
	if c.Assignee == "" || c.Assignee == a.By || !now.Before(c.AssignedUntil) || second {
		return nil
	}
	return &AssignedError{c.ID, c.Assignee, c.AssignedUntil}
}

// History is what the requester of a case has sent before.
type History struct {
	Sent, Open, Accepted, Partly, Rejected, Unfounded, Withdrawn int
	// Recent are up to 20 of the cases, the newest first.
	Recent []takedown.CaseID
}

// History returns what the requester of a case has sent, as far as the email address
// or the phone number tells: the counts of Article 23 DSA. Erased cases are not among
// them.
func (d *Desk) History(ctx context.Context, id takedown.CaseID) (h History, err error) {
	c, err := d.Case(ctx, id)
	if err != nil {
		return h, err
	}
	if c.Request == nil {
		return h, fmt.Errorf("takedown: case %v: %w", id, ErrErased)
	}
	who := c.Request.From()
	q := Query{Person: emailTerm(who.Email), Order: NewestFirst, Limit: maxPage}
	if q.Person == "" {
		q.Person = who.Phone
	}
	if q.Person == "" {
		return h, nil
	}
	for {
		page, err := d.Find(ctx, q)
		if err != nil {
			return h, err
		}
		for i := range page.Cases {
			h.add(&page.Cases[i])
		}
		if q.After = page.Next; q.After == "" {
			return h, nil
		}
	}
}

func (h *History) add(c *Case) {
	if h.Sent++; len(h.Recent) < 20 {
		h.Recent = append(h.Recent, c.ID)
	}
	switch {
	case c.State == StateWithdrawn:
		h.Withdrawn++
	case c.undecided():
		h.Open++
	case c.Outcome == OutcomeAccepted:
		h.Accepted++
	case c.Outcome == OutcomePartly:
		h.Partly++
	case c.Outcome == OutcomeUnfounded:
		h.Unfounded++
	case c.Outcome != "":
		h.Rejected++
	}
}

// Import takes in a request that was received elsewhere before, with the time of its
// receipt, for example from a mailbox. Its clocks run from that time. Nobody is
// written to; the rest is as with [Desk.Submit]. If it was decided then too, decide it
// with Grant.Past or Refusal.Past.
func (d *Desk) Import(ctx context.Context, r request.Request, received time.Time, papers ...request.Paper) (Case, error) {
	if now := d.clock(); received.IsZero() || received.After(now) {
		return Case{}, &takedown.ArgumentError{Name: "received", Why: "it is zero, or after now"}
	}
	return d.receive(ctx, r, received.UTC().Truncate(time.Second), papers)
}

// Dossier is all that the desk has about a case, for a court, or for the person who
// asks for their data. It has personal data of the requester, and names of reviewers.
type Dossier struct {
	Case     Case            `json:"case"`
	Request  json.RawMessage `json:"request,omitempty"` // without its images
	Images   int             `json:"images"`
	Finding  Finding         `json:"finding"`
	Notes    []Note          `json:"notes,omitempty"`
	Evidence []Evidence      `json:"evidence,omitempty"`
	Due      []Due           `json:"due,omitempty"`
	Log      []LogEntry      `json:"log"`
	Replies  []takedown.CaseID
}

// Dossier returns what the desk has about a case. internal adds notes, evidence and
// what is due; leave them out where a person asks for their own data. The log records
// that it was handed out. It fails with [ErrNotAllowed] for a reviewer without
// [DutyProtect].
func (d *Desk) Dossier(ctx context.Context, id takedown.CaseID, a Actor, internal bool) (x Dossier, err error) {
	if x.Case, err = d.look(ctx, id, a, factExported); err != nil {
		return x, err
	}
	internal = internal && d.maySee(&x.Case, a) == nil
	x.Finding = x.Case.Finding
	if x.Case.Request != nil {
		x.Images = len(request.Images(x.Case.Request))
		if x.Request, err = request.Encode(request.WithImages(withoutTemplates(x.Case.Request), nil)); err != nil {
			return x, err
		}
	}
	if !x.Case.Erased() && d.maySee(&x.Case, a) == nil {
		if x.Notes, err = d.Notes(ctx, id); err != nil {
			return x, err
		}
		if !internal { // the papers of the requester
			x.Notes = slices.DeleteFunc(x.Notes, func(n Note) bool { return n.By != "" })
		}
	}
	if internal && !x.Case.Erased() {
		if x.Evidence, err = d.Evidence(ctx, id); err != nil {
			return x, err
		}
		if x.Due, err = d.DueOf(ctx, id); err != nil {
			return x, err
		}
	}
	replies, err := d.Find(ctx, Query{About: id, Limit: maxPage, Order: NewestFirst})
	if err != nil {
		return x, err
	}
	for _, c := range replies.Cases {
		x.Replies = append(x.Replies, c.ID)
	}
	slices.Reverse(x.Replies)
	if x.Log, err = d.LogOf(ctx, id); err != nil {
		return x, err
	}
	for i := range x.Log {
		if !internal {
			x.Log[i].By = ""
		}
	}
	return x, nil
}
