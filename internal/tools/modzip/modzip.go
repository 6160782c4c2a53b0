// Command modzip makes the zip files of the modules in this repository, as the
// module proxy would make them from the files that git knows.
//
//	modzip -max 1200000 .
//	modzip -version v0.0.1 -proxy DIR . phash/avif
//
// The first form prints the size of the zip of the module in a folder of the
// repository, and fails when it is larger than -max bytes. The zip is what every
// user of the module downloads and keeps, so the limit stands for photographs and
// drawings that belong in a nested module.
//
// The second form fills DIR with all given modules at one version, in the layout
// of the GOPROXY protocol. With GOPROXY=file://DIR the go command then fetches
// them as a stranger would. In the proxy each nested module requires the core at
// that version, and has no replace.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// core is the path of the module at the root, and the prefix of all others.
const core = "github.com/staydown/staydown"

func main() {
	log.SetFlags(0)
	limit := flag.Int64("max", 0, "fail if a zip is larger, in bytes; 0 sets no limit")
	version := flag.String("version", "v0.0.0", "version of the modules")
	proxy := flag.String("proxy", "", "folder to fill as a module proxy")
	flag.Parse()
	if err := run(*limit, *version, *proxy, flag.Args()); err != nil {
		log.Fatal("modzip: ", err)
	}
}

func run(limit int64, version, proxy string, dirs []string) error {
	if len(dirs) == 0 {
		return errors.New("no folder of a module is given")
	}
	for _, dir := range dirs {
		m, err := read(dir, version)
		if err != nil {
			return err
		}
		var size int64
		if proxy != "" {
			size, err = m.publish(proxy)
		} else {
			size, err = m.zip(io.Discard)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.id.Path, err)
		}
		fmt.Printf("%s: %d bytes zipped, %d files\n", m.id.Path, size, len(m.files))
		if limit > 0 && size > limit {
			return fmt.Errorf("%s: the zip has %d bytes, the limit is %d; the largest files are\n%s", m.id.Path, size, limit, m.largest(8))
		}
	}
	return nil
}

// mod is one module of the repository at one version.
type mod struct {
	id    module.Version
	gomod []byte // as published
	files []zip.File
}

// read lists the files of the module in dir: those that git tracks or would add.
func read(dir, version string) (*mod, error) {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := &mod{id: module.Version{Path: modfile.ModulePath(b), Version: version}}
	if m.gomod, err = released(b, version); err != nil {
		return nil, err
	}
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files in %s: %w", dir, err)
	}
	nested := map[string]bool{}
	var names []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		names = append(names, name)
		if path.Base(name) == "go.mod" && name != "go.mod" {
			nested[path.Dir(name)] = true
		}
	}
	for _, name := range names {
		if inside(nested, name) {
			continue
		}
		f := file{name: name, path: filepath.Join(dir, name)}
		if name == "go.mod" {
			f.content = m.gomod
		}
		m.files = append(m.files, f)
	}
	// The go command gives a nested module the licence of the repository's root.
	if _, err := os.Lstat(filepath.Join(dir, "LICENSE")); errors.Is(err, os.ErrNotExist) {
		if root, err := exec.Command("git", "-C", dir, "rev-parse", "--show-toplevel").Output(); err == nil {
			m.files = append(m.files, file{name: "LICENSE", path: filepath.Join(strings.TrimSpace(string(root)), "LICENSE")})
		}
	}
	return m, nil
}

func inside(nested map[string]bool, name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if nested[dir] {
			return true
		}
	}
	return false
}

// released returns the go.mod with which a version is published: every module of
// this repository is required at that version, and none is replaced.
func released(b []byte, version string) ([]byte, error) {
	f, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		return nil, err
	}
	ours := func(p string) bool { return p == core || strings.HasPrefix(p, core+"/") }
	for _, r := range f.Require {
		if ours(r.Mod.Path) {
			if err := f.AddRequire(r.Mod.Path, version); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range f.Replace {
		if !ours(r.Old.Path) {
			return nil, fmt.Errorf("go.mod replaces %s: users of the module would not see that", r.Old.Path)
		}
		if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return nil, err
		}
	}
	f.Cleanup()
	return f.Format()
}

// zip writes the zip of the module to w and returns its size.
func (m *mod) zip(w io.Writer) (int64, error) {
	c := &counter{w: w}
	if err := zip.Create(c, m.id, m.files); err != nil {
		return 0, err
	}
	return c.n, nil
}

// publish writes the files that the GOPROXY protocol asks for.
func (m *mod) publish(proxy string) (size int64, err error) {
	escaped, err := module.EscapePath(m.id.Path)
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(proxy, escaped, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{m.id.Version, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return 0, err
	}
	base := filepath.Join(dir, m.id.Version)
	for name, b := range map[string][]byte{
		filepath.Join(dir, "list"): []byte(m.id.Version + "\n"),
		base + ".info":             info,
		base + ".mod":              m.gomod,
	} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return 0, err
		}
	}
	f, err := os.Create(base + ".zip")
	if err != nil {
		return 0, err
	}
	size, err = m.zip(f)
	return size, errors.Join(err, f.Close())
}
