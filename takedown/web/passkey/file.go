package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// File keeps accounts in a file, for a team whose pages run in one process. It is safe
// for concurrent use.
type File struct {
	path string

	mu   sync.RWMutex
	list []Account
}

// OpenFile opens a file of accounts. A file that is not there is made with the first
// account.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &f.list)
	}
	if err != nil {
		return nil, fmt.Errorf("passkey: the accounts: %w", err)
	}
	return f, nil
}

// ByID returns the account of a reviewer.
func (f *File) ByID(_ context.Context, id string) (Account, error) {
	return f.find(func(a *Account) bool { return a.Reviewer.ID == id })
}

// ByHandle returns the account with a handle.
func (f *File) ByHandle(_ context.Context, handle []byte) (Account, error) {
	return f.find(func(a *Account) bool { return bytes.Equal(a.Handle, handle) })
}

func (f *File) find(is func(*Account) bool) (Account, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i := range f.list {
		if is(&f.list[i]) {
			a := f.list[i]
			a.Keys = slices.Clone(a.Keys)
			return a, nil
		}
	}
	return Account{}, ErrNoAccount
}

// Put stores an account. The file is replaced as a whole.
func (f *File) Put(_ context.Context, a Account) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(f.list), func(b Account) bool { return b.Reviewer.ID == a.Reviewer.ID })
	list = append(list, a)
	b, err := json.MarshalIndent(list, "", "\t")
	if err != nil {
		return fmt.Errorf("passkey: the accounts: %w", err)
	}
	if err := f.replace(b); err != nil {
		return fmt.Errorf("passkey: the accounts: %w", err)
	}
	f.list = list
	return nil
}

// Remove removes the account of a reviewer, who is logged out with that.
func (f *File) Remove(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(f.list), func(a Account) bool { return a.Reviewer.ID == id })
	b, err := json.MarshalIndent(list, "", "\t")
	if err == nil {
		err = f.replace(b)
	}
	if err != nil {
		return fmt.Errorf("passkey: the accounts: %w", err)
	}
	f.list = list
	return nil
}

// replace writes the file beside the old one first.
func (f *File) replace(b []byte) (err error) {
	t, err := os.CreateTemp(filepath.Dir(f.path), ".accounts-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(t.Name()))
		}
	}()
	_, err = t.Write(b)
	if err = errors.Join(err, t.Sync(), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), f.path)
}
