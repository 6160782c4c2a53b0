package desk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// What Open is given wrongly it says by name, and makes nothing.
func TestOpen_RefusesOptions(t *testing.T) {
	t.Parallel()
	model := desk.FaceModel{Name: "m", Dimensions: 128, Block: 0.7, Review: 0.6}
	for name, tt := range map[string]struct {
		o    desk.Options
		want string
	}{
		"signing key":       {desk.Options{SigningKey: make([]byte, 12)}, "desk.Options.SigningKey"},
		"empty signing key": {desk.Options{SigningKey: []byte{}}, "desk.Options.SigningKey"},
		"operator key":      {desk.Options{OperatorKey: make([]byte, 31)}, "desk.Options.OperatorKey"},
		"policy":            {desk.Options{Policy: "two words"}, "desk.Options.Policy"},
		"recheck":           {desk.Options{RecheckAfter: -1}, "desk.Options.RecheckAfter"},
		"face lifetime":     {desk.Options{FaceLifetime: -time.Hour}, "desk.Options.FaceLifetime"},
		"many matches":      {desk.Options{ManyMatches: -1}, "desk.Options.ManyMatches"},
		"budget":            {desk.Options{MatchBudget: 171}, "desk.Options.MatchBudget"},
		"confirm":           {desk.Options{ConfirmEmail: true}, "desk.Options.ConfirmEmail"},
		"models":            {desk.Options{FaceModels: []desk.FaceModel{model, model}}, "desk.Options.FaceModels"},
		"thresholds":        {desk.Options{FaceModels: []desk.FaceModel{{Name: "m", Dimensions: 128}}}, "desk.Options.FaceModels"},
		"profile":           {desk.Options{Profiles: []request.Profile{{Require: []string{"requester.emial"}}}}, "Profile.Require"},
		"empty path":        {desk.Options{Profiles: []request.Profile{{Require: []string{""}}}}, "Profile.Require"},
		"block radius":      {desk.Options{Enforcer: takedown.EnforcerOptions{BlockRadius: 1000}}, "EnforcerOptions.BlockRadius"},
		"review radius":     {desk.Options{Enforcer: takedown.EnforcerOptions{ReviewRadius: -1}}, "EnforcerOptions.ReviewRadius"},
		"age":               {desk.Options{Enforcer: takedown.EnforcerOptions{MaxAge: -1}}, "EnforcerOptions.MaxAge"},
		"age alone":         {desk.Options{Enforcer: takedown.EnforcerOptions{MaxAge: 1}}, "EnforcerOptions.Stale"},
		"stale":             {desk.Options{Enforcer: takedown.EnforcerOptions{Stale: 9}}, "EnforcerOptions.Stale"},
	} {
		dir := filepath.Join(t.TempDir(), "desk")
		d, err := desk.Open(dir, &tt.o)
		var bad *takedown.ArgumentError
		if !errors.As(err, &bad) || bad.Name != tt.want || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want one about %s", name, err, tt.want)
		}
		if d != nil {
			d.Close()
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the folder was made", name)
		}
	}
	err := request.Validate(notice("https://example.org/1.jpg"), []request.Profile{request.Profile{Require: []string{"requester.emial"}}})
	if bad := new(takedown.ArgumentError); !errors.As(err, &bad) {
		t.Errorf("Validate: %v", err)
	}
	// Fields that some kind has, also in a list.
	open(t, t.TempDir(), &desk.Options{Profiles: []request.Profile{request.ProfileLenso, {Require: []string{"works[0].kind", "redress"}}}})
}

// panicking is a store whose next update panics, as that of an operator may.
type panicking struct {
	desk.Store
	next bool
}

func (p *panicking) Update(f func(desk.StoreTx) error) error {
	if p.next {
		p.next = false
		panic("store")
	}
	return p.Store.Update(f)
}

// A panic in Publish leaves no lock behind.
func TestPublish_Panics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inner, err := desk.OpenStore(filepath.Join(dir, "elsewhere.db"))
	ok(t, err)
	store := &panicking{Store: inner}
	d := open(t, dir, &desk.Options{Store: store})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		store.next = true
		d.Publish(ctx, filepath.Join(dir, "list.snap"))
	}()
	done := make(chan error)
	go func() {
		_, err := d.Submit(ctx, notice("https://example.org/1.jpg"))
		done <- err
	}()
	select {
	case err := <-done:
		ok(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the desk is locked")
	}
}
