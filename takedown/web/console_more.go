package web

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// parseDay reads a day of a form: its end, in UTC.
func parseDay(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, errors.New("the day is not a date, such as 2027-01-31")
	}
	return t.AddDate(0, 0, 1), nil
}

// caseImage shows a picture of a request.
func (h *Handler) caseImage(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	var images []request.File
	if c.Request != nil {
		images = request.Images(c.Request)
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(images) {
		h.missing(w, r)
		return
	}
	rect, err := parseRect(r.URL.Query().Get("rect"))
	if size := r.URL.Query().Get("size"); size != "crop" || err != nil {
		h.servePicture(w, r, images[n], map[bool]int{true: cropSize, false: 420}[size == "crop"])
		return
	}
	pic, err := openPicture(r.Context(), images[n])
	var b []byte
	if err == nil {
		b, err = outlined(pic.Image(), cropSize, rect)
	}
	if err != nil {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write(b)
}

// indexImage shows a picture of the operator's index.
func (h *Handler) indexImage(w http.ResponseWriter, r *http.Request, _ Reviewer) {
	if h.opts.Thumbnail == nil {
		h.missing(w, r)
		return
	}
	b, err := h.opts.Thumbnail(r.Context(), r.PathValue("key"))
	typ := http.DetectContentType(b)
	if err != nil || typ != "image/jpeg" && typ != "image/png" && typ != "image/webp" {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", typ)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// resolve records what a reviewer says of a match in the index.
func (h *Handler) resolve(r *http.Request, a desk.Actor) error {
	key := r.FormValue("key")
	if h.opts.Index == nil {
		return errors.New("there is no index")
	}
	var item *takedown.Item
	for it, err := range h.opts.Index(r.Context(), "") {
		if err != nil {
			return err
		}
		if it.Key == key {
			item = &it
			break
		}
	}
	if item == nil {
		return errors.New("there is no such picture in the index")
	}
	d := h.desk.Enforcer().Check(item.Candidate)
	if d.Why == 0 {
		return errors.New("it is not matched any more")
	}
	how := desk.NotTheSame
	if r.FormValue("same") == "yes" {
		how = desk.SameImage
	}
	_, err := h.desk.Resolve(r.Context(), desk.Match{Actor: a, Candidate: item.Candidate, Decision: d}, how)
	return err
}

// letterPage is the letter that a decision would send, in the language of its
// reader, with the words of the reviewer to change.
type letterPage struct {
	Case, Subject, Lang, Dir string
	Lines                    []string
	Terms                    terms
	Do                       string // the decision: accept or reject
	Reasons                  []option
	Version                  int
}

// letter shows what the requester would read after a decision.
func (h *Handler) letter(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	l := letterPage{Case: c.ID.String(), Terms: termsOf(r.URL.Query()), Do: "accept", Version: c.Version}
	m, err := h.decision(&c, &l, who)
	p := h.consolePage(r, who, "letter", nil)
	if err != nil {
		p.Alert = err.Error()
	}
	subject, body, err := h.opts.Texts.Message(m)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	l.Subject, l.Lines = subject, strings.Split(strings.TrimSpace(body), "\n")
	lang := h.wordsFor(m.To.Language)
	l.Lang, l.Dir = lang.Lang(), lang.Dir()
	p.Data = l
	h.render(w, r, http.StatusOK, "letter", p)
}

// decision is the message of a decision on the terms of a page.
func (h *Handler) decision(c *desk.Case, l *letterPage, who Reviewer) (m desk.Message, err error) {
	m = desk.Message{Time: h.opts.Now(), Case: c.ID, Kind: c.Kind, Regime: c.Regime, Asked: c.Asked, Granted: c.Asked, Reason: l.Terms.Get("reason"),
		Finding: findingOf(l.Terms), Claim: c.Claim, ChildSafety: slices.Contains(c.Flags, request.FlagChildSafety)}
	values := valuesOf(c.Request)
	for _, it := range c.Items {
		m.Items = append(m.Items, desk.MessageItem{CaseItem: it, Given: valueAt(values, it.Field)})
	}
	words := h.words[0]
	if c.Request != nil {
		from := c.Request.From()
		m.Country = from.Country
		m.To = desk.Recipient{Name: from.FullName(), Email: from.Email, Language: from.Language}
		words = h.wordsFor(from.Language)
	}
	if l.Terms.Get("do") == "reject" {
		l.Do, l.Reasons = "reject", h.reasons(words, desk.Reasons())
		m.Type, m.Granted, m.Refused, m.Outcome = desk.MessageRejected, 0, len(c.Items), desk.OutcomeRejected
	} else {
		l.Reasons = h.reasons(words, acceptances)
		var g desk.Grant
		g, err = grantOf(l.Terms, c, who.actor(m.Reason))
		m.Type, m.Outcome = accepted(&m, g)
	}
	for i := range l.Reasons {
		l.Reasons[i].Chosen = l.Reasons[i].Value == m.Reason
	}
	return m, err
}

// accepted notes in a message what a grant accepts and what it refuses.
func accepted(m *desk.Message, g desk.Grant) (desk.MessageType, desk.Outcome) {
	if g.Scope != 0 {
		m.Granted = g.Scope
	}
	m.Territories, m.End = g.Territories, g.End
	for i := range m.Items {
		it := &m.Items[i]
		it.Outcome, it.Granted = cmp.Or(g.Items[i].Outcome, desk.OutcomeAccepted), min(m.Granted, it.MaxScope)
		if it.Outcome == desk.OutcomeAccepted {
			m.Accepted++
			continue
		}
		m.Refused++
		it.Granted, it.Reason = 0, cmp.Or(g.Items[i].Reason, m.Reason)
	}
	if m.Refused > 0 {
		return desk.MessagePartial, desk.OutcomePartly
	}
	return desk.MessageAccepted, desk.OutcomeAccepted
}

// wordsFor are the words of the pages in the language of a letter's reader.
func (h *Handler) wordsFor(lang string) words {
	tag, _ := language.Parse(lang)
	_, i, c := h.matcher.Match(tag)
	if c == language.No {
		i = 0
	}
	return h.words[i]
}

// alarms are the rules that match more than they should.
func (h *Handler) alarms(w http.ResponseWriter, r *http.Request, who Reviewer) {
	list, err := h.desk.Alarms(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "alarms", h.consolePage(r, who, "alarms", slices.DeleteFunc(list, func(a desk.Alarm) bool { return !h.visible(r.Context(), who, a.Case) })))
}

// duePage is one page of deadlines.
type duePage struct {
	Due  []desk.Due
	Next string
}

// due shows the deadlines of the next two weeks, those of the most urgent cases first.
func (h *Handler) due(w http.ResponseWriter, r *http.Request, who Reviewer) {
	before := h.opts.Now().AddDate(0, 0, 14)
	page, err := h.desk.Find(r.Context(), desk.Query{DueBefore: before, After: r.URL.Query().Get("after")})
	var bad *takedown.ArgumentError
	if errors.As(err, &bad) {
		h.missing(w, r)
		return
	}
	d := duePage{Next: page.Next}
	for _, c := range page.Cases {
		if err != nil || !who.mayOpen(&c) {
			continue
		}
		var list []desk.Due
		list, err = h.desk.DueOf(r.Context(), c.ID)
		for _, x := range list {
			if !x.NotAfter.IsZero() && x.NotAfter.Before(before) {
				d.Due = append(d.Due, x)
			}
		}
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "due", h.consolePage(r, who, "due", d))
}

// export sends the table of all cases, which has no personal data.
func (h *Handler) export(w http.ResponseWriter, r *http.Request, who Reviewer) {
	if !who.Roles.Has(RolePrivacy) {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="cases.csv"`)
	if err := h.desk.ExportCSV(r.Context(), w); err != nil {
		h.opts.Logger.Error("web: export", "error", err)
	}
}
