//go:build linux

package desk_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
)

// A limit on the size of files stands for a full disk. It holds for the whole process,
// so the tests of this file run in processes of their own.
const envFull = "STAYDOWN_TEST_FULL"

// inChild runs the rest of a test in another process, and reports what it prints.
func inChild(t *testing.T, name string, body func(dir string) error) {
	t.Helper()
	if dir := os.Getenv(envFull); dir != "" {
		err := body(dir)
		if errors.Is(err, errSkip) {
			fmt.Println("skip", err)
			err = nil
		}
		if err != nil {
			fmt.Println("wrong:", err)
		}
		os.Exit(0)
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), envFull+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil || bytes.Contains(out, []byte("wrong:")):
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("skip ")):
		t.Skipf("%s", out)
	case !bytes.Contains(out, []byte("done")):
		t.Errorf("the other process did nothing:\n%s", out)
	}
}

var errSkip = errors.New("not possible here")

// limit sets a limit of the process, and returns what takes it back.
func limit(which int, n uint64) (back func() error, err error) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(which, &old); err != nil {
		return nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	now := old
	now.Cur = n
	if err := syscall.Setrlimit(which, &now); err != nil {
		return nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	return func() error { return syscall.Setrlimit(which, &old) }, nil
}

func hasCode(d *desk.Desk, code desk.HealthCode) bool {
	return slices.ContainsFunc(d.Health(ctx), func(p desk.HealthProblem) bool { return p.Code == code })
}

// With a full disk under the cases, errors say so; when there is room again the
// desk goes on, without being opened again, and nothing that was accepted is lost.
func TestFullDisk_Cases(t *testing.T) {
	inChild(t, "TestFullDisk_Cases", func(dir string) error { return fillDesk(dir, nil) })
}

// The same under the list alone.
func TestFullDisk_List(t *testing.T) {
	inChild(t, "TestFullDisk_List", func(dir string) error { return fillDesk(dir, storetest.Memory()) })
}

func fillDesk(dir string, store desk.Store) error {
	signal.Ignore(syscall.SIGXFSZ)
	back, err := limit(syscall.RLIMIT_FSIZE, 600<<10)
	if err != nil {
		return err
	}
	d, err := desk.Open(dir, &desk.Options{Store: store})
	if err != nil {
		return err
	}
	var accepted, unsure []promise
	for i := 0; len(unsure) < 8; i++ {
		if i > 5000 {
			return errors.New("the disk was never full")
		}
		r := notice(fmt.Sprintf("https://example.org/%d.jpg", i))
		for k := range 20 {
			r.ImageURLs = append(r.ImageURLs, fmt.Sprintf("https://example.org/%d-%d.jpg", i, k))
		}
		p := promise{url: r.ImageURLs[0]}
		c, err := d.Submit(ctx, r)
		if err == nil {
			p.id = c.ID
			err = d.Accept(ctx, c.ID, desk.Grant{})
		}
		if err == nil {
			accepted = append(accepted, p)
			continue
		}
		if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "file too large") {
			return fmt.Errorf("full, and the error is: %w", err)
		}
		if !hasCode(d, desk.HealthFull) {
			return fmt.Errorf("full, and Health says %+v", d.Health(ctx))
		}
		unsure = append(unsure, p)
	}
	if len(accepted) < 5 {
		return fmt.Errorf("only %d were accepted before the disk was full", len(accepted))
	}
	if err := back(); err != nil {
		return err
	}
	for _, p := range unsure {
		if p.id == (takedown.CaseID{}) {
			continue // it was not received, and the sender was told
		}
		var moved *desk.MoveError
		if err := d.Accept(ctx, p.id, desk.Grant{}); err != nil && !(errors.As(err, &moved) && moved.From == desk.StateInForce) {
			return fmt.Errorf("with room again: %w", err)
		}
		accepted = append(accepted, p)
	}
	if _, err := d.Submit(ctx, notice("https://example.org/last.jpg")); err != nil {
		return err
	}
	for _, p := range accepted {
		if got := d.Enforcer().FilterURL(p.url).Verdict; got != takedown.Block {
			return fmt.Errorf("case %v is accepted, and %s is %v", p.id, p.url, got)
		}
	}
	if err := d.Verify(ctx); err != nil {
		return err
	}
	if p := d.Health(ctx); len(p) > 0 {
		return fmt.Errorf("with room again: %+v", p)
	}
	if err := d.Close(); err != nil {
		return err
	}
	if d, err = desk.Open(dir, &desk.Options{Store: store}); err != nil {
		return err
	}
	for _, p := range accepted {
		if c, err := d.Case(ctx, p.id); err != nil || c.State != desk.StateInForce {
			return fmt.Errorf("opened again: case %v is %s, %w", p.id, c.State, err)
		}
	}
	fmt.Println("done", len(accepted))
	return d.Close()
}

