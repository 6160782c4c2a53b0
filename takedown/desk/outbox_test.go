package desk_test

import (
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// What a reviewer says about a match, and what the allow list has, is in the log and
// in the list, or in neither, whichever write a crash prevents.
func TestOutbox_Crash(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(d *desk.Desk, c takedown.Candidate) error{
		"a match": func(d *desk.Desk, c takedown.Candidate) error {
			_, err := d.Resolve(ctx, desk.Match{Actor: alice, Candidate: c, Decision: d.Enforcer().Check(c)}, desk.NotTheSame)
			return err
		},
		"the allow list": func(d *desk.Desk, c takedown.Candidate) error {
			_, err := d.AddToAllowList(ctx, c, desk.Actor{By: "alice", Reason: "logo"}, "many_pages_show_it")
			return err
		},
	} {
		for n := int64(0); ; n++ {
			dir := t.TempDir()
			s, err := desk.OpenStore(filepath.Join(dir, "cases.db"))
			ok(t, err)
			c := &crashing{Store: s}
			c.left.Store(1 << 40)
			d, err := desk.Open(dir, &desk.Options{Store: c})
			ok(t, err)
			accept(t, d, optOut(t, 1), desk.Grant{})
			candidate := testCandidate(t, 1)
			candidate.SHA256 = [32]byte{9} // another file of the picture
			wantVerdict(t, "before", d.Enforcer().Check(candidate), takedown.Block)
			said := func(d *desk.Desk) (n int) {
				for e, err := range d.Log(ctx, 1) {
					if ok(t, err); e.To == "exception" || e.To == "allow_listed" {
						n++
					}
				}
				return n
			}
			before := said(d)
			c.left.Store(n)
			failed := say(d, candidate)
			_ = d.Close()
			d, err = desk.Open(dir, nil)
			ok(t, err)
			inLog, allowed := said(d) > before, d.Enforcer().Check(candidate).Verdict == takedown.Allow
			if inLog != allowed || failed == nil && !allowed || n == 0 && allowed {
				t.Errorf("%s, after %d updates: in the log %t, in the list %t; %v", name, n, inLog, allowed, failed)
			}
			ok(t, d.Close())
			if failed == nil {
				break
			}
			if n == 20 {
				t.Fatalf("%s: fails without a crash: %v", name, failed)
			}
		}
	}
}
