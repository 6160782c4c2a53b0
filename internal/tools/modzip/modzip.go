// Command modzip prints the size of the zip file of a module in this repository,
// and fails when it is larger than it should be.
//
//	modzip -max 1200000 .
//
// The zip is what every user of the module downloads and keeps. The limit stands
// for photographs and drawings that belong in a nested module: a folder with a
// go.mod of its own is not in the zip of the module around it. The zip is made
// from the files that git tracks or would add, as the go command makes it.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	log.SetFlags(0)
	limit := flag.Int64("max", 0, "most bytes that the zip may have; 0 sets no limit")
	flag.Parse()
	for _, dir := range flag.Args() {
		m, err := read(dir)
		if err != nil {
			log.Fatal("modzip: ", err)
		}
		fmt.Printf("%s: %d bytes zipped, %d files\n", m.path, len(m.zip), len(m.files))
		if err := m.hold(*limit); err != nil {
			log.Fatal("modzip: ", err)
		}
	}
}

// mod is a module and its zip.
type mod struct {
	path  string
	files []file
	zip   []byte
}

// read makes the zip of the module in dir.
func read(dir string) (*mod, error) {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := &mod{path: modfile.ModulePath(b)}
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files in %s: %w", dir, err)
	}
	var files []zip.File
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		f := file{name, filepath.Join(dir, name)}
		if _, err := f.Lstat(); errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		files = append(files, f)
	}
	// Create leaves out what belongs to nested modules.
	var w bytes.Buffer
	if err := zip.Create(&w, module.Version{Path: m.path, Version: "v0.0.0"}, files); err != nil {
		return nil, err
	}
	m.zip = w.Bytes()
	checked, err := zip.CheckFiles(files)
	if err != nil {
		return nil, err
	}
	for _, name := range checked.Valid {
		m.files = append(m.files, file{name, filepath.Join(dir, name)})
	}
	return m, nil
}

// hold returns an error with the largest files if the zip is over the limit.
func (m *mod) hold(limit int64) error {
	if limit <= 0 || int64(len(m.zip)) <= limit {
		return nil
	}
	files := slices.Clone(m.files)
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(b.size(), a.size()) })
	var s strings.Builder
	for _, f := range files[:min(8, len(files))] {
		fmt.Fprintf(&s, "\n%9d %s", f.size(), f.name)
	}
	return fmt.Errorf("%s: the zip has %d bytes, at most %d are wanted; the largest files:%s", m.path, len(m.zip), limit, s.String())
}

// file is a file of a module: a [zip.File].
type file struct{ name, path string }

func (f file) Path() string                 { return f.name }
func (f file) Lstat() (os.FileInfo, error)  { return os.Lstat(f.path) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.path) }

func (f file) size() int64 {
	fi, err := f.Lstat()
	if err != nil {
		return 0
	}
	return fi.Size()
}
