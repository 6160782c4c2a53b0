package feed_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/internal/fsx"
)

// unreadableState is a file system whose disk does not return the state.
type unreadableState struct{ fsx.FS }

func (u unreadableState) Open(name string) (fsx.File, error) {
	if filepath.Base(name) == "state" {
		return nil, errDisk
	}
	return u.FS.Open(name)
}

// What a reader has seen holds, also when its own copy cannot be read.
func TestSeenPositionHolds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := published(t, 2)
	older := filepath.Join(t.TempDir(), "older")
	if err := os.CopyFS(older, os.DirFS(d.to)); err != nil {
		t.Fatal(err)
	}
	d.add(2)
	d.publish()
	o := manual(t)
	d.reaches(follow(t, d.to, o))
	another := newDesk(t, func(d *desk) { d.opts.SigningKey, d.pub.SigningKey = otherKey, otherKey })
	another.add(9)
	another.publish()
	for _, c := range []struct {
		name   string
		from   string
		change func(*feed.Options)
		want   error
	}{
		{"the disk fails", older, func(o *feed.Options) { o.In(unreadableState{fsx.OS{}}) }, feed.ErrOwnCopy},
		{"the state is damaged", older, func(o *feed.Options) {
			if err := os.Truncate(filepath.Join(o.Dir, "state"), 99); err != nil {
				t.Fatal(err)
			}
		}, feed.ErrOwnCopy},
		{"the base is lost", older, func(o *feed.Options) {
			bases, err := filepath.Glob(filepath.Join(o.Dir, "base-*"))
			if err != nil || len(bases) != 1 {
				t.Fatal(bases, err)
			}
			if err := os.Remove(bases[0]); err != nil {
				t.Fatal(err)
			}
		}, blocklist.ErrRollback},
		{"another key, and another list", another.to, func(o *feed.Options) {
			o.TrustedKeys = []ed25519.PublicKey{otherKey.Public().(ed25519.PublicKey)}
		}, blocklist.ErrRollback},
	} {
		p := manual(t)
		if err := os.CopyFS(p.Dir, os.DirFS(o.Dir)); err != nil {
			t.Fatal(err)
		}
		c.change(p)
		f, err := feed.Follow(ctx, c.from, p)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil {
			f.Close()
		}
	}
	// The publisher has another key, and the list is the same.
	d.list.Close()
	d.opts.SigningKey, d.pub.SigningKey = otherKey, otherKey
	if err := os.RemoveAll(d.to); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.publish()
	o.TrustedKeys = []ed25519.PublicKey{otherKey.Public().(ed25519.PublicKey)}
	o.Dir += "-2"
	if err := os.CopyFS(o.Dir, os.DirFS(o.Dir[:len(o.Dir)-2])); err != nil {
		t.Fatal(err)
	}
	d.reaches(follow(t, d.to, o))
}
