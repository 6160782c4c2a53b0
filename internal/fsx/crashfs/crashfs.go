// Package crashfs is a file system in memory that knows which of its bytes and
// names were synced. Tests let its n-th operation fail, or the machine crash
// there, and look at what a disk may hold afterwards.
package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"

	"github.com/staydown/staydown/internal/fsx"
)

// Errors of injected faults.
var (
	ErrInjected = errors.New("crashfs: injected failure")
	ErrCrashed  = errors.New("crashfs: the machine has crashed")
)

// Mode says what happens at the chosen operation.
type Mode int

const (
	// Fail makes one operation fail without effect; later ones succeed.
	Fail Mode = iota
	// FailOn makes it and all later ones fail, as on a full disk.
	FailOn
	// Crash stops the machine before the operation.
	Crash
	// CrashWithin stops it when half of a write was done, or all of another
	// operation, but nothing of it synced.
	CrashWithin
)

// String returns the name of the mode.
func (m Mode) String() string { return [...]string{"fail", "fail on", "crash", "crash within"}[m] }

// FS is the file system. The zero value is empty and works.
type FS struct {
	NoLinks bool // Link is not supported

	mu    sync.Mutex
	names map[string]*node  // as a running system sees them
	disk  map[string]*node  // as they were when their folder was synced last
	made  []*node           // all files, also those that have no name any more
	moved map[string]string // new name → old one, of renames since; both happen or none does

	ops  int // so far
	at   int // operation at which Mode happens, from 1 on; 0 for never
	mode Mode
	down error // of all operations from now on
}

type node struct {
	data   []byte // as a running system sees it
	synced []byte // as it was when the file was synced last
}

// Arm makes mode happen at the n-th operation from now.
func (f *FS) Arm(n int, mode Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.mode = f.ops+n, mode
}

// Ops returns how many operations there were.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// step counts an operation; within is true if it shall happen and then the
// machine crash.
func (f *FS) step() (within bool, err error) {
	if f.down != nil {
		return false, f.down
	}
	f.ops++
	if f.ops != f.at {
		return false, nil
	}
	switch f.mode {
	case Fail:
		return false, ErrInjected
	case FailOn:
		f.down = ErrInjected
		return false, ErrInjected
	case Crash:
		f.down = ErrCrashed
		return false, ErrCrashed
	}
	f.down = ErrCrashed
	return true, nil
}

// AfterCrash returns what the disk may hold after a crash at this moment. With
// a nil rng it holds only what was synced. Otherwise names and bytes that were
// not synced are there or not at random, but a rename as a whole; bytes are so in
// sectors of 512.
func (f *FS) AfterCrash(rng *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &FS{NoLinks: f.NoLinks, names: map[string]*node{}, disk: map[string]*node{}}
	all := map[string]bool{}
	left := map[*node]*node{}
	for _, n := range f.made {
		data := slices.Clone(n.synced)
		if rng != nil {
			data = torn(n, rng)
		}
		left[n] = &node{data, slices.Clone(data)}
		out.made = append(out.made, left[n])
	}
	for name := range f.names {
		all[name] = true
	}
	for name := range f.disk {
		all[name] = true
	}
	happened := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if rng != nil {
			happened[name] = rng.IntN(2) == 0
		}
	}
	for _, to := range slices.Sorted(maps.Keys(f.moved)) {
		happened[f.moved[to]] = happened[to]
	}
	for name := range all {
		n := f.disk[name]
		if happened[name] {
			n = f.names[name]
		}
		if n == nil {
			continue
		}
		out.names[name], out.disk[name] = left[n], left[n]
	}
	return out
}

func torn(n *node, rng *rand.Rand) []byte {
	size := len(n.synced)
	if rng.IntN(2) == 0 {
		size = len(n.data)
	}
	out := make([]byte, size)
	copy(out, n.synced)
	for at := 0; at < size; at += 512 {
		if at < len(n.data) && rng.IntN(2) == 0 {
			copy(out[at:min(at+512, size)], n.data[at:])
		}
	}
	return out
}

// Bytes returns the content of a file, as a running system sees it.
func (f *FS) Bytes(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.names[name]; n != nil {
		return slices.Clone(n.data)
	}
	return nil
}

