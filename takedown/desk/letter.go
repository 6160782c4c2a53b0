package desk

import (
	"cmp"
	"errors"
	"slices"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// explain adds to a message what its letter repeats and explains.
func (d *Desk) explain(m *Message, c *caseRecord, stored message) error {
	m.Purposes = c.Purposes
	m.Outcome, m.Finding, m.Words, m.Claim, m.Country = c.Outcome, c.Finding, stored.Words, c.Claim, c.Country
	m.ChildSafety = slices.Contains(c.Flags, request.FlagChildSafety)
	for _, it := range c.Items {
		m.Items = append(m.Items, MessageItem{CaseItem: it})
	}
	switch r := c.Request.(type) {
	case nil:
		return nil
	case request.AuthorityOrder:
		m.Authority, m.Reference = r.Authority, r.Reference
	case request.Complaint:
		m.Party = r.Party
	case request.GDPRRequest:
		m.Channel, m.Query = r.Reply, r.QueryName
	}
	if err := d.explainFaces(m, c); err != nil {
		return err
	}
	switch m.Kind {
	case request.KindCounterNotice:
		if x, ok := d.clockOf(&c.Case, "restore", m.Time); ok {
			m.NotBefore, m.NotAfter = x.NotBefore, x.NotAfter
		}
	case request.KindComplaint:
		target, err := d.store.get(c.About)
		if err != nil {
			return err
		}
		m.OtherReviewer = c.decidedBy() != "" && target.decidedBy() != "" && c.decidedBy() != target.decidedBy()
	}
	return d.addGiven(m, c)
}

// addGiven adds the addresses as the requester wrote them.
func (d *Desk) addGiven(m *Message, c *caseRecord) error {
	if !slices.ContainsFunc(c.Items, func(it CaseItem) bool {
		return it.Kind == request.ItemImageURL || it.Kind == request.ItemPageURL || it.Kind == request.ItemHost
	}) {
		return nil
	}
	mats, err := d.store.material(c.ID)
	if err != nil {
		return err
	}
	given := request.GivenAddresses(c.Request, &request.CheckOptions{Mapper: d.opts.URLMapper, Unwrap: d.opts.Unwrap})
	for i := range min(len(mats), len(m.Items)) {
		if mats[i].Address == "" {
			continue
		}
		if m.Items[i].Given = given[mats[i].Address]; m.Items[i].Given == "" {
			m.Items[i].Given = mats[i].Address // the mapper does something else now
		}
	}
	return nil
}

// decidedBy returns who decided a case last.
func (c *Case) decidedBy() string {
	for _, m := range slices.Backward(c.Moves) {
		switch m.To {
		case StateEnforcing, StateRevoking, StateRejected, StateClosed, StateCounter, StateReversed, StateWithdrawn:
			if m.By != "" {
				return m.By
			}
		}
	}
	return ""
}

// statement returns the statement of reasons of a case, with the addresses that
// it restricts.
func (d *Desk) statement(c *caseRecord) (*StatementOfReasons, error) {
	s := NewStatementOfReasons(&c.Case)
	if s.ComplaintWindow = d.complaintWindow(&c.Case); s.ComplaintWindow == (Span{}) {
		s.ComplaintWindow = d.affectedWindow()
	}
	mats, err := d.store.material(c.ID)
	if err != nil {
		return nil, err
	}
	for i := range min(len(mats), len(c.Items)) {
		if it := &c.Items[i]; it.Outcome == OutcomeAccepted && it.Granted == takedown.ScopeURL {
			s.Addresses = append(s.Addresses, mats[i].Address)
		}
	}
	if c.Granted <= takedown.ScopeURL || c.Erased() {
		return &s, nil
	}
	found, err := d.evidence(c.ID)
	if err != nil && !errors.Is(err, ErrErased) {
		return nil, err
	}
	for _, e := range found {
		for _, a := range slices.Concat(e.Candidate.ImageURLs, e.Candidate.PageURLs) {
			if !slices.Contains(s.Copies, a) && !slices.Contains(s.Addresses, a) {
				s.Copies = append(s.Copies, a)
			}
		}
	}
	return &s, nil
}

// explainFaces notes until when nodes may use a face that was withdrawn.
func (d *Desk) explainFaces(m *Message, c *caseRecord) error {
	faces := m.Type == MessageWithdrawn && c.hasFaces()
	if m.Kind == request.KindWithdrawal && m.Type == MessageAccepted {
		target, err := d.store.get(c.About)
		if err != nil {
			return err
		}
		faces = target.hasFaces()
	}
	if faces {
		m.FacesUntil = m.Time.Add(cmp.Or(d.opts.FaceLifetime, blocklist.DefaultFaceLifetime))
	}
	return nil
}
