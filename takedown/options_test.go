package takedown_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
)

// What Open is given wrongly it says by name, and makes nothing.
func TestOpen_RefusesOptions(t *testing.T) {
	t.Parallel()
	model := takedown.FaceModel{Name: "m", Dimensions: 128, Block: 0.7, Review: 0.6}
	for name, tt := range map[string]struct {
		o    takedown.DeskOptions
		want string
	}{
		"signing key":       {takedown.DeskOptions{SigningKey: make([]byte, 12)}, "DeskOptions.SigningKey"},
		"empty signing key": {takedown.DeskOptions{SigningKey: []byte{}}, "DeskOptions.SigningKey"},
		"operator key":      {takedown.DeskOptions{OperatorKey: make([]byte, 31)}, "DeskOptions.OperatorKey"},
		"policy":            {takedown.DeskOptions{Policy: "two words"}, "DeskOptions.Policy"},
		"recheck":           {takedown.DeskOptions{RecheckAfter: -1}, "DeskOptions.RecheckAfter"},
		"face lifetime":     {takedown.DeskOptions{FaceLifetime: -time.Hour}, "DeskOptions.FaceLifetime"},
		"many matches":      {takedown.DeskOptions{ManyMatches: -1}, "DeskOptions.ManyMatches"},
		"budget":            {takedown.DeskOptions{MatchBudget: 171}, "DeskOptions.MatchBudget"},
		"confirm":           {takedown.DeskOptions{ConfirmEmail: true}, "DeskOptions.ConfirmEmail"},
		"models":            {takedown.DeskOptions{FaceModels: []takedown.FaceModel{model, model}}, "DeskOptions.FaceModels"},
		"thresholds":        {takedown.DeskOptions{FaceModels: []takedown.FaceModel{{Name: "m", Dimensions: 128}}}, "DeskOptions.FaceModels"},
		"profile":           {takedown.DeskOptions{Profiles: []takedown.Profile{{Require: []string{"requester.emial"}}}}, "Profile.Require"},
		"empty path":        {takedown.DeskOptions{Profiles: []takedown.Profile{{Require: []string{""}}}}, "Profile.Require"},
		"block radius":      {takedown.DeskOptions{Enforcer: takedown.EnforcerOptions{BlockRadius: 1000}}, "EnforcerOptions.BlockRadius"},
		"review radius":     {takedown.DeskOptions{Enforcer: takedown.EnforcerOptions{ReviewRadius: -1}}, "EnforcerOptions.ReviewRadius"},
		"age":               {takedown.DeskOptions{Enforcer: takedown.EnforcerOptions{MaxAge: -1}}, "EnforcerOptions.MaxAge"},
		"age alone":         {takedown.DeskOptions{Enforcer: takedown.EnforcerOptions{MaxAge: 1}}, "EnforcerOptions.Stale"},
		"stale":             {takedown.DeskOptions{Enforcer: takedown.EnforcerOptions{Stale: 9}}, "EnforcerOptions.Stale"},
	} {
		dir := filepath.Join(t.TempDir(), "desk")
		d, err := takedown.Open(dir, &tt.o)
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
	err := takedown.Validate(notice("https://example.org/1.jpg"), takedown.Profile{Require: []string{"requester.emial"}})
	if bad := new(takedown.ArgumentError); !errors.As(err, &bad) {
		t.Errorf("Validate: %v", err)
	}
	// Fields that some kind has, also in a list.
	open(t, t.TempDir(), &takedown.DeskOptions{Profiles: []takedown.Profile{takedown.ProfileLenso, {Require: []string{"works[0].kind", "redress"}}}})
}

// panicking is a store whose next update panics, as that of an operator may.
type panicking struct {
	takedown.Store
	next bool
}

func (p *panicking) Update(f func(takedown.StoreTx) error) error {
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
	inner, err := takedown.OpenStore(filepath.Join(dir, "elsewhere.db"))
	ok(t, err)
	store := &panicking{Store: inner}
	d := open(t, dir, &takedown.DeskOptions{Store: store})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		store.next = true
		d.Publish(filepath.Join(dir, "list.snap"))
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
