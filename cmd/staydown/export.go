package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// exportCmd writes a list, or cases, in the form of another organisation.
type exportCmd struct {
	Dir        string `arg:"" help:"The folder of a list or, for lumen, of a desk." predictor:"file"`
	Format     string `help:"The form: pdq, digests, stopncii-feedback or lumen." required:"" enum:"pdq,digests,stopncii-feedback,lumen" placeholder:"FORMAT"`
	Source     string `help:"Only what was imported from this source." placeholder:"NAME"`
	Out        string `help:"File to write; standard output without it. An existing file is not replaced." short:"o" placeholder:"FILE"`
	WithNames  bool   `help:"For lumen: write the names of the people, and what they wrote about the works, instead of [REDACTED]."`
	Decryption string `help:"The file with the key that the list is encrypted with." type:"existingfile" placeholder:"FILE" name:"encryption-key"`
}

// Help is shown below the usage.
func (exportCmd) Help() string {
	return `Formats:
  pdq                the PDQ hashes of pictures in force, as CSV: hash, quality (empty), rule, case, effect
  digests            the SHA-256, SHA-1 and MD5 of files in force, one in each line
  stopncii-feedback  hashFeedbacks: Blocked, NotBlocked for hashes that a reviewer excepted, PendingReview for those that
                     only hold for review
  lumen              a notice in the form of the Lumen database in each line, for DMCA notices and counter-notices

Addresses cannot be exported from a list, which has only digests of them.

  staydown export lists/partner --format stopncii-feedback --source stopncii -o feedback.json
  staydown export takedowns/ --format lumen -o notices.jsonl`
}

func (c *exportCmd) Run(a *app) (err error) {
	out := a.out
	if c.Out != "" {
		f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out = f
	}
	w := bufio.NewWriter(out)
	if c.Format == "lumen" {
		err = c.lumen(a, w)
	} else {
		err = c.list(a, w)
	}
	return errors.Join(err, w.Flush())
}

// exported is a rule in force with its keys, and what reviewers said about it.
type exported struct {
	rule     blocklist.Rule
	excepted bool
	derived  bool
}

// list writes what a list has. Events are read twice, so that only numbers and not
// keys are kept in memory.
func (c *exportCmd) list(a *app, w io.Writer) error {
	key, err := (&keyFlags{Decryption: c.Decryption}).encryption()
	if err != nil {
		return err
	}
	l, err := openFolder(c.Dir, blocklist.Options{EncryptionKey: key})
	if err != nil {
		return err
	}
	defer l.Close()
	var only takedown.CaseID
	if c.Source != "" {
		_, s, err := readSource(c.Dir, c.Source)
		if err != nil {
			return err
		}
		only = s.Case
	}
	said, undone := map[uint64]*exported{}, map[uint64]bool{}
	err = l.Events(1, func(e blocklist.Event) bool {
		if e.Type == blocklist.EventReverted {
			undone[e.Target] = true
		}
		return a.ctx.Err() == nil
	})
	if err != nil {
		return err
	}
	err = l.Events(1, func(e blocklist.Event) bool {
		if (e.Type == blocklist.EventException || e.Type == blocklist.EventDerived) && e.Target != 0 && !undone[e.Seq] {
			x := said[e.Target]
			if x == nil {
				x = new(exported)
				said[e.Target] = x
			}
			x.excepted = x.excepted || e.Type == blocklist.EventException
			x.derived = x.derived || e.Type == blocklist.EventDerived
		}
		return a.ctx.Err() == nil
	})
	if err != nil {
		return err
	}
	put, end := c.writer(w)
	state := l.State()
	var failed error
	err = l.Events(1, func(e blocklist.Event) bool {
		if e.Type != blocklist.EventAdded || e.Rule == nil || only != (takedown.CaseID{}) && only != takedown.CaseID(e.Rule.Case) {
			return a.ctx.Err() == nil
		}
		if _, is, ok := state.Rule(e.Seq); !ok || is != blocklist.RuleInForce {
			return true
		}
		x := exported{}
		if s := said[e.Seq]; s != nil {
			x = *s
		}
		x.rule = *e.Rule
		failed = put(e.Seq, &x)
		return failed == nil && a.ctx.Err() == nil
	})
	if err := errors.Join(err, failed, a.ctx.Err()); err != nil {
		return err
	}
	return end()
}

// ownHashes are the PDQ hashes of the pictures of a rule as they were registered,
// without those of their mirrored and turned copies.
func ownHashes(r *blocklist.Rule) (own []phash.Hash) {
	for _, k := range r.Keys.Hashes {
		if k.Hash.Algorithm() == phash.AlgPDQ && phash.Transform(k.Variant) == phash.MakeTransform(phash.Whole, phash.Upright) {
			own = append(own, k.Hash)
		}
	}
	return own
}

// feedback is an element of hashFeedbacks.
type feedback struct {
	HashValue     string   `json:"hashValue"`
	FeedbackValue string   `json:"feedbackValue"`
	Tags          []string `json:"tags"`
}

