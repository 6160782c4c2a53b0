package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// clerk registers pictures as people have them registered: by image opt-outs at a
// desk that are accepted as asked.
type clerk struct {
	desk *desk.Desk
	dir  string
}

func newClerk() (*clerk, error) {
	dir, err := os.MkdirTemp("", "accuracy-desk-")
	if err != nil {
		return nil, err
	}
	d, err := desk.Open(filepath.Join(dir, "desk"), &desk.Options{OneReviewer: true, Parts: true})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &clerk{d, dir}, nil
}

func (c *clerk) close() error { return errors.Join(c.desk.Close(), os.RemoveAll(c.dir)) }

// registration is what became of an opt-out.
type registration struct {
	id      takedown.CaseID
	refused string // why the picture's hash is not matched; empty if it is
	points  int    // described points; 0: it is not found inside others
	risks   string // codes of the risks that the reviewer is told, with commas
}

func (c *clerk) register(ctx context.Context, path string) (registration, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return registration{}, err
	}
	filed, err := c.desk.Submit(ctx, request.ImageOptOut{
		Requester: request.Requester{Name: "Measure", Email: "measure@example.org"},
		Images:    []request.File{request.FromBytes(file)}, Claim: request.ClaimOwner,
	})
	if err != nil {
		return registration{}, fmt.Errorf("%s: %w", path, err)
	}
	p, err := c.desk.Preview(ctx, filed.ID, nil, nil)
	if err != nil {
		return registration{}, fmt.Errorf("%s: %w", path, err)
	}
	// A reviewer can grant no more than this of a picture whose hash is refused.
	grant := desk.Grant{Actor: desk.Actor{By: "measure"}, Scope: filed.Pictures[0].MaxScope}
	var risks []string
	for _, f := range p.Risks {
		risks = append(risks, string(f))
	}
	r := registration{filed.ID, filed.Pictures[0].Refused, filed.Pictures[0].Points, strings.Join(risks, ",")}
	if err := c.desk.Accept(ctx, filed.ID, grant); err != nil {
		return registration{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (c *clerk) withdraw(ctx context.Context, r registration) error {
	return c.desk.Withdraw(ctx, r.id, desk.Actor{By: "measure"})
}

// publish writes the list and loads it, as another machine does, and returns the
// size of the file.
func (c *clerk) publish() (*takedown.Enforcer, int64, error) {
	path := filepath.Join(c.dir, "list.snap")
	if err := c.desk.Publish(context.Background(), path); err != nil {
		return nil, 0, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	e, err := takedown.Load(path, nil)
	return e, fi.Size(), err
}

// look is what a crawler does with a file that it fetched. A file that cannot be
// decoded is asked with what is known of it.
func look(path string) (takedown.Candidate, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return takedown.Candidate{}, err
	}
	c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, &takedown.InspectOptions{Parts: true})
	if err != nil && c.SHA256 == [32]byte{} {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ask sets the answers to a crawler, to a ranker that has stored the first hash, and to
// one that has stored the parts, too. name is what the list calls a case.
func (r *row) ask(e *takedown.Enforcer, c takedown.Candidate, name func(takedown.CaseID) string) {
	r.crawler = answerOf(e.Check(c), name)
	r.ranker = answer{verdict: takedown.Allow.String()}
	var kept []phash.Hash
	if len(c.Hashes) > 0 {
		kept = append(kept, c.Hashes[0])
		r.ranker = answerOf(e.Filter("", kept...), name)
	}
	r.parts = answerOf(e.Filter("", append(kept, c.Parts...)...), name)
}

func answerOf(d takedown.Decision, name func(takedown.CaseID) string) answer {
	a := answer{verdict: d.Verdict.String(), distance: d.Distance, points: d.Inliers, coverage: d.Coverage}
	if d.Verdict > takedown.Allow {
		a.why, a.of = d.Why.String(), name(d.Case)
	}
	return a
}
