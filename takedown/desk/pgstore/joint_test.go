package pgstore_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/pgstore"
	"github.com/staydown/staydown/takedown/desk/storetest"
)

func TestJoint(t *testing.T) {
	needServer(t)
	o := name()
	storetest.RunJoint(t, func(tb testing.TB) (desk.Store, desk.JointJournal) {
		db := openDB(tb, o)
		return db.Cases(), db.Journal()
	})
}

// reviewer is who decides in these tests.
var reviewer = desk.Actor{By: "alice", Reason: "well_founded"}

// openDesk opens a desk on PostgreSQL.
func openDesk(dir string, server string, o *pgstore.Options) (*desk.Desk, error) {
	db, err := pgstore.Open(ctx, server, o)
	if err != nil {
		return nil, err
	}
	return desk.Open(dir, &desk.Options{Store: db.Cases(), Journal: db.Journal()})
}

// work submits, accepts and withdraws until it fails, and writes what is done.
func work(d *desk.Desk, told func(what string, id takedown.CaseID, url string)) error {
	for i := 0; ; i++ {
		url := fmt.Sprintf("https://example.org/%d-%d.jpg", time.Now().UnixNano(), i)
		c, err := d.Submit(ctx, notice(url))
		if err != nil {
			return err
		}
		told("accepting", c.ID, url)
		if err := d.Accept(ctx, c.ID, desk.Grant{Actor: reviewer}); err != nil {
			return err
		}
		told("accepted", c.ID, url)
		if i%2 == 1 {
			told("withdrawing", c.ID, url)
			if err := d.Withdraw(ctx, c.ID, desk.Actor{}); err != nil {
				return err
			}
			told("withdrawn", c.ID, url)
		}
	}
}

// watcher looks at the rows of a desk, each time at one state of the database.
type watcher struct {
	conn *pgx.Conn
	desk string
}

// look fails when the cases and the journal are not at the same event, or when an event
// waits in an outbox.
func (w *watcher) look(t *testing.T) (last int64) {
	t.Helper()
	ok(t, pgx.BeginTxFunc(ctx, w.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var events, waiting int64
		var at []byte
		err := tx.QueryRow(ctx, `SELECT
			(SELECT last FROM staydown_desk WHERE desk = $1),
			(SELECT count(*) FROM staydown_event WHERE desk = $1),
			(SELECT count(*) FROM staydown_case WHERE desk = $1 AND bucket = 'outbox'),
			(SELECT value FROM staydown_case WHERE desk = $1 AND bucket = 'meta' AND key = 'delivered')`,
			w.desk).Scan(&last, &events, &waiting, &at)
		known := int64(0)
		if len(at) == 60 {
			known = int64(binary.BigEndian.Uint64(at[20:]))
		}
		if err == nil && (events != last || known != last || waiting != 0) {
			t.Errorf("%d events, the last is %d, the cases know %d, and %d wait", events, last, known, waiting)
		}
		return err
	}))
	return last
}

// Whenever somebody looks at the database, the journal and the cases are of one moment.
func TestDesk_OneTransaction(t *testing.T) {
	needServer(t)
	o := name()
	d, err := openDesk(t.TempDir(), server, o)
	ok(t, err)
	conn, err := pgx.Connect(ctx, server)
	ok(t, err)
	defer conn.Close(ctx)
	w := &watcher{conn, o.Desk}
	done, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = work(d, func(string, takedown.CaseID, string) {
			if done.Err() != nil {
				d.Close() // and work ends
			}
		})
	})
	moments := map[int64]bool{}
	for range 400 {
		moments[w.look(t)] = true
		if t.Failed() {
			break
		}
	}
	for !t.Failed() && len(moments) < 10 {
		moments[w.look(t)] = true
	}
	stop()
	wg.Wait()
	d.Close()
}

// promises are what a desk has told.
type promises map[takedown.CaseID][2]string

// keep looks whether a desk keeps them, when it is opened again.
func (p promises) keep(t *testing.T, dir string, o *pgstore.Options) {
	t.Helper()
	var d *desk.Desk
	var err error
	for range 200 { // the server notices after a moment that the process is gone
		if d, err = openDesk(dir, server, o); err == nil || !errors.Is(err, blocklist.ErrLocked) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	ok(t, err)
	defer d.Close()
	for id, told := range p {
		c, err := d.Case(ctx, id)
		ok(t, err)
		blocked := d.Enforcer().FilterURL(told[1]).Verdict == takedown.Block
		if blocked != (c.State == desk.StateInForce) || told[0] == "accepted" && !blocked || told[0] == "withdrawn" && c.State != desk.StateWithdrawn {
			t.Errorf("%s: the case is %s, blocked: %v", told[0], c.State, blocked)
		}
	}
	if err := d.Verify(ctx); err != nil {
		t.Error(err)
	}
}

// count counts what was told last.
func (p promises) count(what string) (n int) {
	for _, told := range p {
		if told[0] == what {
			n++
		}
	}
	return n
}

// A desk that is killed, at whatever moment, has decided and enforced, or neither. Nothing
// has to be finished when it is opened again.
//
// STAYDOWN_KILLS sets the number of kills; the default is 8.
func TestDesk_Killed(t *testing.T) {
	needServer(t)
	o, dir, all := name(), t.TempDir(), promises{}
	conn, err := pgx.Connect(ctx, server)
	ok(t, err)
	defer conn.Close(ctx)
	w := &watcher{conn, o.Desk}
	for range sharedtest.Count(t, "STAYDOWN_KILLS", 8) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "PGSTORE_CHILD="+server, "PGSTORE_DESK="+o.Desk, "PGSTORE_DIR="+dir)
		out, err := cmd.StdoutPipe()
		ok(t, err)
		cmd.Stderr = os.Stderr
		ok(t, cmd.Start())
		n, after := 0, 2+rand.IntN(20)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f := strings.Fields(lines.Text())
			id, err := takedown.ParseCaseID(f[1])
			ok(t, err)
			all[id] = [2]string{f[0], f[2]}
			if n++; n == after {
				time.AfterFunc(rand.N(20*time.Millisecond), func() { cmd.Process.Kill() })
			}
		}
		if err := cmd.Wait(); err == nil || n < after {
			t.Fatalf("the child ended by itself after %d lines: %v", n, err)
		}
		w.look(t)
		all.keep(t, dir, o)
		if t.Failed() {
			return
		}
	}
	if all.count("accepted") < 8 || all.count("withdrawn") < 4 {
		t.Errorf("%d accepted, %d withdrawn: the test shows little", all.count("accepted"), all.count("withdrawn"))
	}
}

