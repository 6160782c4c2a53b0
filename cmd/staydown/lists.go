package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/takedown"
)

const listHelp = "A list: a snapshot file, the folder of a list or of a desk, or the location of a feed (with --trust). NAME=PATH gives it a name in the answers. Can be repeated; the strongest verdict of all lists counts."

// keyFlags are the keys of lists.
type keyFlags struct {
	Trust      []string `help:"Accept lists only if this key signed them: a file of keygen, or the public key in hex or base64. Can be repeated. Without it, a list is not checked for its origin." placeholder:"KEY"`
	Decryption string   `help:"The file with the key that the list is encrypted with." type:"existingfile" placeholder:"FILE" name:"encryption-key"`
}

// listFlags are the lists that answer.
type listFlags struct {
	List []string `help:"${lists}" required:"" short:"l" placeholder:"[NAME=]PATH"`
	keyFlags
	MaxAge time.Duration `help:"Answer \"unknown\" instead of \"allow\" if the list was written longer ago, for example 24h. 0 accepts any age." placeholder:"DURATION"`
}

// isDir reports whether a path is a folder.
func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// listDir returns the folder of a list: the one given, or that of a desk.
func listDir(path string) (string, error) {
	for _, dir := range []string{path, filepath.Join(path, "list")} {
		if _, err := os.Stat(filepath.Join(dir, "journal.db")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s: neither a list nor a desk is in this folder", path)
}

// trusted reads the keys of --trust.
func (f *keyFlags) trusted() (keys []ed25519.PublicKey, err error) {
	for _, text := range f.Trust {
		key, err := readPublicKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// encryption reads the key of --encryption-key.
func (f *keyFlags) encryption() (*blocklist.EncryptionKey, error) {
	if f.Decryption == "" {
		return nil, nil
	}
	b, err := os.ReadFile(f.Decryption)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s: not an encryption key: 64 hex digits are expected, as keygen --encryption writes them", f.Decryption)
	}
	return (*blocklist.EncryptionKey)(key), nil
}

// readPublicKey reads a public key: a PEM file with a public or private key, or
// the key itself as text.
func readPublicKey(text string) (ed25519.PublicKey, error) {
	if b, err := os.ReadFile(text); err == nil {
		block, _ := pem.Decode(b)
		if block == nil {
			return readPublicKeyText(strings.TrimSpace(string(b)), text)
		}
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if key, ok := key.(ed25519.PublicKey); ok {
				return key, nil
			}
		}
		key, err := privateKeyOf(block)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		return key.Public().(ed25519.PublicKey), nil
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) && len(text) < 40 {
		return nil, err
	}
	return readPublicKeyText(text, text)
}

func readPublicKeyText(text, name string) (ed25519.PublicKey, error) {
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if b, err := decode(text); err == nil && len(b) == ed25519.PublicKeySize {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%s: neither a key file nor a public key of 32 bytes in hex or base64", name)
}

func privateKeyOf(block *pem.Block) (ed25519.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not an Ed25519 key in PEM form")
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("a key of another algorithm; Ed25519 is expected")
	}
	return private, nil
}

// readPrivateKey reads a signing key of keygen.
func readPrivateKey(path string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: not a signing key in PEM form, as keygen writes it", path)
	}
	key, err := privateKeyOf(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// publicSuffix is the rule by which hosts are shared by many people.
func publicSuffix(host string) bool {
	suffix, _ := publicsuffix.PublicSuffix(host)
	return suffix == host
}

// openFolder opens the folder of a list for reading and writing.
func openFolder(path string, opts blocklist.Options) (*blocklist.List, error) {
	dir, err := listDir(path)
	if err != nil {
		return nil, err
	}
	opts.PublicSuffix = publicSuffix
	opts.CompactAfter = cmp.Or(opts.CompactAfter, -1)
	l, err := boltjournal.Open(dir, &opts)
	if errors.Is(err, blocklist.ErrLocked) {
		err = fmt.Errorf("%s is in use by another program; use the file that it publishes: %w", path, err)
	}
	return l, err
}

// openList opens a snapshot or the folder of a list.
func (f *keyFlags) openList(path string) (*blocklist.List, error) {
	key, err := f.encryption()
	if err != nil {
		return nil, err
	}
	if isDir(path) {
		return openFolder(path, blocklist.Options{EncryptionKey: key})
	}
	keys, err := f.trusted()
	if err != nil {
		return nil, err
	}
	l, err := blocklist.Load(path, &blocklist.LoadOptions{TrustedKeys: keys, EncryptionKey: key})
	if err == nil {
		return l, nil
	}
	err = fmt.Errorf("%s: %w", path, err)
	if notGenuine(err) {
		err = &unknownError{err}
	}
	return nil, err
}

// notGenuine reports whether a list was refused because of its origin or history.
func notGenuine(err error) bool {
	return errors.Is(err, blocklist.ErrKey) || errors.Is(err, blocklist.ErrSignature) || errors.Is(err, blocklist.ErrFork) || errors.Is(err, blocklist.ErrRollback)
}

// signFlags are the keys with which a list is published.
type signFlags struct {
	Key        string `help:"The signing key of keygen." required:"" type:"existingfile" placeholder:"FILE"`
	Decryption string `help:"The file with the key that the list is encrypted with." type:"existingfile" placeholder:"FILE" name:"encryption-key"`
}

// options returns the options to open the list with.
func (f *signFlags) options() (o blocklist.Options, err error) {
	if o.SigningKey, err = readPrivateKey(f.Key); err != nil {
		return o, err
	}
	o.EncryptionKey, err = (&keyFlags{Decryption: f.Decryption}).encryption()
	return o, err
}

// enforcer opens the lists of --list. The returned lists are to be closed.
func (f *listFlags) enforcer(ctx context.Context) (e *takedown.Enforcer, lists []takedown.ListSource, err error) {
	defer func() {
		if err != nil {
			closeLists(lists)
		}
	}()
	for i, text := range f.List {
		name, path := cutName(text)
		if name == "" && len(f.List) > 1 && path == text {
			name = fmt.Sprintf("list%d", i+1)
		}
		if isFeed(path) {
			// It is closed with its list.
			x, err := f.follow(ctx, path, "")
			if err != nil {
				return nil, lists, err
			}
			lists = append(lists, takedown.ListSource{Name: name, List: x.List(), Current: x.Current})
			continue
		}
		l, err := f.openList(path)
		if err != nil {
			return nil, lists, err
		}
		lists = append(lists, takedown.ListSource{Name: name, List: l})
	}
	opts := &takedown.EnforcerOptions{MaxAge: f.MaxAge}
	if f.MaxAge > 0 {
		opts.Stale = takedown.StaleUnknown
	}
	e, err = takedown.NewEnforcer(lists, opts)
	return e, lists, err
}

// cutName splits a value of --list into the name and the path. A location may have
// "=" in it: what comes before it is a name only if it cannot be part of a path or
// an address.
func cutName(text string) (name, path string) {
	name, path, named := strings.Cut(text, "=")
	if !named || strings.ContainsAny(name, `/\:?`) {
		return "", text
	}
	return name, path
}

func closeLists(lists []takedown.ListSource) {
	for _, l := range lists {
		l.List.Close()
	}
}

// listOf returns the list that a decision names.
func listOf(lists []takedown.ListSource, name string) *blocklist.List {
	for _, l := range lists {
		if l.Name == name {
			return l.List
		}
	}
	return nil
}
