package main

import (
	"archive/zip"
	"bytes"
	"path"
	"slices"
	"strings"
	"testing"
)

// maxCore is the most that the zip of the core module may have, in bytes.
const maxCore = 1_200_000

// maxPicture is the most that a picture in it may have: what an example reads
// has to be there, because an example cannot be skipped.
const maxPicture = 8_000

// The zip of the core stays small, and has nothing of the nested modules.
func TestCoreIsSmall(t *testing.T) {
	t.Parallel()
	m, err := read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d files", len(m.zip), len(m.files))
	if err := m.hold(maxCore); err != nil {
		t.Error(err)
	}
	r, err := zip.NewReader(bytes.NewReader(m.zip), int64(len(m.zip)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range r.File {
		name := strings.TrimPrefix(f.Name, m.path+"@v0.0.0/")
		names = append(names, name)
		for _, nested := range []string{"docs/", "examples/", "internal/tools/", "phash/avif/", "takedown/desk/", "takedown/texts/", "takedown/web/"} {
			if strings.HasPrefix(name, nested) {
				t.Errorf("%s is in the zip of the core", name)
			}
		}
		switch path.Ext(name) {
		case ".jpg", ".png", ".gif", ".webp", ".avif", ".bmp":
			if f.UncompressedSize64 > maxPicture {
				t.Errorf("%s is in the zip of the core: a go.mod in its folder keeps it out", name)
			}
		}
	}
	for _, want := range []string{"go.mod", "LICENSE", "README.md", "takedown/enforcer.go"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in the zip of the core", want)
		}
	}
	if len(names) != len(m.files) {
		t.Errorf("%d files in the zip, %d listed", len(names), len(m.files))
	}
}

// A zip over the limit is an error that names the largest files.
func TestLimit(t *testing.T) {
	t.Parallel()
	m, err := read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(m.zip))
	if err := m.hold(size); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	err = m.hold(size - 1)
	if err == nil || strings.Count(err.Error(), "\n") != 8 || !strings.Contains(err.Error(), " takedown/") {
		t.Errorf("got %v, want an error that names the largest files", err)
	}
	if _, err := read(t.TempDir()); err == nil {
		t.Error("a folder without a module: no error")
	}
}
