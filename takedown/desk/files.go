package desk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/staydown/staydown/internal/chunks"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// The pictures of a request lie in BucketFiles, apart from the request: reading
// or moving a case does not touch them. Each is sealed in parts under a key of
// its own, and read part by part. The keys lie in the sealed request. The key of
// a picture that [Options].KeepPictures keeps is also sealed under the operator's
// key, in BucketPictures, so that the picture is stored once and outlives the
// personal data.
//
// Files are written before the case that has them, in transactions of their own,
// so that a large request does not keep other cases waiting. Until the case is
// stored they are named in BucketUploads; Open removes what is left there.

// storedFile names a file in BucketFiles.
type storedFile struct {
	ID   [16]byte `json:"id"`
	Key  [32]byte `json:"key"`
	Size int64    `json:"size"` // of the plain text
}

// fileBatch is how many parts are written in one transaction: 1 MiB. A move of
// another case waits for one of them.
const fileBatch = 4

func fileKey(id takedown.CaseID, file [16]byte) []byte {
	return append(append([]byte(nil), id[:]...), file[:]...)
}

// putFiles writes the files of a case that is not stored yet.
func (s *caseStore) putFiles(ctx context.Context, id takedown.CaseID, files []request.File) ([]storedFile, error) {
	if len(files) == 0 {
		return nil, nil
	}
	stored := make([]storedFile, len(files))
	err := s.db.Update(func(tx StoreTx) error {
		for i := range stored {
			rand.Read(stored[i].ID[:])
			rand.Read(stored[i].Key[:])
			if err := tx.Put(BucketUploads, fileKey(id, stored[i].ID), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
	for i, f := range files {
		if err == nil {
			stored[i].Size, err = s.putFile(ctx, fileKey(id, stored[i].ID), stored[i].Key, f)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.dropUploads(id, stored))
	}
	return stored, nil
}

func (s *caseStore) putFile(ctx context.Context, prefix []byte, key [32]byte, f request.File) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, fmt.Errorf("takedown: a file of the request: %w", err)
	}
	type part struct{ key, sealed []byte }
	var batch []part
	flush := func() error {
		if err := ctx.Err(); err != nil || len(batch) == 0 {
			return err
		}
		// A move has several transactions: a batch comes between two moves, and not
		// between their transactions.
		s.moves.Lock()
		defer s.moves.Unlock()
		err := s.db.Update(func(tx StoreTx) error {
			for _, p := range batch {
				if err := tx.Put(BucketFiles, p.key, p.sealed); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		return err
	}
	size, err := chunks.Write(r, f.Size(), key, func(i int, sealed []byte) error {
		batch = append(batch, part{partKey(prefix, i), sealed})
		if len(batch) < fileBatch {
			return nil
		}
		return flush()
	})
	err = errors.Join(err, r.Close())
	if err == nil {
		err = flush()
	}
	if err == nil && size != f.Size() {
		err = fmt.Errorf("takedown: a file of the request has %d bytes, not %d as it said", size, f.Size())
	}
	return size, err
}

func partKey(prefix []byte, i int) []byte {
	return append(bytes.Clone(prefix), byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
}

// dropUploads removes files that were written for a case that does not have
// them. Files that it has are left alone.
func (s *caseStore) dropUploads(id takedown.CaseID, files []storedFile) error {
	if len(files) == 0 {
		return nil
	}
	return s.db.Update(func(tx StoreTx) (err error) {
		for _, f := range files {
			k := fileKey(id, f.ID)
			left, failed := tx.Get(BucketUploads, k)
			if failed == nil && left != nil {
				failed = errors.Join(deletePrefix(tx, BucketFiles, k), tx.Delete(BucketUploads, k))
			}
			err = errors.Join(err, failed)
		}
		return err
	})
}

// dropLeftUploads removes the files that a crash kept from any case.
func (s *caseStore) dropLeftUploads() error {
	return s.db.Update(func(tx StoreTx) error {
		var uploads [][]byte
		err := tx.Scan(BucketUploads, nil, nil, func(k, _ []byte) error {
			uploads = append(uploads, bytes.Clone(k))
			return nil
		})
		for _, k := range uploads {
			err = errors.Join(err, deletePrefix(tx, BucketFiles, k), tx.Delete(BucketUploads, k))
		}
		return err
	})
}

// takeFiles gives uploaded files to a case that is stored in the transaction.
func takeFiles(tx StoreTx, id takedown.CaseID, files []storedFile) error {
	for _, f := range files {
		k := fileKey(id, f.ID)
		b, err := tx.Get(BucketUploads, k)
		if err == nil && b == nil {
			err = fmt.Errorf("%w: an uploaded file of case %v is missing", ErrStore, id)
		}
		if err = errors.Join(err, tx.Delete(BucketUploads, k)); err != nil {
			return err
		}
	}
	return nil
}

// file returns a handle to a stored file.
func (s *caseStore) file(id takedown.CaseID, f storedFile) request.File {
	prefix := fileKey(id, f.ID)
	return request.FromFunc(f.Size, func() (io.ReadCloser, error) {
		return io.NopCloser(fileReader{chunks.NewReader(f.Key, f.Size, func(i int) (part []byte, err error) {
			err = s.db.View(func(tx StoreTx) error {
				b, err := tx.Get(BucketFiles, partKey(prefix, i))
				part = bytes.Clone(b)
				return err
			})
			if err == nil && part == nil {
				if _, err = s.keys.get(id); err == nil {
					err = fmt.Errorf("%w: part %d of a file of case %v is missing, or the file was replaced", ErrStore, i, id)
				}
			}
			return part, err
		})}), nil
	})
}

// fileReader names the error of a part that does not open as the rest of the
// store does.
type fileReader struct{ io.Reader }

func (r fileReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, chunks.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return n, err
}

func (s *caseStore) files(id takedown.CaseID, stored []storedFile) (files []request.File) {
	for _, f := range stored {
		files = append(files, s.file(id, f))
	}
	return files
}

// keepPicture seals what opens a file of a case under the operator's key.
func (s *caseStore) keepPicture(tx StoreTx, id takedown.CaseID, i int, f storedFile) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("takedown: case store: %w", err)
	}
	return tx.Put(BucketPictures, numbered(id, i), seal(s.operator, label("picture", id), b))
}

func (s *caseStore) openPicture(id takedown.CaseID, sealed []byte) (f storedFile, err error) {
	b, err := unseal(s.operator, label("picture", id), sealed)
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	return f, err
}

// sweepFiles removes the files of a case, except those of its request and those
// that are kept. requested are the files of the request; nil if it was erased.
func (s *caseStore) sweepFiles(tx StoreTx, id takedown.CaseID, requested []storedFile) error {
	var keep [][16]byte
	for _, f := range requested {
		keep = append(keep, f.ID)
	}
	err := tx.Scan(BucketPictures, id[:], nil, func(_, v []byte) error {
		f, err := s.openPicture(id, v)
		keep = append(keep, f.ID)
		return err
	})
	if err != nil {
		return err
	}
	// Another call may be writing files for the case.
	err = tx.Scan(BucketUploads, id[:], nil, func(k, _ []byte) error {
		keep = append(keep, [16]byte(k[16:]))
		return nil
	})
	if err != nil {
		return err
	}
	var gone [][]byte
	err = tx.Scan(BucketFiles, id[:], nil, func(k, _ []byte) error {
		if _, err := caseKey(BucketFiles, k, 16+4); err != nil {
			return err
		}
		if !slices.Contains(keep, [16]byte(k[16:32])) {
			gone = append(gone, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range gone {
		err = errors.Join(err, tx.Delete(BucketFiles, k))
	}
	return err
}