// Without file descriptors, what needs one says so, and the rest goes on.
func TestNoDescriptors(t *testing.T) {
	inChild(t, "TestNoDescriptors", func(dir string) error {
		d, err := desk.Open(dir, nil)
		if err != nil {
			return err
		}
		c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
		if err != nil {
			return err
		}
		back, err := limit(syscall.RLIMIT_NOFILE, 64)
		if err != nil {
			return err
		}
		var taken []*os.File
		for len(taken) < 64 {
			f, err := os.Open(os.DevNull)
			if err != nil {
				break
			}
			taken = append(taken, f)
		}
		path := filepath.Join(dir, "p.snap")
		if err := d.Publish(ctx, path); !errors.Is(err, syscall.EMFILE) {
			return fmt.Errorf("Publish: %w, want EMFILE", err)
		}
		if !hasCode(d, desk.HealthPublication) {
			return fmt.Errorf("health: %+v", d.Health(ctx))
		}
		if err := d.Accept(ctx, c.ID, desk.Grant{}); err != nil {
			return err
		}
		if _, err := desk.Open(filepath.Join(dir, "other"), nil); !errors.Is(err, syscall.EMFILE) {
			return fmt.Errorf("Open: %w, want EMFILE", err)
		}
		for _, f := range taken {
			f.Close()
		}
		if err := back(); err != nil {
			return err
		}
		if err := d.Publish(ctx, path); err != nil {
			return err
		}
		if p := d.Health(ctx); len(p) > 0 {
			return fmt.Errorf("health: %+v", p)
		}
		if _, err := takedown.Load(path, nil); err != nil {
			return err
		}
		fmt.Println("done")
		return d.Close()
	})
}

// On a volume that becomes read-only, and on one that is, errors say so, and the desk
// goes on when it can be written again. It needs the right to mount.
func TestReadOnly(t *testing.T) {
	inChild(t, "TestReadOnly", func(dir string) error {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
			return fmt.Errorf("%w: mount: %w", errSkip, err)
		}
		defer syscall.Unmount(dir, syscall.MNT_DETACH)
		home := filepath.Join(dir, "desk")
		d, err := desk.Open(home, nil)
		if err != nil {
			return err
		}
		c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
		if err == nil {
			err = d.Accept(ctx, c.ID, desk.Grant{})
		}
		if err = errors.Join(err, d.Close()); err != nil {
			return err
		}
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("%w: remount: %w", errSkip, err)
		}
		if _, err := desk.Open(home, nil); !errors.Is(err, syscall.EROFS) {
			return fmt.Errorf("read-only: %w, want EROFS", err)
		}
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=16m"); err != nil {
			return err
		}
		if d, err = desk.Open(home, nil); err != nil {
			return err
		}
		if got := d.Enforcer().FilterURL("https://example.org/a.jpg").Verdict; got != takedown.Block {
			return fmt.Errorf("writable again: %v", got)
		}
		fmt.Println("done")
		return d.Close()
	})
}

// A full volume: what tmpfs does differently from a limit is ENOSPC, also under the keys.
func TestFullVolume(t *testing.T) {
	inChild(t, "TestFullVolume", func(dir string) error {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			return fmt.Errorf("%w: mount: %w", errSkip, err)
		}
		defer syscall.Unmount(dir, syscall.MNT_DETACH)
		d, err := desk.Open(filepath.Join(dir, "desk"), nil)
		if err != nil {
			return err
		}
		var accepted []promise
		failed := 0
		for i := 0; failed < 6 && i < 5000; i++ {
			p := promise{url: fmt.Sprintf("https://example.org/%d.jpg", i)}
			c, err := d.Submit(ctx, notice(p.url))
			if err == nil {
				p.id = c.ID
				err = d.Accept(ctx, c.ID, desk.Grant{})
			}
			switch {
			case err == nil:
				accepted = append(accepted, p)
			case !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, blocklist.ErrNotWritten):
				return fmt.Errorf("full: %w", err)
			default:
				failed++
			}
		}
		if failed == 0 || len(accepted) == 0 {
			return fmt.Errorf("%d accepted, %d failed", len(accepted), failed)
		}
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=64m"); err != nil {
			return err
		}
		c, err := d.Submit(ctx, notice("https://example.org/last.jpg"))
		if err == nil {
			err = d.Accept(ctx, c.ID, desk.Grant{})
		}
		if err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
		if err := d.Close(); err != nil {
			return err
		}
		if d, err = desk.Open(filepath.Join(dir, "desk"), nil); err != nil {
			return err
		}
		for _, p := range accepted {
			if got := d.Enforcer().FilterURL(p.url).Verdict; got != takedown.Block {
				return fmt.Errorf("%s is accepted, and %v", p.url, got)
			}
		}
		if err := d.Verify(ctx); err != nil {
			return err
		}
		fmt.Println("done", len(accepted))
		return d.Close()
	})
}
