package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
)

// feedCmds are the commands about feeds.
type feedCmds struct {
	Publish feedPublishCmd `cmd:"" help:"Write a list as static signed files that readers follow."`
	Follow  feedFollowCmd  `cmd:"" help:"Keep a copy of a feed up to date."`
	Status  feedStatusCmd  `cmd:"" help:"Tell how a feed stands, and whether it is genuine and fresh."`
}

type feedPublishCmd struct {
	Dir string `arg:"" help:"The folder of a list or a desk." predictor:"file"`
	To  string `arg:"" help:"The folder to write to, which a web server serves." predictor:"file"`
	signFlags
	Retain time.Duration `help:"How long files are kept at most." default:"720h"`
}

// Help is shown below the usage.
func (feedPublishCmd) Help() string {
	return `Publishes once, and again whenever it is called: readers get the difference. A desk that is running publishes by itself
(package blocklist/feed). The folder belongs to this list alone.

  staydown feed publish lists/partner www/partner --key list.key`
}

func (c *feedPublishCmd) Run(a *app) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	l, err := openFolder(c.Dir, opts)
	if err != nil {
		return err
	}
	defer l.Close()
	store, err := feed.NewFolder(c.To)
	if err != nil {
		return err
	}
	p, err := feed.NewPublisher(a.ctx, l, store, &feed.PublisherOptions{SigningKey: opts.SigningKey, Retain: c.Retain})
	if err != nil {
		return err
	}
	if err := p.Publish(a.ctx); err != nil {
		return err
	}
	i := p.Info()
	a.print(map[string]any{"published": i.Published.String(), "written": i.Written, "deltas": i.Deltas}, fmt.Sprintf("%s: published %v, %d deltas", c.To, i.Published, i.Deltas))
	return nil
}

// feedFlags open a feed.
type feedFlags struct {
	Location string `arg:"" help:"Where the feed is: an http or https address, or a folder."`
	keyFlags
	Copy   string        `help:"The folder for the own copy; by default one in the cache folder of the user." placeholder:"DIR"`
	MaxAge time.Duration `help:"A feed that was last complete longer ago is too old: exit code 5." default:"1h"`
}

// follow opens a feed. The copy of a location is always in the same folder.
func (f *keyFlags) follow(ctx context.Context, location, dir string) (*feed.Feed, error) {
	keys, err := f.trusted()
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, usagef("a feed needs --trust, the key that signs it")
	}
	secret, err := f.encryption()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no folder for the copy of the feed: %w", err)
		}
		sum := sha256.Sum256([]byte(location))
		dir = filepath.Join(cache, "staydown", hex.EncodeToString(sum[:8]))
	}
	x, err := feed.Follow(ctx, location, &feed.Options{Dir: dir, TrustedKeys: keys, EncryptionKey: secret})
	if notGenuine(err) {
		return nil, &unknownError{err}
	}
	return x, err
}

// isFeed reports whether the location of a list is that of a feed.
func isFeed(path string) bool {
	return strings.HasPrefix(path, "https://") || strings.HasPrefix(path, "http://") || exists(filepath.Join(path, "latest"))
}

type feedFollowCmd struct {
	feedFlags
}

// Help is shown below the usage.
func (feedFollowCmd) Help() string {
	return `Follows the feed until it is stopped, and prints a line whenever the list changes. serve and check --list take the
location of a feed too.

  staydown feed follow https://lists.example.org/main/ --trust list.key.pub --copy /var/lib/staydown/main`
}

func (c *feedFollowCmd) Run(a *app) error {
	f, err := c.follow(a.ctx, c.Location, c.Copy)
	if err != nil {
		return err
	}
	defer f.Close()
	var last blocklist.Position
	var failed error
	for {
		i := f.Info()
		if i.Position != last {
			last = i.Position
			a.print(map[string]any{"position": i.Position.String(), "seq": i.Position.Seq, "age_seconds": i.Age.Seconds()}, fmt.Sprintf("%v, %s old", i.Position, i.Age.Round(time.Second)))
		}
		if i.Err != nil && (failed == nil || failed.Error() != i.Err.Error()) {
			fmt.Fprintf(a.errOut, "staydown: not updated: %v\n", i.Err)
		}
		failed = i.Err
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
	}
}

type feedStatusCmd struct {
	feedFlags
}

// Help is shown below the usage.
func (feedStatusCmd) Help() string {
	return `  staydown feed status https://lists.example.org/main/ --trust list.key.pub --max-age 10m`
}

func (c *feedStatusCmd) Run(a *app) error {
	f, err := c.follow(a.ctx, c.Location, c.Copy)
	if err != nil {
		return err
	}
	defer f.Close()
	// The own copy is there at once; the source is asked at least once.
	for range 100 {
		if i := f.Info(); i.Polls > 0 && (i.Lag == 0 || i.Err != nil) || a.ctx.Err() != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	i := f.Info()
	text := fmt.Sprintf("list     %v\nsource   %v, %d events behind\ncomplete %s, %s ago", i.Position, i.Published, i.Lag, i.Current.UTC().Format(time.RFC3339), i.Age.Round(time.Second))
	out := map[string]any{"position": i.Position.String(), "published": i.Published.String(), "lag": i.Lag, "current": i.Current, "age_seconds": i.Age.Seconds()}
	if i.Err != nil {
		out["error"] = i.Err.Error()
		text += "\nfailing  " + i.Err.Error()
	}
	a.print(out, text)
	if err := f.Ready(c.MaxAge); err != nil {
		return &unknownError{err}
	}
	return nil
}
