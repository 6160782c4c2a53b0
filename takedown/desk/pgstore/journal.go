package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown/desk"
)

// journal is the blocklist.Journal of a DB.
type journal struct {
	db *DB
	// calls is held for reading by every call, and for writing by Close.
	calls  sync.RWMutex
	closed bool
}

// Journal returns the journal of the list. With [DB.Cases] it is one database, so that a
// case and its events are one transaction.
func (db *DB) Journal() desk.JointJournal {
	db.use()
	return &journal{db: db}
}

// Close waits for the calls that run.
func (j *journal) Close() error {
	j.calls.Lock()
	defer j.calls.Unlock()
	if !j.closed {
		j.closed = true
		j.db.release()
	}
	return nil
}

// call runs f unless the journal is closed.
func (j *journal) call(f func() error) error {
	j.calls.RLock()
	defer j.calls.RUnlock()
	if j.closed {
		return fmt.Errorf("pgstore: journal: %w", blocklist.ErrClosed)
	}
	if err := f(); err != nil {
		return fmt.Errorf("pgstore: journal: %w", err)
	}
	return nil
}

func (j *journal) view(f func(context.Context, pgx.Tx) error) error {
	return j.call(func() error { return j.db.view(f) })
}

func (j *journal) update(f func(context.Context, pgx.Tx) error) error {
	return j.call(func() error { return j.db.update(f) })
}

func (j *journal) Meta() (meta []byte, err error) {
	err = j.view(func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT meta FROM staydown_desk WHERE desk = $1`, j.db.desk).Scan(&meta)
	})
	return meta, err
}

func (j *journal) SetMeta(meta []byte) error {
	return j.update(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE staydown_desk SET meta = $2 WHERE desk = $1`, j.db.desk, append([]byte{}, meta...))
		return err
	})
}

// Last waits for a transaction that writes. After a write whose end was not seen, for
// example because the connection was lost, it tells whether the entries are there.
func (j *journal) Last() (seq uint64, err error) {
	err = j.update(func(ctx context.Context, tx pgx.Tx) error {
		seq, err = j.last(ctx, tx)
		return err
	})
	return seq, err
}

func (j *journal) last(ctx context.Context, tx pgx.Tx) (seq uint64, err error) {
	err = tx.QueryRow(ctx, `SELECT last FROM staydown_desk WHERE desk = $1`, j.db.desk).Scan(&seq)
	return seq, err
}

func (j *journal) Append(entries []blocklist.Entry) error {
	return j.update(func(ctx context.Context, tx pgx.Tx) error { return j.append(ctx, tx, entries) })
}

// With reports whether a store is the one of the same desk.
func (j *journal) With(s desk.Store) bool {
	c, ok := s.(*cases)
	return ok && c.db == j.db
}

// AppendIn appends entries in a transaction of the store.
func (j *journal) AppendIn(tx desk.StoreTx, entries []blocklist.Entry) error {
	t, ok := tx.(*caseTx)
	if !ok || t.db != j.db {
		return errors.New("pgstore: journal: the transaction is not of the store of this desk")
	}
	return j.call(func() error {
		if err := t.flush(); err != nil {
			return err
		}
		return j.append(t.ctx, t.tx, entries)
	})
}