// writer returns the functions that write a rule, and the end.
func (c *exportCmd) writer(w io.Writer) (put func(uint64, *exported) error, end func() error) {
	nothing := func() error { return nil }
	switch c.Format {
	case "pdq":
		fmt.Fprintln(w, "hash,quality,rule,case,effect")
		return func(rule uint64, x *exported) error {
			for _, h := range ownHashes(&x.rule) {
				if _, err := fmt.Fprintf(w, "%x,,%d,%s,%s\n", h.Bytes(), rule, takedown.CaseID(x.rule.Case), x.rule.Effect); err != nil {
					return err
				}
			}
			return nil
		}, nothing
	case "digests":
		return func(_ uint64, x *exported) (err error) {
			line := func(b []byte) { _, e := fmt.Fprintln(w, hex.EncodeToString(b)); err = errors.Join(err, e) }
			for _, b := range x.rule.Keys.Bytes {
				line(b[:])
			}
			for _, b := range x.rule.Keys.SHA1 {
				line(b[:])
			}
			for _, b := range x.rule.Keys.MD5 {
				line(b[:])
			}
			return err
		}, nothing
	}
	all := []feedback{}
	return func(_ uint64, x *exported) error {
			value := "Blocked"
			switch {
			case x.excepted && !x.derived:
				value = "NotBlocked"
			case x.rule.Effect == blocklist.EffectReview && !x.derived:
				value = "PendingReview"
			}
			for _, h := range ownHashes(&x.rule) {
				all = append(all, feedback{hex.EncodeToString(h.Bytes()), value, []string{}})
			}
			return nil
		}, func() error {
			return json.NewEncoder(w).Encode(map[string]any{"count": len(all), "hashFeedbacks": all})
		}
}

// lumenNotice is a notice of the Lumen database.
type lumenNotice struct {
	Type         string      `json:"type"`
	Title        string      `json:"title"`
	Body         string      `json:"body,omitempty"`
	DateReceived string      `json:"date_received"`
	Source       string      `json:"source"`
	Language     string      `json:"language,omitempty"`
	ActionTaken  string      `json:"action_taken"`
	Original     string      `json:"counternotice_for,omitempty"`
	Works        []lumenWork `json:"works_attributes"`
	Roles        []lumenRole `json:"entity_notice_roles_attributes"`
}

type lumenWork struct {
	Description string     `json:"description,omitempty"`
	Kind        string     `json:"kind,omitempty"`
	Infringing  []lumenURL `json:"infringing_urls_attributes,omitempty"`
	Originals   []lumenURL `json:"copyrighted_urls_attributes,omitempty"`
}

type lumenURL struct {
	URL string `json:"url"`
}

type lumenRole struct {
	Name   string            `json:"name"`
	Entity map[string]string `json:"entity_attributes"`
}

// redacted stands for what is not published.
const redacted = "[REDACTED]"

// lumen writes the notices of a desk.
func (c *exportCmd) lumen(a *app, w io.Writer) error {
	d, err := (&deskFlags{Dir: c.Dir, Decryption: c.Decryption}).open()
	if err != nil {
		return err
	}
	defer d.Close()
	enc := json.NewEncoder(w)
	for some, err := range d.Cases(a.ctx) {
		if err != nil {
			return err
		}
		if some.Kind != request.KindDMCANotice && some.Kind != request.KindCounterNotice {
			continue
		}
		whole, err := d.Case(a.ctx, some.ID)
		if err != nil {
			return err
		}
		if n := c.notice(&whole); n != nil {
			if err := enc.Encode(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// notice makes the notice of a case, or nil if its request was erased.
func (c *exportCmd) notice(x *desk.Case) *lumenNotice {
	n := &lumenNotice{Title: "Notice " + x.ID.String(), DateReceived: x.Received.UTC().Format(time.DateOnly), Source: "online form", ActionTaken: lumenAction(x)}
	switch r := x.Request.(type) {
	case request.DMCANotice:
		n.Type, n.Language = "DMCA", r.Requester.Language
		for i, w := range r.Works {
			work := lumenWork{Description: w.Description, Kind: w.Kind}
			if w.Description != "" && !c.WithNames {
				work.Description = redacted // free text may name anybody
			}
			if w.Original != "" {
				work.Originals = []lumenURL{{w.Original}}
			}
			if i == 0 { // the notice does not say which address is of which work
				work.Infringing = urlsOf(r.ImageURLs, r.PageURLs)
			}
			n.Works = append(n.Works, work)
		}
		n.Roles = c.roles(&r.Requester)
	case request.CounterNotice:
		n.Type, n.Language, n.Original, n.Body = "Counternotice", r.Requester.Language, r.Case.String(), string(r.Reason)
		n.Works = []lumenWork{{Infringing: urlsOf(r.ImageURLs, r.PageURLs)}}
		n.Roles = c.roles(&r.Requester)
	default:
		return nil
	}
	return n
}

func urlsOf(lists ...[]string) (urls []lumenURL) {
	for _, u := range slices.Concat(lists...) {
		urls = append(urls, lumenURL{u})
	}
	return urls
}

// roles names who sent a notice. An organisation is named, a person is not.
func (c *exportCmd) roles(r *request.Requester) []lumenRole {
	name, principal := redacted, redacted
	if r.Organisation != "" {
		name = r.Organisation
	} else if c.WithNames {
		name = r.FullName()
	}
	if c.WithNames {
		principal = r.OnBehalfOf
	}
	roles := []lumenRole{{"sender", map[string]string{"name": name, "country_code": r.Country}}}
	if r.OnBehalfOf != "" {
		roles = append(roles, lumenRole{"principal", map[string]string{"name": principal}})
	}
	return roles
}

// lumenAction says in Lumen's words what was done.
func lumenAction(x *desk.Case) string {
	switch x.Outcome {
	case desk.OutcomeAccepted:
		return "Yes"
	case desk.OutcomePartly:
		return "Partial"
	case "":
		return "Unspecified"
	}
	return "No"
}
