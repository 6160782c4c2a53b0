package blocklist

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/staydown/staydown/internal/fsx"
)

// EncryptionKey is the key of lists that are encrypted at rest. It must be 32
// random bytes, not a password.
type EncryptionKey [32]byte

// An encrypted snapshot is a file of its own kind, whose content is the
// snapshot in pieces of 64 KiB, each under AES-256-GCM: docs/format/snapshot.md.
const (
	sealedMagic   = "\x89SDCRYP\n"
	sealedVersion = 1
	sealedHeader  = 80
	sealedPiece   = 64 << 10
	gcmTag        = 16
	gcmNonce      = 12
	saltSize      = 32
	checkSize     = 16
)

// derive returns the AES-256-GCM cipher of one file or journal, and a value by
// which a wrong key is told from damage.
func (k *EncryptionKey) derive(salt []byte, purpose string) (cipher.AEAD, []byte) {
	out := k.expand(salt, purpose)
	block, err := aes.NewCipher(out[:32])
	if err != nil {
		panic("blocklist: " + err.Error()) // only for keys of other lengths
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("blocklist: " + err.Error())
	}
	return gcm, out[32:]
}

// expand returns a key for one purpose, 32 bytes, and a check value.
func (k *EncryptionKey) expand(salt []byte, purpose string) []byte {
	out, err := hkdf.Key(sha256.New, k[:], salt, "staydown "+purpose+" 1", 32+checkSize)
	if err != nil {
		panic("blocklist: " + err.Error()) // only for lengths beyond 8,160
	}
	return out
}

// sealedSize returns the length of the file that holds size bytes.
func sealedSize(size int64) int64 {
	pieces := (size + sealedPiece - 1) / sealedPiece
	return sealedHeader + size + pieces*gcmTag
}

// pieceNonce numbers the pieces; the key is new for each file.
func pieceNonce(i int64) []byte {
	return le.AppendUint64(make([]byte, gcmNonce-8, gcmNonce), uint64(i))
}

// writeSealed writes the encrypted form of a snapshot.
func writeSealed(w io.WriterAt, snapshot []byte, key *EncryptionKey) error {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	gcm, check := key.derive(salt, "snapshot")
	h := append([]byte(sealedMagic), sealedVersion, 0, 0, 0, 0, 0, 0, 0)
	h = le.AppendUint64(h, uint64(len(snapshot)))
	h = append(h, salt...)
	h = append(h, check...)
	h = append(h, 0, 0, 0, 0)
	h = le.AppendUint32(h, crc32.Checksum(h, castagnoli))
	var buf []byte
	at, start := int64(sealedHeader), int64(sealedHeader)
	for i := int64(0); i*sealedPiece < int64(len(snapshot)); i++ {
		p := snapshot[i*sealedPiece : min((i+1)*sealedPiece, int64(len(snapshot)))]
		buf = gcm.Seal(buf, pieceNonce(i), p, h)
		at += int64(len(p)) + gcmTag
		if len(buf) > 1<<20 || (i+1)*sealedPiece >= int64(len(snapshot)) {
			if _, err := w.WriteAt(buf, start); err != nil {
				return err
			}
			buf, start = buf[:0], at
		}
	}
	_, err := w.WriteAt(h, 0)
	return err
}

// isSealed reports whether a file begins as an encrypted snapshot does.
func isSealed(head []byte) bool { return bytes.HasPrefix(head, []byte(sealedMagic)) }

// sealedFile is an encrypted snapshot whose header is in order, and was made
// with the key.
type sealedFile struct {
	f     fsx.File
	head  []byte
	gcm   cipher.AEAD
	plain int64 // length of the snapshot
}

// openSealed reads the header of an encrypted snapshot in head, of a file of
// size bytes.
func openSealed(f fsx.File, head []byte, size int64, key *EncryptionKey) (*sealedFile, error) {
	if len(head) >= 10 {
		if v := le.Uint16(head[8:]); v != sealedVersion {
			return nil, fmt.Errorf("blocklist: encrypted snapshot of version %d, this program knows %d: %w", v, sealedVersion, ErrVersion)
		}
	}
	if len(head) < sealedHeader {
		return nil, fmt.Errorf("blocklist: encrypted snapshot of %d bytes is cut within its header: %w", size, ErrTruncated)
	}
	head = head[:sealedHeader]
	if got, want := crc32.Checksum(head[:sealedHeader-4], castagnoli), le.Uint32(head[sealedHeader-4:]); got != want {
		return nil, fmt.Errorf("blocklist: encrypted snapshot: header has checksum %08x, not %08x: %w", got, want, ErrChecksum)
	}
	plain := int64(le.Uint64(head[16:]))
	if plain < 0 || plain > maxFileSize || plain != int64(int(plain)) {
		return nil, fmt.Errorf("blocklist: encrypted snapshot of %d bytes, at most %d are accepted: %w", plain, int64(maxFileSize), ErrLimit)
	}
	if sealedSize(plain) != size {
		return nil, fmt.Errorf("blocklist: encrypted snapshot says it has %d bytes, the file has %d: %w", sealedSize(plain), size, ErrTruncated)
	}
	if key == nil {
		return nil, fmt.Errorf("blocklist: snapshot is encrypted, and there is no key: %w", ErrKey)
	}
	if !key.sealed(head) {
		return nil, fmt.Errorf("blocklist: snapshot is encrypted with another key: %w", ErrKey)
	}
	gcm, _ := key.derive(head[24:24+saltSize], "snapshot")
	return &sealedFile{f, head, gcm, plain}, nil
}

