package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/journaltest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/pgstore"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

var (
	ctx = context.Background()
	// server is the connection string of a server that the tests may use; why has the
	// reason when there is none.
	server, why string
)

func TestMain(m *testing.M) {
	if at := os.Getenv("PGSTORE_CHILD"); at != "" {
		fmt.Fprintln(os.Stderr, childMain(at))
		os.Exit(1)
	}
	var stop func()
	server, stop, why = start()
	code := m.Run()
	stop()
	os.Exit(code)
}

// start starts a PostgreSQL server of its own, on a socket in a temporary folder. Debian
// keeps the programs in a folder of the version. The server refuses to run as root, so
// it runs as postgres or nobody then.
func start() (conn string, stop func(), why string) {
	none := func() {}
	bin := programs()
	if bin == "" {
		return "", none, "initdb and postgres are not installed: scripts/setup installs them"
	}
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return "", none, err.Error()
	}
	remove := func() { os.RemoveAll(dir) }
	as, err := other(dir)
	if err != nil {
		remove()
		return "", none, err.Error()
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "staydown", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = as, dir
	if out, err := init.CombinedOutput(); err != nil {
		remove()
		return "", none, fmt.Sprintf("initdb: %v: %s", err, out)
	}
	var log bytes.Buffer
	run := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-h", "", "-F", "-c", "max_connections=60")
	run.SysProcAttr, run.Dir, run.Stdout, run.Stderr = as, dir, &log, &log
	if err := run.Start(); err != nil {
		remove()
		return "", none, err.Error()
	}
	stop = func() {
		_ = run.Process.Signal(os.Interrupt)
		_ = run.Wait()
		remove()
	}
	conn = "user=staydown dbname=postgres host=" + dir
	for range 300 {
		c, err := pgx.Connect(ctx, conn)
		if err == nil {
			c.Close(ctx)
			return conn, stop, ""
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return "", none, "the server does not start: " + log.String()
}

// programs returns the folder of initdb and postgres.
func programs() string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	sort.Slice(dirs, func(i, j int) bool { return version(dirs[i]) > version(dirs[j]) })
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		_, err := os.Stat(filepath.Join(dir, "initdb"))
		_, also := os.Stat(filepath.Join(dir, "postgres"))
		if err == nil && also == nil {
			return dir
		}
	}
	return ""
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// other makes the folder that of another user when this one is root.
func other(dir string) (*syscall.SysProcAttr, error) {
	if runtime.GOOS == "windows" || os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("the server does not run as root, and there is no user postgres or nobody")
}

func needServer(t *testing.T) {
	t.Helper()
	if why != "" {
		t.Skip("skipped: " + why)
	}
}

var desks atomic.Int64

// name returns a desk of its own.
func name() *pgstore.Options {
	return &pgstore.Options{Desk: fmt.Sprint("desk ", desks.Add(1))}
}

// The example works, in a folder of its own.
func TestExample(t *testing.T) {
	needServer(t)
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", server)
	Example()
}

func openDB(tb testing.TB, o *pgstore.Options) *pgstore.DB {
	tb.Helper()
	db, err := pgstore.Open(ctx, server, o)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	needServer(t)
	o := name()
	storetest.Run(t, func(tb testing.TB) desk.Store { return openDB(tb, o).Cases() })
}

func TestJournal(t *testing.T) {
	needServer(t)
	journaltest.Run(t, true, func(t *testing.T) func() (blocklist.Journal, error) {
		o := name()
		return func() (blocklist.Journal, error) {
			db, err := pgstore.Open(ctx, server, o)
			if err != nil {
				return nil, err
			}
			return db.Journal(), nil
		}
	})
}

func notice(address string) request.Request {
	return request.DSANotice{
		Requester: request.Requester{Name: "Conspicuous Requester", Email: "conspicuous@example.net"},
		ImageURLs: []string{address}, Ground: request.GroundPrivacy, Explanation: "This is a picture of me.",
		GoodFaith: request.Statement{Text: "Accurate and complete.", Accepted: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
}

// A desk on PostgreSQL lives as one on files does, over restarts, and nothing personal
// or plain is in the tables.
func TestDesk(t *testing.T) {
	needServer(t)
	o, dir := name(), t.TempDir()
	open := func() *desk.Desk {
		db := openDB(t, o)
		d, err := desk.Open(dir, &desk.Options{Store: db.Cases(), Journal: db.Journal()})
		ok(t, err)
		return d
	}
	d := open()
	a := desk.Actor{By: "alice", Reason: "well_founded"}
	blocked, gone := "https://conspicuous-host.example/a.jpg", "https://conspicuous-host.example/b.jpg"
	c, err := d.Submit(ctx, notice(blocked))
	ok(t, err)
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: a}))
	w, err := d.Submit(ctx, notice(gone))
	ok(t, err)
	ok(t, d.Accept(ctx, w.ID, desk.Grant{Actor: a}))
	wantNotInTables(t, "onspicuous")
	for range 2 {
		if v := d.Enforcer().FilterURL(blocked).Verdict; v != takedown.Block {
			t.Errorf("%s: %v", blocked, v)
		}
		page, err := d.Find(ctx, desk.Query{Person: "conspicuous@example.net"})
		if ok(t, err); len(page.Cases) != 2 {
			t.Errorf("%d cases of the requester", len(page.Cases))
		}
		whole, err := d.Case(ctx, c.ID)
		if ok(t, err); whole.State != desk.StateInForce || whole.Request == nil {
			t.Errorf("the case is %s, %v", whole.State, whole.Request)
		}
		ok(t, d.Close())
		d = open()
	}
	ok(t, d.Withdraw(ctx, w.ID, desk.Actor{}))
	ok(t, d.Erase(ctx, w.ID, a))
	if v := d.Enforcer().FilterURL(gone).Verdict; v == takedown.Block {
		t.Error("a withdrawn address is blocked")
	}
	if _, _, err := d.VerifyLog(ctx); err != nil {
		t.Error(err)
	}
	// One process at a time.
	if _, err := pgstore.Open(ctx, server, o); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	ok(t, d.Close())
}

