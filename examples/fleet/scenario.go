package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// soon is how long nodes may take to agree in -e2e.
const soon = 40 * time.Second

// scenario runs through what happens to fleets, and checks what every node
// enforces in the end.
func (f *fleet) scenario(ctx context.Context, kills int) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"a removal arrives at every node, of both lists", f.arrive},
		{"a node is killed, one is cut off, and a NATS server is gone", f.someAreAway},
		{"the desk is killed between two removals", f.deskIsKilled},
		{"the file server is gone: the bell brings the removal", f.onlyBell},
		{"all NATS servers and their streams are gone: polling finds it", f.onlyFiles},
		{fmt.Sprintf("%d kills, partitions, damaged and withheld files at random", kills), func(ctx context.Context) error { return f.random(ctx, kills) }},
		{"an old backup of the desk is restored, and goes on: the nodes refuse the fork", f.fork},
	} {
		f.say("%s", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	f.say("all nodes enforce all %d removals, and nothing else", len(f.removed))
	return nil
}

func (f *fleet) next() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("https://shop.example/%d.jpg", len(f.removed)+1)
}

func (f *fleet) acceptNext(ctx context.Context) error {
	_, err := f.accept(ctx, "main", f.next())
	return err
}

// agree waits until all nodes have the desks' lists, and asks them.
func (f *fleet) agree(ctx context.Context) error {
	if err := f.wait(ctx, "that all nodes agree", soon, f.converged); err != nil {
		return err
	}
	for _, name := range f.nodeNames() {
		if err := f.blocks(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) arrive(ctx context.Context) error {
	for range 3 {
		if err := f.acceptNext(ctx); err != nil {
			return err
		}
	}
	const held = "https://shop.example/held.jpg"
	if _, err := f.accept(ctx, "industry", held); err != nil {
		return err
	}
	if err := f.agree(ctx); err != nil {
		return err
	}
	for country, want := range map[string]verdict{"DE": {Verdict: "review", List: "industry"}, "JP": {Verdict: "allow"}} {
		var v verdict
		if err := f.get(ctx, "node-1", "/filter?country="+country+"&url="+url.QueryEscape(held), &v); err != nil {
			return err
		}
		if v.Verdict != want.Verdict || v.List != want.List {
			return fmt.Errorf("the industry's rule answers %+v in %s, want %+v", v, country, want)
		}
	}
	// For fork, later.
	f.kill("desk-main", syscall.SIGTERM)
	if err := os.CopyFS(f.path("backup"), os.DirFS(f.path("desk-main"))); err != nil {
		return err
	}
	return f.run("desk-main")
}

func (f *fleet) someAreAway(ctx context.Context) error {
	if err := f.wait(ctx, "the desk", soon, f.converged); err != nil {
		return err
	}
	f.kill("node-1", syscall.SIGKILL)
	f.partition("node-2", true)
	f.kill("nats-1", syscall.SIGKILL)
	for range 3 {
		if err := f.acceptNext(ctx); err != nil {
			return err
		}
	}
	err := f.wait(ctx, "that the others enforce it", soon, func(ctx context.Context) error {
		for _, name := range f.nodeNames()[2:] {
			if err := f.blocks(ctx, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = f.run("nats-1")
	}
	if err == nil {
		err = f.run("node-1")
	}
	f.partition("node-2", false)
	if err != nil {
		return err
	}
	return f.agree(ctx)
}

func (f *fleet) deskIsKilled(ctx context.Context) error {
	if err := f.acceptNext(ctx); err != nil {
		return err
	}
	f.kill("desk-main", syscall.SIGKILL)
	if err := f.run("desk-main"); err != nil {
		return err
	}
	if err := f.wait(ctx, "the desk", soon, func(ctx context.Context) error { return f.acceptNext(ctx) }); err != nil {
		return err
	}
	return f.agree(ctx)
}

func (f *fleet) onlyBell(ctx context.Context) error {
	// The desk was just started.
	err := f.wait(ctx, "that the desk has a bell", soon, func(ctx context.Context) error {
		var d deskStatus
		err := f.get(ctx, "desk-main", "/status", &d)
		if err == nil && !d.Bell {
			err = errors.New("it is not connected")
		}
		return err
	})
	if err != nil {
		return err
	}
	f.kill("files", syscall.SIGKILL)
	if err := f.acceptNext(ctx); err != nil {
		return err
	}
	err = f.wait(ctx, "that the nodes enforce it", soon, func(ctx context.Context) error {
		for _, name := range f.nodeNames() {
			if err := f.blocks(ctx, name); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, f.run("files"))
}

func (f *fleet) onlyFiles(ctx context.Context) error {
	for i := range servers {
		name := fmt.Sprintf("nats-%d", i+1)
		f.kill(name, syscall.SIGKILL)
		if err := os.RemoveAll(f.path(name)); err != nil {
			return err
		}
	}
	if err := f.acceptNext(ctx); err != nil {
		return err
	}
	if err := f.agree(ctx); err != nil {
		return err
	}
	for i := range servers {
		if err := f.run(fmt.Sprintf("nats-%d", i+1)); err != nil {
			return err
		}
	}
	return nil
}

// random does one harm after the other, and ends each some moments later.
func (f *fleet) random(ctx context.Context, n int) error {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	f.say("seed %d", seed)
	refused := 0
	for i := range n {
		heal, what, err := f.harm(r)
		if err != nil {
			return err
		}
		for range 1 + r.IntN(3) {
			// A desk that is down takes nothing, and promises nothing.
			if err := f.acceptNext(ctx); err != nil {
				refused++
			}
			time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
		}
		if err := heal(); err != nil {
			return err
		}
		if i%10 == 9 {
			f.say("%d of %d, the last: %s; %d removals", i+1, n, what, len(f.removed))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := f.agree(ctx); err != nil {
		return err
	}
	// A desk that was killed may have taken a removal without answering: the
	// nodes then have what the desk has, which converged compared.
	f.say("%d removals were accepted, %d requests got no answer", len(f.removed), refused)
	return nil
}

// harm does something bad at random, and returns what ends it.
func (f *fleet) harm(r *rand.Rand) (heal func() error, what string, err error) {
	node := f.nodeNames()[r.IntN(nodes)]
	switch k := r.IntN(8); k {
	case 0, 1:
		f.kill(node, syscall.SIGKILL)
		return func() error { return f.run(node) }, node + " was killed", nil
	case 2, 3:
		f.partition(node, true)
		return func() error { f.partition(node, false); return nil }, node + " was cut off", nil
	case 4:
		name := fmt.Sprintf("nats-%d", 1+r.IntN(servers))
		f.kill(name, syscall.SIGKILL)
		return func() error { return f.run(name) }, name + " was killed", nil
	case 5:
		name := []string{"desk-main", "files", "desk-industry"}[r.IntN(3)]
		f.kill(name, syscall.SIGKILL)
		return func() error { return f.run(name) }, name + " was killed", nil
	default:
		return f.harmFile(r, k == 6)
	}
}

// harmFile damages or withholds a published file.
func (f *fleet) harmFile(r *rand.Rand, damage bool) (heal func() error, what string, err error) {
	dir := filepath.Join(f.path("public"), "main")
	all, err := filepath.Glob(filepath.Join(dir, "*-*-*"))
	if err != nil || len(all) == 0 {
		return func() error { return nil }, "nothing", err
	}
	path := all[r.IntN(len(all))]
	good, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || strings.Contains(path, ".tmp") {
		return func() error { return nil }, "nothing", nil
	}
	if err != nil {
		return nil, "", err
	}
	bad := append([]byte{}, good...)
	if what = filepath.Base(path) + " was withheld"; damage {
		what = filepath.Base(path) + " was damaged"
		bad[r.IntN(len(bad))] ^= 1
	} else {
		bad = bad[:0]
	}
	err = os.WriteFile(path, bad, 0o600)
	return func() error {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil // the publisher has deleted it meanwhile
		}
		return os.WriteFile(path, good, 0o600)
	}, what, err
}

func (f *fleet) fork(ctx context.Context) error {
	var before []listStatus
	if err := f.get(ctx, "node-3", "/status", &before); err != nil {
		return err
	}
	f.kill("desk-main", syscall.SIGTERM)
	if err := os.Rename(f.path("desk-main"), f.path("desk-lost")); err != nil {
		return err
	}
	if err := os.Rename(f.path("backup"), f.path("desk-main")); err != nil {
		return err
	}
	if err := f.run("desk-main"); err != nil {
		return err
	}
	var d deskStatus
	err := f.wait(ctx, "that the publisher refuses to publish a backup", soon, func(ctx context.Context) error {
		err := f.get(ctx, "desk-main", "/status", &d)
		if err == nil && d.Error == "" {
			err = errors.New("it does not refuse")
		}
		return err
	})
	if err != nil {
		return err
	}
	f.say("the publisher of the backup: %s", d.Error)
	// The operator takes away what the publisher compares with.
	f.kill("desk-main", syscall.SIGTERM)
	if err := os.Remove(filepath.Join(f.path("public"), "main", "latest")); err != nil {
		return err
	}
	if err := f.run("desk-main"); err != nil {
		return err
	}
	removed := f.removed
	for i := 0; d.Seq <= before[0].Seq; i++ {
		err := f.wait(ctx, "the desk", soon, func(ctx context.Context) error {
			_, err := f.accept(ctx, "main", fmt.Sprintf("https://shop.example/fork-%d.jpg", i))
			return err
		})
		if err == nil {
			err = f.get(ctx, "desk-main", "/status", &d)
		}
		if err != nil {
			return err
		}
	}
	f.removed = removed
	var s []listStatus
	for _, name := range f.nodeNames() {
		err := f.wait(ctx, "that "+name+" refuses the fork", soon, func(ctx context.Context) error {
			s = nil // JSON leaves fields that are not there as they are
			err := f.get(ctx, name, "/status", &s)
			if err == nil && !strings.Contains(s[0].Error, "another history") {
				err = fmt.Errorf("it says %q", s[0].Error)
			}
			return err
		})
		if err != nil {
			return err
		}
		if s[0].Digest != before[0].Digest || s[0].Ready {
			return fmt.Errorf("%s is at %d, and ready: %t", name, s[0].Seq, s[0].Ready)
		}
		if err := f.blocks(ctx, name); err != nil {
			return err
		}
	}
	f.say("the nodes: %s", s[0].Error)
	return nil
}
