//go:build unix

package feed_test

import (
	"os"
	"path/filepath"
	"testing"
)

// A web server runs as another user of the same group, and must be able to read what
// is published. A reader's own copy is nobody else's.
func TestWhoMayRead(t *testing.T) {
	d := published(t, 1)
	mode := func(path string) os.FileMode {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Mode().Perm()
	}
	probe := filepath.Join(t.TempDir(), "probe")
	if err := os.Mkdir(probe, 0o777); err != nil {
		t.Fatal(err)
	}
	umask := 0o777 &^ mode(probe)
	if got, want := mode(d.to), 0o750&^umask; got != want {
		t.Errorf("the folder has the mode %o, want %o", got, want)
	}
	for _, name := range d.names() {
		if got, want := mode(filepath.Join(d.to, name)), 0o640&^umask; got != want {
			t.Errorf("%s has the mode %o, want %o", name, got, want)
		}
	}
	o := manual(t)
	follow(t, d.to, o)
	if got := mode(o.Dir); got&0o077 != 0 {
		t.Errorf("the own copy has the mode %o", got)
	}
}
