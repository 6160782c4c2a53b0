package desk_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// The tests of this file run the test binary again as a process of its own
// that works on a desk until it is killed. It prints a line for everything
// that it was told is done.
const (
	envChild = "STAYDOWN_TEST_CHILD" // what the child does
	envDir   = "STAYDOWN_TEST_DIR"   // the folder of its desk
)

func TestMain(m *testing.M) {
	switch os.Getenv(envChild) {
	case "":
		goleak.VerifyTestMain(m)
	case "work":
		exit(childWork(os.Getenv(envDir)))
	case "accept":
		exit(childAccept(os.Getenv(envDir)))
	case "replay":
		exit(childReplay(os.Getenv(envDir)))
	case "faces":
		exit(childFaces(os.Getenv(envDir)))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(what, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+what, envDir+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// childWork submits, holds, accepts and withdraws without end.
func childWork(dir string) error {
	d, err := desk.Open(dir, nil)
	if err != nil {
		return err
	}
	var e fatalTB
	picture := optOut(e, 1)
	for i := 0; ; i++ {
		u := fmt.Sprintf("https://example.org/%d-%d.jpg", os.Getpid(), i)
		var r request.Request = notice(u)
		if i%8 == 5 {
			r, u = picture, "-"
		}
		c, err := d.Submit(ctx, r)
		if err != nil {
			return err
		}
		if i%4 == 1 {
			if err := d.Hold(ctx, c.ID, desk.Actor{}); err != nil {
				return err
			}
		}
		if err := d.Accept(ctx, c.ID, desk.Grant{}); err != nil {
			return err
		}
		fmt.Printf("accepted %v %s\n", c.ID, u)
		if i%3 == 2 {
			fmt.Printf("withdrawing %v %s\n", c.ID, u)
			if err := d.Withdraw(ctx, c.ID, desk.Actor{}); err != nil {
				return err
			}
			fmt.Printf("withdrawn %v %s\n", c.ID, u)
		}
	}
}

// childReplay does a little of everything, and tells what is done.
func childReplay(dir string) error {
	d, err := desk.Open(dir, nil)
	if err != nil {
		return err
	}
	tell := func(what string, id takedown.CaseID, u string) { fmt.Printf("%s %v %s\n", what, id, u) }
	for i := range 8 {
		u := fmt.Sprintf("https://example.org/%d.jpg", i)
		c, err := d.Submit(ctx, notice(u))
		if err == nil {
			err = d.Accept(ctx, c.ID, desk.Grant{})
		}
		if err != nil {
			return err
		}
		tell("accepted", c.ID, u)
		switch i % 3 {
		case 1:
			tell("withdrawing", c.ID, u)
			if err := d.Withdraw(ctx, c.ID, desk.Actor{}); err != nil {
				return err
			}
			tell("withdrawn", c.ID, u)
		case 2:
			tell("erasing", c.ID, u)
			if err := d.Erase(ctx, c.ID, desk.Actor{}); err != nil {
				return err
			}
			tell("erased", c.ID, u)
		}
	}
	return d.Close()
}

// fatalTB lets the helpers of the tests run in the child, where there is no
// test.
type fatalTB struct{ testing.TB }

func (fatalTB) Helper()           {}
func (fatalTB) Fatal(args ...any) { exit(errors.New(fmt.Sprint(args...))) }

// A process killed at any moment enforces, after a restart, every case whose
// Accept had returned, and no case whose Withdraw had.
//
// STAYDOWN_KILLS sets how often; the default is 30, and 10 with -short.
func TestCrash_KillAtRandomMoments(t *testing.T) {
	t.Parallel()
	kills := 30
	if testing.Short() {
		kills = 10
	}
	kills = sharedtest.Count(t, "STAYDOWN_KILLS", kills)
	dir, picture := t.TempDir(), hashes(t, testJPEG(t, 1))
	var accepted, withdrawn int
	for range kills {
		acked := killChild(t, dir)
		d, err := desk.Open(dir, nil)
		if err != nil {
			t.Fatalf("after a kill: %v", err)
		}
		checkAcked(t, d, acked, picture)
		for _, state := range acked {
			switch state.last {
			case "accepted":
				accepted++
			case "withdrawn":
				withdrawn++
			}
		}
		if t.Failed() {
			d.Close()
			return
		}
		// Whatever was cut short is finished or was never begun, and each rule
		// has a case that explains it.
		err = eachCase(d, func(c desk.Case) bool {
			if c.State == desk.StateEnforcing || c.State == desk.StateRevoking {
				t.Errorf("case %v is still %s after Open", c.ID, c.State)
			}
			if c.State == desk.StateInForce && len(c.Rules) != 1 {
				t.Errorf("case %v in force has rules %v", c.ID, c.Rules)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.VerifyLog(ctx); err != nil {
			t.Fatal(err)
		}
		checkRules(t, dir, nil, d)
	}
	t.Logf("%d kills, %d accepted cases enforced, %d withdrawn ones not", kills, accepted, withdrawn)
	if accepted < kills || withdrawn == 0 {
		t.Errorf("only %d accepted and %d withdrawn cases in %d kills: the test proves little", accepted, withdrawn, kills)
	}
}

type ack struct {
	last string // the last line about the case: accepted, withdrawing, withdrawn
	url  string // "-" for the opt-out
}

// killChild lets a child work for a random time, kills it, and returns what it
// had been told is done.
func killChild(t *testing.T, dir string) map[takedown.CaseID]ack {
	t.Helper()
	acked := map[takedown.CaseID]ack{}
	for _, line := range killed(t, "work", dir, 40) {
		var a ack
		var id string
		if _, err := fmt.Sscan(line, &a.last, &id, &a.url); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		c, err := takedown.ParseCaseID(id)
		if err != nil {
			t.Fatal(err)
		}
		acked[c] = a
	}
	return acked
}

// killed lets a child work, kills it at a random moment, and returns its lines.
// The moment is within the time of two lines after one of the first ones, so
// that a busy machine is given as much to do as an idle one.
func killed(t *testing.T, what, dir string, first int) (all []string) {
	t.Helper()
	cmd := child(what, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, after := time.Now(), 2+rand.IntN(first)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		all = append(all, lines.Text())
		switch len(all) {
		case 1:
			start = time.Now()
		case after:
			line := time.Since(start) / time.Duration(after-1)
			time.AfterFunc(rand.N(2*line+1), func() { cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || len(all) < after {
		t.Fatalf("the child ended by itself: %v, after %d lines", err, len(all))
	}
	return all
}

func checkAcked(t *testing.T, d *desk.Desk, acked map[takedown.CaseID]ack, picture []phash.Hash) {
	t.Helper()
	optOutInForce := false
	for id, a := range acked {
		c, err := d.Case(ctx, id)
		if err != nil {
			t.Errorf("case %v, %s: %v", id, a.last, err)
			continue
		}
		want := map[string]desk.State{"accepted": desk.StateInForce, "withdrawn": desk.StateWithdrawn}[a.last]
		if a.last == "withdrawing" { // either is right
			want = c.State
		}
		if c.State != want {
			t.Errorf("case %v, %s: the store says %s", id, a.last, c.State)
		}
		if a.url == "-" {
			optOutInForce = optOutInForce || c.State == desk.StateInForce
			continue
		}
		verdict := takedown.Allow
		if c.State == desk.StateInForce {
			verdict = takedown.Block
		}
		wantVerdict(t, a.last, d.Enforcer().FilterURL(a.url), verdict)
	}
	if optOutInForce {
		wantVerdict(t, "the picture of an opt-out in force", d.Enforcer().Filter("", picture...), takedown.Block)
	}
}

// childAccept accepts one case between two lines of output.
func childAccept(dir string) error {
	d, err := desk.Open(dir, nil)
	if err != nil {
		return err
	}
	c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
	if err != nil {
		return err
	}
	os.Stdout.WriteString("ACCEPTING\n")
	if err := d.Accept(ctx, c.ID, desk.Grant{}); err != nil {
		return err
	}
	os.Stdout.WriteString("ACCEPTED\n")
	return d.Close()
}

// Accept returns only after the data was synced: the system calls of a process
// show, for the case store and for the journal, a write, and after the last
// write a successful sync, before the line that it prints next.
func TestAccept_SyncsBeforeItReturns(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: strace is for Linux")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("skipped: strace is not installed (scripts/setup installs it)")
	}
	dir := t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := child("accept", dir)
	cmd.Args = append([]string{strace, "-f", "-y", "-o", trace, "-e", "trace=write,pwrite64,fsync,fdatasync"}, cmd.Args...)
	cmd.Path = strace
	if out, err := cmd.Output(); err != nil {
		t.Skipf("skipped: this system does not let strace trace: %v\n%s", err, out)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	// A call that another thread interrupts is printed in two parts; the sync
	// counts when it is done, the write when it begins.
	var (
		write  = regexp.MustCompile(`(?:pwrite64|write)\(\d+<([^>]*)>`)
		sync   = regexp.MustCompile(`(?:fdatasync|fsync)\(\d+<([^>]*)>(?:\)\s*= 0| <unfinished)`)
		begun  = map[string]string{} // thread → file it is syncing
		dirty  = map[string]bool{}   // written since its last sync
		wrote  = map[string]int{}    // writes between the two lines
		synced = map[string]int{}
	)
	during := false
	for line := range bytes.Lines(b) {
		s := string(line)
		thread, _, _ := strings.Cut(s, " ")
		switch {
		case strings.Contains(s, `"ACCEPTING`):
			during = true
		case strings.Contains(s, `"ACCEPTED`):
			for _, name := range []string{"cases.db", "journal.db"} {
				if wrote[name] == 0 || synced[name] == 0 || dirty[name] {
					t.Errorf("%s: %d writes and %d syncs while Accept ran, unsynced data when it returned: %v", name, wrote[name], synced[name], dirty[name])
				}
			}
			return
		case strings.Contains(s, "resumed>") && strings.Contains(s, "sync") && strings.HasSuffix(strings.TrimSpace(s), "= 0"):
			if name, ok := begun[thread]; ok && during {
				synced[name]++
				dirty[name] = false
			}
			delete(begun, thread)
		default:
			if m := sync.FindStringSubmatch(s); m != nil {
				name := filepath.Base(m[1])
				if strings.Contains(s, "<unfinished") {
					begun[thread] = name
				} else if during {
					synced[name]++
					dirty[name] = false
				}
			} else if m := write.FindStringSubmatch(s); m != nil && during {
				name := filepath.Base(m[1])
				wrote[name]++
				dirty[name] = true
			}
		}
	}
	t.Fatalf("the trace does not show the child's lines:\n%s", b)
}
