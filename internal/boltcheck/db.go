package boltcheck

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// DB is a bbolt file whose damage comes as an error: what Check cannot know of,
// and what happens to the file while it is open, makes bbolt panic, or fault
// over its mapped memory.
type DB struct {
	// Salvaged is the damage of one meta page that Open accepted.
	Salvaged error

	db *bbolt.DB
	// damage is what was met. bbolt may have left its locks held then, so
	// nothing asks it again.
	damage atomic.Pointer[error]
}

// Open checks a file with File and opens it, or makes it. With salvage, damage
// of one meta page is no error. Errors wrap ErrLocked, or ErrDamaged, or are of
// the operating system.
func Open(path string, o *bbolt.Options, salvage bool) (*DB, error) {
	meta, err := File(path, o.Timeout)
	if err != nil {
		return nil, err
	}
	if meta != nil && !salvage {
		return nil, meta
	}
	d := &DB{Salvaged: meta}
	var opened *os.File
	with := *o
	with.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		opened, err = os.OpenFile(name, flag, mode)
		return opened, err
	}
	err = d.guard(func() error {
		d.db, err = bbolt.Open(path, 0o600, &with)
		return err
	})
	if err == nil && !isAt(opened, path) {
		// Its owner replaced the file while this call waited for the lock.
		return nil, errors.Join(ErrLocked, d.Close())
	}
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrInvalidMapping):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	return d, nil
}

// isAt reports whether f is the file at path.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// View is that of bbolt.
func (d *DB) View(f func(*bbolt.Tx) error) error {
	return d.guard(func() error { return d.db.View(f) })
}

// Update is that of bbolt. After an error that wraps ErrDamaged it is not known
// what was written.
func (d *DB) Update(f func(*bbolt.Tx) error) error {
	return d.guard(func() error { return d.db.Update(f) })
}

// Close is that of bbolt. A damaged file stays open, and locked, until the
// process ends: bbolt would wait for the transaction that met the damage.
func (d *DB) Close() error {
	if d.damage.Load() != nil {
		return nil
	}
	return d.guard(d.db.Close)
}

func (d *DB) guard(f func() error) (err error) {
	if damage := d.damage.Load(); damage != nil {
		return *damage
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if !ofFile(p) {
			panic(p)
		}
		damage := damaged("%v", p)
		d.damage.Store(&damage)
		err = damage
	}()
	return withErrno(f())
}

// withErrno makes an error wrap that of the system, where bbolt has only its text.
func withErrno(err error) error {
	if err == nil || errors.As(err, new(syscall.Errno)) {
		return err
	}
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EFBIG, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		if strings.HasSuffix(err.Error(), e.Error()) {
			return systemError{err, e}
		}
	}
	return err
}

type systemError struct {
	error
	errno syscall.Errno
}

func (e systemError) Unwrap() []error { return []error{e.error, e.errno} }

// ofFile reports whether the panic p, which is running, comes of what is in the
// file: a memory fault, or a panic in bbolt. A panic in a caller's function is a
// mistake in the program.
func ofFile(p any) bool {
	if _, ok := p.(interface{ Addr() uintptr }); ok {
		return true
	}
	stack := make([]uintptr, 64)
	frames := runtime.CallersFrames(stack[:runtime.Callers(3, stack)])
	for {
		frame, more := frames.Next()
		switch {
		case strings.HasPrefix(frame.Function, "go.etcd.io/bbolt"):
			return true
		case !more || strings.HasPrefix(frame.Function, "github.com/staydown/staydown"):
			return false
		}
	}
}
