package main

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxCore is the most that the zip of the core module may have, in bytes.
const maxCore = 1_200_000

const root = "../../.."

// The zip of the core stays small, and has nothing of the nested modules.
func TestCoreIsSmall(t *testing.T) {
	t.Parallel()
	m, err := read(root, "v0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	size, err := m.zip(&b)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d files", size, len(m.files))
	if size > maxCore {
		t.Errorf("the zip of the core has %d bytes, at most %d are wanted; the largest files:\n%s", size, maxCore, m.largest(8))
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), size)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range r.File {
		name := strings.TrimPrefix(f.Name, core+"@v0.0.0/")
		names = append(names, name)
		for _, nested := range []string{"docs/img/", "examples/", "internal/tools/", "phash/avif/", "phash/testdata/"} {
			if strings.HasPrefix(name, nested) {
				t.Errorf("%s is in the zip of the core", name)
			}
		}
	}
	for _, want := range []string{"go.mod", "LICENSE", "README.md", "takedown/enforcer.go"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in the zip of the core", want)
		}
	}
}

// A zip over the limit is an error that names the largest file.
func TestLimit(t *testing.T) {
	t.Parallel()
	err := run(1000, "v0.0.0", "", []string{root})
	if err == nil || !strings.Contains(err.Error(), "the limit is 1000") || !strings.Contains(err.Error(), "takedown/") {
		t.Errorf("got %v, want an error with the limit and the largest files", err)
	}
	for _, dirs := range [][]string{nil, {"."}} {
		if err := run(0, "v0.0.0", "", dirs); err == nil {
			t.Errorf("folders %q: no error", dirs)
		}
	}
}

// A released go.mod requires this repository's modules at the version and
// replaces none; what a reader of it could not follow is an error.
func TestReleased(t *testing.T) {
	t.Parallel()
	got, err := released([]byte(`module github.com/staydown/staydown/phash/avif

go 1.25.0

require (
	github.com/gen2brain/avif v0.4.4
	github.com/staydown/staydown v0.0.0
	github.com/staydown/staydownlike v0.0.0
)

replace github.com/staydown/staydown => ../../
`), "v0.3.0")
	if err != nil {
		t.Fatal(err)
	}
	want := `module github.com/staydown/staydown/phash/avif

go 1.25.0

require (
	github.com/gen2brain/avif v0.4.4
	github.com/staydown/staydown v0.3.0
	github.com/staydown/staydownlike v0.0.0
)
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := released([]byte("module m\n\nreplace example.org/a => ../a\n"), "v0.3.0"); err == nil {
		t.Error("a replaced module of others: no error")
	}
}

// The go command takes the folder for a proxy and builds from it what it gets.
func TestProxy(t *testing.T) {
	t.Parallel()
	proxy, dir := t.TempDir(), t.TempDir()
	if err := run(0, "v0.0.1", proxy, []string{root}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":  "module example.org/stranger\n\ngo 1.25.0\n\nrequire " + core + " v0.0.1\n",
		"main.go": "package main\n\nimport _ \"" + core + "\"\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache, others, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	sources := []string{"file://" + filepath.ToSlash(proxy), "file://" + filepath.ToSlash(cache) + "/cache/download", others}
	cmd := exec.Command("go", "build", "-mod=mod", "-o", os.DevNull, ".")
	cmd.Dir = dir
	// The module cache is shared with other builds: a made-up version must not
	// stay in it.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GONOSUMDB="+core, "GOPROXY="+strings.Join(sources, ","),
		"GOMODCACHE="+filepath.Join(dir, "cache"), "GOFLAGS=-modcacherw")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
