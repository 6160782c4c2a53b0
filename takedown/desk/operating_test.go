package desk_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// The snippets of docs/operating.md, in its order. TestDocs_Operating runs them, and
// compares them with the page.
var operating = []func(ctx context.Context, d *desk.Desk, dir, safe string, log *log.Logger) error{
	func(ctx context.Context, d *desk.Desk, dir, safe string, log *log.Logger) error {
		info, err := d.Backup(ctx, "backups/monday")
		if err != nil {
			return err // call it again: it goes on where it was
		}
		fmt.Printf("%d cases, %d events\n", info.Cases, info.Seq)
		return nil
	},
	func(ctx context.Context, d *desk.Desk, dir, safe string, log *log.Logger) error {
		did, err := desk.Recover(ctx, dir, nil, desk.LoseSince)
		if err != nil {
			return err
		}
		fmt.Printf("%d events are lost\n", did.Events)
		return nil
	},
	func(ctx context.Context, d *desk.Desk, dir, safe string, log *log.Logger) error {
		s, err := d.Status(ctx)
		if err != nil {
			return err
		}
		fmt.Println("operator key", s.OperatorKey, "list key", s.ListKey)
		return nil
	},
	func(ctx context.Context, _ *desk.Desk, dir, safe string, log *log.Logger) error {
		key, err := os.ReadFile(filepath.Join(safe, "operator.key"))
		if err != nil {
			return err
		}
		d, err := desk.Open(dir, &desk.Options{OperatorKey: key})
		if err != nil {
			return err
		}
		return d.Close()
	},
	func(ctx context.Context, _ *desk.Desk, dir, safe string, log *log.Logger) error {
		key, err := os.ReadFile(filepath.Join(safe, "operator.key"))
		if err != nil {
			return err
		}
		fresh := make([]byte, 32)
		rand.Read(fresh)
		if err := os.WriteFile(filepath.Join(safe, "operator.key.next"), fresh, 0o600); err != nil {
			return err
		}
		if err := desk.ChangeOperatorKey(ctx, dir, &desk.Options{OperatorKey: key}, fresh); err != nil {
			return err
		}
		return nil
	},
	func(ctx context.Context, d *desk.Desk, dir, safe string, log *log.Logger) error {
		for _, p := range d.Health(ctx) {
			log.Printf("desk: %s: %s", p.Code, p.Text)
		}
		return nil
	},
	func(ctx context.Context, d *desk.Desk, dir, safe string, log *log.Logger) error {
		if err := d.Verify(ctx); err != nil {
			log.Print(err) // every case and rule that does not fit, joined
		}
		return nil
	},
	func(ctx context.Context, d *desk.Desk, dir, safe string, log *log.Logger) error {
		_, err := desk.Open(dir, nil)
		var m *desk.MismatchError
		if errors.As(err, &m) {
			did, err := desk.Recover(ctx, dir, nil, m.Choice())
			if err != nil {
				return err
			}
			fmt.Println("unreadable:", len(did.Unreadable), "not enforced:", len(did.NotEnforced))
		}
		return nil
	},
}

// Every command and snippet of docs/operating.md does what the page says.
func TestDocs_Operating(t *testing.T) {
	b, err := os.ReadFile("../../docs/operating.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("skipped: the documentation is in the repository only")
	}
	ok(t, err)
	source, err := os.ReadFile("operating_test.go")
	ok(t, err)
	var shell, snippets []string
	for _, m := range regexp.MustCompile("(?s)```(sh|go)\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		if m[1] == "sh" {
			shell = append(shell, m[2])
			continue
		}
		snippets = append(snippets, m[2])
		indented := "\t\t" + strings.ReplaceAll(strings.TrimSuffix(m[2], "\n"), "\n", "\n\t\t")
		if !strings.Contains(string(source), indented) {
			t.Errorf("the snippet is not in operating_test.go:\n%s", m[2])
		}
	}
	if len(snippets) != len(operating) || len(shell) != 6 {
		t.Fatalf("%d snippets, %d in the test; %d commands", len(snippets), len(operating), len(shell))
	}
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the commands are for a shell")
	}
	if _, err := exec.LookPath("shred"); err != nil {
		t.Skip("skipped: shred is not installed")
	}
	base := t.TempDir()
	t.Chdir(base)
	dir, backup, safe := filepath.Join(base, "desk"), filepath.Join(base, "backups", "monday"), filepath.Join(base, "safe")
	ok(t, os.Mkdir(safe, 0o700))
	var logged strings.Builder
	logger := log.New(io.MultiWriter(&logged), "", 0)
	sh := func(n int) {
		t.Helper()
		cmd := exec.Command("sh", "-eu", "-c", shell[n])
		cmd.Env = append(os.Environ(), "DESK="+dir, "BACKUP="+backup, "SAFE="+safe)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", shell[n], err, out)
		}
	}
	run := func(n int, d *desk.Desk) {
		t.Helper()
		if err := operating[n](ctx, d, dir, safe, logger); err != nil {
			t.Fatalf("%s: %v", snippets[n], err)
		}
	}
	published := filepath.Join(base, "list.snap")
	enforced := func(d *desk.Desk, want takedown.Verdict) {
		t.Helper()
		wantVerdict(t, "restored", d.Enforcer().FilterURL("https://example.org/a.jpg"), want)
	}

	d := open(t, dir, nil)
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	sh(0) // the operator key
	run(0, d)
	run(2, d)
	run(5, d)
	run(6, d)
	// After the backup: nodes get this one.
	accept(t, d, notice("https://example.org/b.jpg"), desk.Grant{})
	ok(t, d.Publish(ctx, published))
	ok(t, d.Close())
	sh(1) // a copy of the closed desk
	sh(2) // and its end

	sh(3) // restore
	d = open(t, dir, nil)
	enforced(d, takedown.Block)
	// The restored desk sees the file when it publishes there.
	if err := d.Publish(ctx, published); !errors.Is(err, desk.ErrMismatch) {
		t.Errorf("Publish of an older list: %v", err)
	}
	ok(t, d.Close())
	if _, err := desk.Open(dir, nil); !errors.Is(err, desk.ErrMismatch) {
		t.Errorf("Open beside a newer list: %v", err)
	}
	run(1, nil)
	d = open(t, dir, nil)
	ok(t, d.Publish(ctx, published))
	enforced(d, takedown.Block)
	ok(t, d.Close())
	sh(4) // move
	d = open(t, dir, nil)
	enforced(d, takedown.Block)
	ok(t, d.Close())

	ok(t, os.Remove(filepath.Join(dir, "keys")))
	run(7, nil)
	d = open(t, dir, nil)
	enforced(d, takedown.Block)
	ok(t, d.Close())
	sh(5) // the operator key leaves the folder
	run(3, nil)
	run(4, nil)
	key, err := os.ReadFile(filepath.Join(safe, "operator.key.next"))
	ok(t, err)
	d = open(t, dir, &desk.Options{OperatorKey: key})
	enforced(d, takedown.Block)
	ok(t, d.Close())
	if logged.Len() > 0 {
		t.Errorf("logged: %s", logged.String())
	}
}