// Nameless returns what the disk holds of files that have no name any more: it
// lies there until something else takes its place.
func (f *FS) Nameless() (contents [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.made {
		named := func(names map[string]*node) bool {
			return slices.Contains(slices.Collect(maps.Values(names)), n)
		}
		if !named(f.names) && !named(f.disk) {
			contents = append(contents, slices.Clone(n.synced))
		}
	}
	return contents
}

func (f *FS) do(op, name string, act func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names == nil {
		f.names, f.disk = map[string]*node{}, map[string]*node{}
	}
	within, err := f.step()
	if err == nil {
		err = act()
	}
	if err == nil && within {
		err = ErrCrashed
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// MkdirAll counts as an operation and does nothing: folders are not modelled.
func (f *FS) MkdirAll(dir string) error {
	return f.do("mkdir", dir, func() error { return nil })
}

// Create implements fsx.FS.
func (f *FS) Create(name string) (fsx.File, error) {
	var n *node
	err := f.do("create", name, func() error {
		if f.names[name] != nil {
			return fs.ErrExist
		}
		n = &node{}
		f.names[name] = n
		f.made = append(f.made, n)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &file{f, name, n}, nil
}

// Open implements fsx.FS.
func (f *FS) Open(name string) (fsx.File, error) {
	var n *node
	err := f.do("open", name, func() error {
		if n = f.names[name]; n == nil {
			return fs.ErrNotExist
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &file{f, name, n}, nil
}

// Edit implements fsx.FS.
func (f *FS) Edit(name string) (fsx.File, error) { return f.Open(name) }

// Rename implements fsx.FS.
func (f *FS) Rename(from, to string) error {
	return f.do("rename", from, func() error {
		n := f.names[from]
		if n == nil {
			return fs.ErrNotExist
		}
		delete(f.names, from)
		f.names[to] = n
		if f.moved == nil {
			f.moved = map[string]string{}
		}
		f.moved[to] = from
		return nil
	})
}

// Link implements fsx.FS.
func (f *FS) Link(name, second string) error {
	return f.do("link", name, func() error {
		switch {
		case f.NoLinks:
			return errors.ErrUnsupported
		case f.names[name] == nil:
			return fs.ErrNotExist
		case f.names[second] != nil:
			return fs.ErrExist
		}
		f.names[second] = f.names[name]
		return nil
	})
}

// Remove implements fsx.FS.
func (f *FS) Remove(name string) error {
	return f.do("remove", name, func() error {
		if f.names[name] == nil {
			return fs.ErrNotExist
		}
		delete(f.names, name)
		return nil
	})
}

// List implements fsx.FS.
func (f *FS) List(dir string) (names []string, err error) {
	err = f.do("list", dir, func() error {
		for name := range f.names {
			if filepath.Dir(name) == filepath.Clean(dir) {
				names = append(names, filepath.Base(name))
			}
		}
		return nil
	})
	return names, err
}

// SyncDir implements fsx.FS.
func (f *FS) SyncDir(dir string) error {
	return f.do("syncdir", dir, func() error {
		if f.down != nil {
			return nil // crash within: it did not come to the disk
		}
		for name := range f.disk {
			if filepath.Dir(name) == filepath.Clean(dir) && f.names[name] == nil {
				delete(f.disk, name)
			}
		}
		maps.DeleteFunc(f.moved, func(to, _ string) bool { return filepath.Dir(to) == filepath.Clean(dir) })
		for name, n := range f.names {
			if filepath.Dir(name) == filepath.Clean(dir) {
				f.disk[name] = n
			}
		}
		return nil
	})
}

type file struct {
	fs   *FS
	name string
	node *node
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.fs.do("read", f.name, func() error {
		if off < int64(len(f.node.data)) {
			n = copy(p, f.node.data[off:])
		}
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fs.do("write", f.name, func() error {
		n = len(p)
		if f.fs.down != nil {
			n /= 2
		}
		if grow := int(off) + n - len(f.node.data); grow > 0 {
			f.node.data = append(f.node.data, make([]byte, grow)...)
		}
		copy(f.node.data[off:], p[:n])
		return nil
	})
	return n, err
}

func (f *file) Sync() error {
	return f.fs.do("sync", f.name, func() error {
		if f.fs.down == nil {
			f.node.synced = slices.Clone(f.node.data)
		}
		return nil
	})
}

func (f *file) Close() error {
	return f.fs.do("close", f.name, func() error { return nil })
}

func (f *file) Size() (size int64, err error) {
	err = f.fs.do("stat", f.name, func() error {
		size = int64(len(f.node.data))
		return nil
	})
	return size, err
}