// childMain is the desk that TestDesk_Killed kills.
func childMain(server string) error {
	d, err := openDesk(os.Getenv("PGSTORE_DIR"), server, &pgstore.Options{Desk: os.Getenv("PGSTORE_DESK")})
	if err != nil {
		return err
	}
	return work(d, func(what string, id takedown.CaseID, url string) { fmt.Println(what, id, url) })
}

// A server that ends sessions at any moment, also between a commit and the answer to it:
// the desk goes on or refuses, and what it told is kept.
func TestDesk_SessionsEnd(t *testing.T) {
	needServer(t)
	o, dir, all := name(), t.TempDir(), promises{}
	admin, err := pgx.Connect(ctx, server)
	ok(t, err)
	defer admin.Close(ctx)
	d, err := openDesk(dir, server, o)
	ok(t, err)
	var mu sync.Mutex
	done, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	failures := 0
	wg.Go(func() {
		for done.Err() == nil {
			err := work(d, func(what string, id takedown.CaseID, url string) {
				mu.Lock()
				all[id] = [2]string{what, url}
				mu.Unlock()
			})
			if failures++; failures > 1000 || errors.Is(err, takedown.ErrClosed) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	accepted := func() int {
		mu.Lock()
		defer mu.Unlock()
		return all.count("accepted")
	}
	for i := 0; i < 40 || i < 1000 && accepted() < 5; i++ {
		time.Sleep(rand.N(30 * time.Millisecond))
		// Not the session with the lock: without it another process may open the desk.
		_, err := admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE 'UPDATE staydown_desk SET owner%'`)
		ok(t, err)
	}
	stop()
	ok(t, d.Close())
	wg.Wait()
	(&watcher{admin, o.Desk}).look(t)
	all.keep(t, dir, o)
	t.Logf("%d calls failed; %d accepted, %d withdrawn", failures, all.count("accepted"), all.count("withdrawn"))
	if failures < 5 || all.count("accepted") < 5 {
		t.Errorf("%d calls failed, %d cases were accepted: the test shows little", failures, all.count("accepted"))
	}
}

// The operator key of a desk in PostgreSQL is changed, and a backup of it opens from files.
func TestDesk_KeyAndBackup(t *testing.T) {
	needServer(t)
	o, dir := name(), t.TempDir()
	options := func(key []byte) *desk.Options {
		db := openDB(t, o)
		return &desk.Options{Store: db.Cases(), Journal: db.Journal(), OperatorKey: key}
	}
	keys := [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}
	url := "https://example.org/a.jpg"
	d, err := desk.Open(dir, options(keys[0]))
	ok(t, err)
	c, err := d.Submit(ctx, notice(url))
	ok(t, err)
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: reviewer}))
	ok(t, d.Close())
	ok(t, desk.ChangeOperatorKey(ctx, dir, options(keys[0]), keys[1]))
	if _, err := desk.Open(dir, options(keys[0])); !errors.Is(err, desk.ErrMismatch) {
		t.Errorf("the old key: %v", err)
	}
	d, err = desk.Open(dir, options(keys[1]))
	ok(t, err)
	backup := filepath.Join(t.TempDir(), "backup")
	_, err = d.Backup(ctx, backup)
	ok(t, errors.Join(err, d.Verify(ctx), d.Close()))
	d, err = desk.Open(backup, &desk.Options{OperatorKey: keys[1]})
	ok(t, err)
	whole, err := d.Case(ctx, c.ID)
	if ok(t, err); whole.Request == nil || d.Enforcer().FilterURL(url).Verdict != takedown.Block {
		t.Errorf("%s, %v", whole.State, d.Enforcer().FilterURL(url))
	}
	ok(t, d.Close())
	// A file of keys from before the case: the case can be ended.
	ok(t, os.Remove(filepath.Join(dir, "keys")))
	var m *desk.MismatchError
	if _, err := desk.Open(dir, options(keys[1])); !errors.As(err, &m) || m.Choice() != desk.LoseKeys {
		t.Errorf("without keys: %v", err)
	}
	did, err := desk.Recover(ctx, dir, options(keys[1]), desk.LoseKeys)
	if ok(t, err); len(did.Unreadable) != 1 {
		t.Errorf("%+v", did)
	}
	d, err = desk.Open(dir, options(keys[1]))
	ok(t, err)
	ok(t, d.Withdraw(ctx, c.ID, reviewer))
	if v := d.Enforcer().FilterURL(url); v.Verdict != takedown.Allow {
		t.Errorf("withdrawn: %v", v)
	}
	ok(t, d.Close())
}
