package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/staydown/staydown/takedown/desk"
)

// cases is the desk.Store of a DB.
type cases struct {
	db    *DB
	close sync.Once
}

// Cases returns the store of the cases.
func (db *DB) Cases() desk.Store {
	db.use()
	return &cases{db: db}
}

func (c *cases) Close() error {
	c.close.Do(c.db.release)
	return nil
}

func (c *cases) View(f func(desk.StoreTx) error) error {
	return c.db.view(func(ctx context.Context, tx pgx.Tx) error { return f(&caseTx{ctx: ctx, tx: tx, db: c.db}) })
}

func (c *cases) Update(f func(desk.StoreTx) error) error {
	return c.db.update(func(ctx context.Context, tx pgx.Tx) error {
		t := &caseTx{ctx: ctx, tx: tx, db: c.db}
		if err := f(t); err != nil {
			return err
		}
		return t.flush()
	})
}

// caseTx is a transaction. Writes wait in a batch for the next read, or for the end,
// so that many of them take one trip to the server.
type caseTx struct {
	ctx    context.Context
	tx     pgx.Tx
	db     *DB
	writes pgx.Batch
	size   int
}

// batchBytes bounds the writes that wait.
const batchBytes = 4 << 20

func (t *caseTx) flush() error {
	if t.writes.Len() == 0 {
		return nil
	}
	err := t.tx.SendBatch(t.ctx, &t.writes).Close()
	t.writes, t.size = pgx.Batch{}, 0
	return storeError(err)
}

func storeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pgstore: %w", err)
}

func (t *caseTx) Get(b desk.Bucket, key []byte) (value []byte, err error) {
	if err := t.flush(); err != nil {
		return nil, err
	}
	err = t.tx.QueryRow(t.ctx, `SELECT value FROM staydown_case WHERE desk = $1 AND bucket = $2 AND key = $3`, t.db.desk, string(b), key).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return value, storeError(err)
}

func (t *caseTx) Put(b desk.Bucket, key, value []byte) error {
	// They belong to the caller, who may change them before the batch is sent. An
	// empty value is not NULL.
	key, value = bytes.Clone(key), append([]byte{}, value...)
	t.writes.Queue(`INSERT INTO staydown_case (desk, bucket, key, value) VALUES ($1, $2, $3, $4)
		ON CONFLICT (desk, bucket, key) DO UPDATE SET value = excluded.value`, t.db.desk, string(b), key, value)
	if t.size += len(key) + len(value); t.size > batchBytes {
		return t.flush()
	}
	return nil
}

func (t *caseTx) Delete(b desk.Bucket, key []byte) error {
	t.writes.Queue(`DELETE FROM staydown_case WHERE desk = $1 AND bucket = $2 AND key = $3`, t.db.desk, string(b), bytes.Clone(key))
	t.size += len(key)
	return nil
}

// Pages of a scan grow as long as they are small.
const (
	firstPage = 16
	lastPage  = 2048
	pageBytes = 1 << 20
)

func (t *caseTx) Scan(b desk.Bucket, prefix, from []byte, f func(key, value []byte) error) error {
	if bytes.Compare(from, prefix) < 0 {
		from = prefix
	}
	from = append([]byte{}, from...)
	end := successor(prefix)
	for page := firstPage; ; {
		keys, values, size, err := t.page(b, from, end, page)
		if err != nil {
			return err
		}
		for i := range keys {
			if err := f(keys[i], values[i]); err != nil {
				return err
			}
		}
		if len(keys) < page {
			return nil
		}
		from = append(keys[len(keys)-1], 0)
		if size < pageBytes {
			page = min(2*page, lastPage)
		} else {
			page = firstPage
		}
	}
}

// page reads some keys, so that f can use the connection.
func (t *caseTx) page(b desk.Bucket, from, end []byte, n int) (keys, values [][]byte, size int, err error) {
	if err := t.flush(); err != nil {
		return nil, nil, 0, err
	}
	rows, err := t.tx.Query(t.ctx, `SELECT key, value FROM staydown_case
		WHERE desk = $1 AND bucket = $2 AND key >= $3 AND ($4::bytea IS NULL OR key < $4) ORDER BY key LIMIT $5`, t.db.desk, string(b), from, end, n)
	if err != nil {
		return nil, nil, 0, storeError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var k, v []byte
		if err := rows.Scan(&k, &v); err != nil {
			return nil, nil, 0, storeError(err)
		}
		keys, values = append(keys, k), append(values, v)
		size += len(v)
	}
	return keys, values, size, storeError(rows.Err())
}

// successor returns the first key after all that begin with a prefix; nil if there is
// none.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}