// sealed reports whether an encrypted snapshot with this header was made with k.
func (k *EncryptionKey) sealed(head []byte) bool {
	_, check := k.derive(head[24:24+saltSize], "snapshot")
	return subtle.ConstantTimeCompare(check, head[24+saltSize:24+saltSize+checkSize]) == 1
}

func (s *sealedFile) pieces() int64 { return (s.plain + sealedPiece - 1) / sealedPiece }

// piece decrypts piece i into its place in data, the snapshot from piece first
// on. buf has room for a piece.
func (s *sealedFile) piece(i, first int64, data, buf []byte) error {
	n := min(sealedPiece, s.plain-i*sealedPiece)
	at := sealedHeader + i*(sealedPiece+gcmTag)
	if got, err := s.f.ReadAt(buf[:n+gcmTag], at); got < int(n)+gcmTag {
		return fmt.Errorf("blocklist: encrypted snapshot: piece %d at %d: %w", i, at, readError(err))
	}
	to := (i - first) * sealedPiece
	if _, err := s.gcm.Open(data[to:to:to+n], pieceNonce(i), buf[:n+gcmTag], s.head); err != nil {
		return fmt.Errorf("blocklist: encrypted snapshot: piece %d at %d was changed: %w", i, at, ErrChecksum)
	}
	return nil
}

// part decrypts n bytes of the snapshot, which it has, from off on.
func (s *sealedFile) part(off, n int64) ([]byte, error) {
	first, last := off/sealedPiece, (off+n+sealedPiece-1)/sealedPiece
	data, buf := make([]byte, (last-first)*sealedPiece), make([]byte, sealedPiece+gcmTag)
	for i := first; i < last; i++ {
		if err := s.piece(i, first, data, buf); err != nil {
			return nil, err
		}
	}
	off -= first * sealedPiece
	return data[off : off+n], nil
}

// readSealed decrypts a snapshot into memory.
func readSealed(f fsx.File, head []byte, size int64, key *EncryptionKey) (*memory, error) {
	s, err := openSealed(f, head, size, key)
	if err != nil {
		return nil, err
	}
	m := newMemory(s.plain)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var work sync.WaitGroup
	for range min(int64(runtime.GOMAXPROCS(0)), 8, s.pieces()) {
		work.Go(func() {
			buf := make([]byte, sealedPiece+gcmTag)
			for i := next.Add(1) - 1; i < s.pieces() && failed.Load() == nil; i = next.Add(1) - 1 {
				if err := s.piece(i, 0, m.data, buf); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	work.Wait()
	if err := failed.Load(); err != nil {
		m.release()
		return nil, *err
	}
	return m, nil
}

// sealer encrypts the records of a journal. A nil sealer leaves them as they
// are.
type sealer struct{ gcm cipher.AEAD }

// seal returns p under a nonce of its own, bound to a label.
func (s *sealer) seal(p, label []byte) []byte {
	if s == nil {
		return p
	}
	nonce := make([]byte, gcmNonce, gcmNonce+len(p)+gcmTag)
	rand.Read(nonce)
	return s.gcm.Seal(nonce, nonce, p, label)
}

func (s *sealer) open(p, label []byte) ([]byte, error) {
	if s == nil {
		return p, nil
	}
	if len(p) < gcmNonce+gcmTag {
		return nil, fmt.Errorf("blocklist: journal: encrypted entry of %d bytes: %w", len(p), ErrTruncated)
	}
	out, err := s.gcm.Open(nil, p[:gcmNonce], p[gcmNonce:], label)
	if err != nil {
		return nil, fmt.Errorf("blocklist: journal: encrypted entry was changed: %w", ErrChecksum)
	}
	return out, nil
}
