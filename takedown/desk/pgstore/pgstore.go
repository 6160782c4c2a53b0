// Package pgstore keeps the cases of a desk, and the journal of its list, in
// PostgreSQL. It is for teams that run a PostgreSQL server with backups and replicas
// anyway; the default, files in a folder, needs none. PostgreSQL 13 or newer.
//
//	db, err := pgstore.Open(ctx, "postgres://…", nil)
//	dk, err := desk.Open(dir, &desk.Options{Store: db.Cases(), Journal: db.Journal()})
//
// The folder of the desk has the keys of cases, the operator's key unless
// desk.Options has one, and snapshots of the list. It has to be backed up with the
// database: see docs/postgres.md.
//
// A decision of a case and the events that enforce it are stored in one transaction.
package pgstore

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/staydown/staydown/blocklist"
)

// Options configure Open. The zero value, and nil, are the defaults.
type Options struct {
	// Desk is the name of the desk in the database, so that one database can have
	// several desks. The default is "main".
	Desk string
	// Timeout bounds each transaction and each call of the journal, except Rewrite,
	// because the interfaces have no context. The default is one minute.
	Timeout time.Duration
}

// DB is a desk in a database. One process at a time has it open: an advisory lock of
// its session keeps others away. Should that session end, a process that opens the desk
// then takes its place, and the writes of the first one fail.
type DB struct {
	pool    *pgxpool.Pool
	lock    *pgxpool.Conn // its session has the lock
	desk    string
	owner   [16]byte // what the row of the desk has as long as nobody has taken the place of this process
	timeout time.Duration

	// writing serialises transactions that write.
	writing sync.Mutex

	mu     sync.Mutex
	users  int // of the store and the journal
	closed bool
}

//go:embed schema.sql
var schema string

// migrations bring a database from each version to the next one.
var migrations = []string{schema}

// Open connects to a database, and creates or updates the tables. The tables have
// names that begin with "staydown_", in the first schema of the search path.
//
// The error wraps [blocklist.ErrLocked] when another process has the desk open, and
// [blocklist.ErrVersion] when the tables are of a newer version.
func Open(ctx context.Context, connString string, opts *Options) (*DB, error) {
	if opts == nil {
		opts = new(Options)
	}
	db := &DB{desk: opts.Desk, timeout: opts.Timeout}
	if db.desk == "" {
		db.desk = "main"
	}
	if db.timeout <= 0 {
		db.timeout = time.Minute
	}
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, errors.New("pgstore: the connection string is not valid") // err has parts of it
	}
	// A commit that is not on the disk when it returns could be lost after the list
	// has shown its effect.
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	if db.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	if err := db.begin(ctx); err != nil {
		db.close()
		return nil, err
	}
	return db, nil
}

// begin migrates the tables, takes the lock, and makes the row of the desk.
func (db *DB) begin(ctx context.Context) error {
	if err := db.migrate(ctx); err != nil {
		return err
	}
	var err error
	if db.lock, err = db.pool.Acquire(ctx); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	var number int32
	var locked bool
	if _, err := db.lock.Exec(ctx, `INSERT INTO staydown_desk (desk) VALUES ($1) ON CONFLICT DO NOTHING`, db.desk); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	if err := db.lock.QueryRow(ctx, `SELECT lock FROM staydown_desk WHERE desk = $1`, db.desk).Scan(&number); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	if err := db.lock.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, int32(lockClass), number).Scan(&locked); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	if !locked {
		return fmt.Errorf("pgstore: desk %q: %w", db.desk, blocklist.ErrLocked)
	}
	rand.Read(db.owner[:])
	if _, err := db.lock.Exec(ctx, `UPDATE staydown_desk SET owner = $2 WHERE desk = $1`, db.desk, db.owner[:]); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	return nil
}

// Numbers of advisory locks, beside that of each desk.
const (
	lockClass     = 0x73746179 // of desks
	lockMigration = 0x646f776e
)

// migrate creates the tables, or updates them, in one transaction.
func (db *DB) migrate(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(lockMigration)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS staydown_version (version integer NOT NULL)`); err != nil {
			return err
		}
		var version int
		err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM staydown_version`).Scan(&version)
		if err != nil {
			return err
		}
		if version > len(migrations) {
			return fmt.Errorf("the tables have version %d, and this program knows %d: %w", version, len(migrations), blocklist.ErrVersion)
		}
		for ; version < len(migrations); version++ {
			if _, err := tx.Exec(ctx, migrations[version]); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO staydown_version VALUES ($1)`, version+1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	return nil
}

// use counts a user of the connections; release closes them after the last one.
func (db *DB) use() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.users++
}

func (db *DB) release() {
	db.mu.Lock()
	db.users--
	last := db.users == 0
	db.mu.Unlock()
	if last {
		db.close()
	}
}

// Close closes the connections. The desk closes what it got from Cases and Journal by
// itself, and with the last of these the connections; so Close is only for a DB that no
// desk was opened with.
func (db *DB) Close() { db.close() }

func (db *DB) close() {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return
	}
	db.closed = true
	db.mu.Unlock()
	if db.lock != nil {
		db.lock.Release()
	}
	db.pool.Close()
}

// context bounds one call.
func (db *DB) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), db.timeout)
}

// update runs f in a transaction that writes. Those of one desk follow each other.
func (db *DB) update(f func(context.Context, pgx.Tx) error) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	ctx, cancel := db.context()
	defer cancel()
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := db.owned(ctx, tx, "FOR UPDATE"); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// owned fails when another process has taken the place of this one. With FOR UPDATE
// none can before the transaction ends.
func (db *DB) owned(ctx context.Context, tx pgx.Tx, lock string) error {
	var owner []byte
	err := tx.QueryRow(ctx, `SELECT owner FROM staydown_desk WHERE desk = $1 `+lock, db.desk).Scan(&owner)
	if err == nil && !bytes.Equal(owner, db.owner[:]) {
		err = fmt.Errorf("pgstore: desk %q was opened by another process: %w", db.desk, blocklist.ErrLocked)
	}
	return err
}

// view runs f in a transaction that reads one state.
func (db *DB) view(f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := db.context()
	defer cancel()
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return f(ctx, tx)
	})
}