func (j *journal) append(ctx context.Context, tx pgx.Tx, entries []blocklist.Entry) error {
	last, err := j.last(ctx, tx)
	if err != nil {
		return err
	}
	for i := range entries {
		if last++; entries[i].Seq != last {
			return fmt.Errorf("entry %d, and %d is next: %w", entries[i].Seq, last, blocklist.ErrJournal)
		}
	}
	columns := []string{"desk", "seq", "id", "target", "digest", "data"}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"staydown_event"}, columns, pgx.CopyFromSlice(len(entries), func(i int) ([]any, error) {
		e := &entries[i]
		return []any{j.db.desk, int64(e.Seq), e.ID[:], int64(e.Target), e.Digest[:], append([]byte{}, e.Data...)}, nil
	})); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE staydown_desk SET last = $2 WHERE desk = $1`, j.db.desk, int64(last))
	return err
}

// readBytes bounds how much one Read returns.
const readBytes = 4 << 20

func (j *journal) Read(from uint64, limit int) (some []blocklist.Entry, err error) {
	err = j.view(func(ctx context.Context, tx pgx.Tx) error {
		last, err := j.last(ctx, tx)
		if err != nil {
			return err
		}
		some, err = j.read(ctx, tx, max(from, 1), last, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return some, nil
}

// read returns entries from one number up to another.
func (j *journal) read(ctx context.Context, tx pgx.Tx, from, last uint64, limit int) (some []blocklist.Entry, err error) {
	if from > last || limit < 1 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `SELECT seq, id, target, digest, data FROM (
			SELECT *, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before FROM (
				SELECT seq, id, target, digest, data FROM staydown_event
				WHERE desk = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq LIMIT $4) AS these) AS sized
		WHERE before < $5 ORDER BY seq`, j.db.desk, int64(from), int64(last), limit, int64(readBytes))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e blocklist.Entry
		var seq, target int64
		var id, digest []byte
		if err := rows.Scan(&seq, &id, &target, &digest, &e.Data); err != nil {
			return nil, err
		}
		if uint64(seq) != from+uint64(len(some)) || len(id) != len(e.ID) || len(digest) != len(e.Digest) {
			return nil, fmt.Errorf("event %d is missing or damaged: %w", from+uint64(len(some)), blocklist.ErrJournal)
		}
		e.Seq, e.ID, e.Target, e.Digest = uint64(seq), [16]byte(id), uint64(target), [32]byte(digest)
		some = append(some, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("event %d is missing: %w", from, blocklist.ErrJournal)
	}
	return some, nil
}

func (j *journal) Find(ids ...[16]byte) (seqs []uint64, err error) {
	seqs = make([]uint64, len(ids))
	asked := make([][]byte, len(ids))
	for i := range ids {
		asked[i] = ids[i][:]
	}
	err = j.view(func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, seq FROM staydown_event WHERE desk = $1 AND id = ANY($2)`, j.db.desk, asked)
		if err != nil {
			return err
		}
		defer rows.Close()
		found := map[string]uint64{}
		for rows.Next() {
			var id []byte
			var seq int64
			if err := rows.Scan(&id, &seq); err != nil {
				return err
			}
			found[string(id)] = uint64(seq)
		}
		for i := range ids {
			seqs[i] = found[string(asked[i])]
		}
		return rows.Err()
	})
	return seqs, err
}

func (j *journal) Targeting(target uint64) (seqs []uint64, err error) {
	err = j.view(func(ctx context.Context, tx pgx.Tx) error {
		if target == 0 {
			return nil
		}
		rows, err := tx.Query(ctx, `SELECT seq FROM staydown_event WHERE desk = $1 AND target = $2 ORDER BY seq`, j.db.desk, int64(target))
		if err != nil {
			return err
		}
		seqs, err = pgx.CollectRows(rows, pgx.RowTo[uint64])
		return err
	})
	return seqs, err
}

// Rewrite changes the rows in one transaction, and then has the table written anew,
// because an UPDATE leaves the old row in its file. It does not lock the row of the
// desk: entries that are appended meanwhile are others.
func (j *journal) Rewrite(ctx context.Context, change func(blocklist.Entry) ([]byte, error)) error {
	return j.call(func() error {
		changed := false
		err := pgx.BeginTxFunc(ctx, j.db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if err := j.db.owned(ctx, tx, ""); err != nil {
				return err
			}
			last, err := j.last(ctx, tx)
			if err != nil {
				return err
			}
			for from := uint64(1); from <= last; {
				some, err := j.read(ctx, tx, from, last, 1000)
				if err != nil {
					return err
				}
				did, err := j.rewriteSome(ctx, tx, some, change)
				if err != nil {
					return err
				}
				changed = changed || did
				from += uint64(len(some))
			}
			return ctx.Err()
		})
		if err != nil || !changed {
			return err
		}
		_, err = j.db.pool.Exec(ctx, `VACUUM (FULL) staydown_event`)
		return err
	})
}

func (j *journal) rewriteSome(ctx context.Context, tx pgx.Tx, some []blocklist.Entry, change func(blocklist.Entry) ([]byte, error)) (changed bool, err error) {
	var batch pgx.Batch
	for _, e := range some {
		data, err := change(e)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		if data != nil {
			batch.Queue(`UPDATE staydown_event SET data = $3 WHERE desk = $1 AND seq = $2`, j.db.desk, int64(e.Seq), data)
		}
	}
	if batch.Len() == 0 {
		return false, nil
	}
	return true, tx.SendBatch(ctx, &batch).Close()
}