// wantNotInTables looks at every row as text.
func wantNotInTables(t *testing.T, secret string) {
	t.Helper()
	c, err := pgx.Connect(ctx, server)
	ok(t, err)
	defer c.Close(ctx)
	for _, table := range []string{"staydown_case", "staydown_event", "staydown_desk"} {
		var n int
		ok(t, c.QueryRow(ctx, `SELECT count(*) FROM `+table+` AS x WHERE position(convert_to($1, 'UTF8') IN convert_to(x::text, 'UTF8')) > 0 OR position(encode(convert_to($1, 'UTF8'), 'hex') IN x::text) > 0`, secret).Scan(&n))
		if n > 0 {
			t.Errorf("%d rows of %s have %q", n, table, secret)
		}
	}
}

// A process whose session with the lock has ended cannot write beside the one that
// has opened the desk since.
func TestLock_Lost(t *testing.T) {
	needServer(t)
	o := name()
	first := openDB(t, o)
	store, journal := first.Cases(), first.Journal()
	put := func(s desk.Store) error {
		return s.Update(func(tx desk.StoreTx) error { return tx.Put(desk.BucketMeta, []byte("k"), []byte("v")) })
	}
	ok(t, put(store))
	admin, err := pgx.Connect(ctx, server)
	ok(t, err)
	defer admin.Close(ctx)
	_, err = admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`)
	ok(t, err)
	var second *pgstore.DB
	for range 100 {
		if second, err = pgstore.Open(ctx, server, o); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	ok(t, err)
	other := second.Cases()
	if err := put(store); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("the first one writes: %v", err)
	}
	if err := journal.Append([]blocklist.Entry{{Seq: 1, Data: []byte("x")}}); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("the first one appends: %v", err)
	}
	ok(t, put(other))
	ok(t, errors.Join(store.Close(), journal.Close(), other.Close()))
}

// Tables of a newer version are not touched, and two desks of one database know
// nothing of each other.
func TestOpen(t *testing.T) {
	needServer(t)
	a, b := openDB(t, name()), openDB(t, name())
	one, two := a.Cases(), b.Cases()
	ok(t, one.Update(func(tx desk.StoreTx) error { return tx.Put(desk.BucketMeta, []byte("k"), []byte("of one")) }))
	ok(t, two.View(func(tx desk.StoreTx) error {
		v, err := tx.Get(desk.BucketMeta, []byte("k"))
		if v != nil {
			t.Errorf("another desk has %q", v)
		}
		return err
	}))
	ok(t, errors.Join(one.Close(), two.Close()))

	c, err := pgx.Connect(ctx, server)
	ok(t, err)
	defer c.Close(ctx)
	_, err = c.Exec(ctx, `CREATE SCHEMA later; CREATE TABLE later.staydown_version (version integer NOT NULL); INSERT INTO later.staydown_version VALUES (99)`)
	ok(t, err)
	if _, err := pgstore.Open(ctx, server+" search_path=later", nil); !errors.Is(err, blocklist.ErrVersion) {
		t.Errorf("tables of version 99: %v", err)
	}
	bad := url.URL{Scheme: "postgres", User: url.UserPassword("me", "secret"), Host: "example.invalid:notaport"}
	if _, err := pgstore.Open(ctx, bad.String(), nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a connection string that is not valid: %v", err)
	}
}
