package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	_ "golang.org/x/image/webp"

	"github.com/staydown/staydown/internal/sharedtest"
)

// half is a part of the originals and families.
type half int

const (
	both half = iota
	choose
	judge
)

func parseHalf(s string) (half, error) {
	i := slices.Index([]string{"both", "choose", "judge"}, s)
	if i < 0 {
		return 0, fmt.Errorf("-half %q: want choose, judge or both", s)
	}
	return half(i), nil
}

func (h half) String() string { return []string{"both halves", "choose", "judge"}[h] }

// series is what the photographs of one series have in common: their names
// without a number and an extension at the end.
var series = regexp.MustCompile(`[-_0-9]*(\.[a-z]+)?$`)

// halfOf returns the half that a name belongs to, choose or judge. The number was
// taken before any result was known, as the first with 10 of the 17 families
// drawn here, half of the others and half of the photographs to judge by.
func halfOf(name string) half {
	sum := sha256.Sum256([]byte("81/" + series.ReplaceAllString(name, "")))
	if sum[0]&1 == 0 {
		return choose
	}
	return judge
}

func (h half) has(name string) bool { return h == both || halfOf(name) == h }

// drawable is a row of what draw.py can draw, or a folder of -classes.
type drawable struct{ set, name, ext, group string }

// folder is the set of the families of -classes.
const folder = "folder"

// material is what a run asks.
type material struct {
	originals []string // paths; all are registered
	sample    []string // originals of which copies are asked
	others    []string // originals of the other half
	list      []string // registered besides the originals
	innocent  []string // asked, and not registered
	kinds     []drawable
	families  []drawable
	documents []drawable // true copies of members of families
	members   int
	dir       string // what was drawn
	classes   string // folders of the flags
	more      string
	pool      *painters
	identity  string
}

func newMaterial(ctx context.Context, o *options) (*material, error) {
	m := &material{members: o.members, classes: o.classes, more: o.more}
	all, err := pictures(filepath.Join(o.corpus, "originals"))
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if o.half.has(filepath.Base(p)) {
			m.originals = append(m.originals, p)
		} else {
			m.others = append(m.others, p)
		}
	}
	m.sample = sample(m.originals, o.originals, o.seed)
	if len(m.originals) == 0 {
		return nil, fmt.Errorf("no pictures in %s/originals: scripts/setup corpus %s", o.corpus, o.corpus)
	}
	if err := m.readOthers(o); err != nil {
		return nil, err
	}
	if err := m.readDrawables(ctx, o); err != nil {
		return nil, err
	}
	sources, err := m.hashSources(o)
	if err != nil {
		return nil, err
	}
	from := m.others
	if o.half == both {
		from = m.innocent
	}
	// Collages depend on what else is there.
	others := sha256.Sum256([]byte(strings.Join(from, "\n")))
	m.dir = filepath.Join(o.corpus, "drawn", fmt.Sprintf("%s-%x", sources[:16], others[:4]))
	pool := filepath.Join(m.dir, "pool")
	if err := fillPool(pool, from); err != nil {
		return nil, err
	}
	m.pool, err = newPainters(ctx, o, pool)
	return m, err
}

func (m *material) close() {
	if m.pool != nil {
		m.pool.close()
	}
}

// readOthers reads the pictures that are registered besides, and those that are
// asked and have no copy in the list: those of the other half, too, and the
// photographs that the project was developed with.
func (m *material) readOthers(o *options) (err error) {
	if m.list, err = pictures(filepath.Join(o.corpus, "list")); err != nil {
		return err
	}
	if m.innocent, err = pictures(filepath.Join(o.corpus, "innocent")); err != nil {
		return err
	}
	m.innocent = append(m.innocent, m.others...)
	if dir, ok := sharedtest.Dir(); ok {
		photos, err := pictures(filepath.Join(dir, "testdata", "photos"))
		if err != nil {
			return err
		}
		m.innocent = append(m.innocent, photos...)
	}
	if o.more != "" {
		if err := m.readMore(o); err != nil {
			return err
		}
	}
	m.innocent = sample(m.innocent, o.innocent, o.seed)
	return nil
}

// smallest is the side in pixels that a picture of -more has at least: smaller
// ones are icons.
const smallest = 128

// readMore reads the folders of -more. Those of one half are registered, those of
// the other asked, because the pictures of one folder share what they show.
func (m *material) readMore(o *options) error {
	folders, err := os.ReadDir(o.more)
	if err != nil {
		return err
	}
	for _, f := range folders {
		var found []string
		err := filepath.WalkDir(filepath.Join(o.more, f.Name()), func(path string, e os.DirEntry, err error) error {
			if err == nil && isPicture(path) && e.Type().IsRegular() && large(path) {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return err
		}
		found = sample(found, o.each, o.seed)
		if halfOf(f.Name()) == choose {
			m.list = append(m.list, found...)
		} else {
			m.innocent = append(m.innocent, found...)
		}
	}
	return nil
}

// large reports whether a file is a picture with sides that are not too small.
func large(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	c, _, err := image.DecodeConfig(f)
	return err == nil && min(c.Width, c.Height) >= smallest
}

// readDrawables asks draw.py what it can draw and keeps what the flags ask for.
func (m *material) readDrawables(ctx context.Context, o *options) error {
	cmd := exec.CommandContext(ctx, o.python, drawArgs(o, "--list")...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("draw.py: %w: %s", err, complaint.String())
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return fmt.Errorf("draw.py: line %q", line)
		}
		d := drawable{f[0], f[1], f[2], f[3]}
		known[d.name], known[d.group], known[d.set] = true, true, true
		switch d.group {
		case "family":
			if wanted(o.families, d.name, d.set) && o.half.has(d.name) {
				m.families = append(m.families, d)
			}
		case "document":
			m.documents = append(m.documents, d)
		default:
			if wanted(o.kinds, d.name, d.group, d.set) {
				m.kinds = append(m.kinds, d)
			}
		}
	}
	if o.classes != "" {
		entries, err := os.ReadDir(o.classes)
		if err != nil {
			return err
		}
		for _, e := range entries {
			known[e.Name()] = true
			if e.IsDir() && wanted(o.families, e.Name(), folder) {
				m.families = append(m.families, drawable{set: folder, name: e.Name()})
			}
		}
	}
	for _, name := range slices.Concat(o.kinds, o.families) {
		if !known[name] {
			return fmt.Errorf("no kind, family, group or set %q", name)
		}
	}
	return nil
}

func wanted(names []string, any ...string) bool {
	return len(names) == 0 || slices.ContainsFunc(any, func(s string) bool { return slices.Contains(names, s) })
}

// hashSources returns the digest of the programs that draw, and makes the
// identity of the run: of these, of this program, and of the flags that change
// answers. A sample of other size has the same answers.
func (m *material) hashSources(o *options) (string, error) {
	h := sha256.New()
	dirs := []string{drawDir()}
	if o.tools != "" {
		dirs = append(dirs, o.tools)
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.py"))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s %d\n", filepath.Base(f), len(b))
			h.Write(b)
		}
	}
	sources := hex.EncodeToString(h.Sum(nil))
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	program := sha256.Sum256(b)
	m.identity = fmt.Sprintf("%s %x half=%d registered=%d more=%q", sources[:16], program[:8], o.half, len(m.originals)+len(m.list), o.more)
	return sources, nil
}

// fillPool links the pictures that copies and families with other people's photos
// take these from: originals that are not registered.
func fillPool(dir string, from []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range from {
		ext := strings.ToLower(filepath.Ext(p))
		if ext != ".jpg" && ext != ".jpeg" && ext != ".png" {
			continue
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return err
		}
		if err := os.Symlink(abs, filepath.Join(dir, filepath.Base(p))); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

// pictures returns the pictures in a folder, sorted by name.
func pictures(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, e := range entries {
		if isPicture(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

func isPicture(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".webp":
		return true
	}
	return false
}

// sample returns n of the paths, the same for every n that is larger, and all for
// 0.
func sample(paths []string, n int, seed string) []string {
	if n == 0 || n >= len(paths) {
		return paths
	}
	key := func(p string) string {
		sum := sha256.Sum256([]byte(seed + "/" + filepath.Base(p)))
		return string(sum[:])
	}
	paths = slices.Clone(paths)
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(key(a), key(b)) })
	return paths[:n]
}

// title names a picture of the list or an unrelated one: by its file, and
// below -more by its path there.
func (m *material) title(path string) string {
	if rel, err := filepath.Rel(m.more, path); m.more != "" && err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return filepath.Base(path)
}

// source is the folder that an unrelated picture comes from, one for all below
// -more.
func (m *material) source(path string) string {
	if strings.Contains(m.title(path), "/") {
		return "more"
	}
	return filepath.Base(filepath.Dir(path))
}

// copyOf returns the path of a copy of an original, which is drawn if it is not
// there.
func (m *material) copyOf(original string, k drawable) (string, error) {
	stem := strings.TrimSuffix(filepath.Base(original), filepath.Ext(original))
	out := filepath.Join(m.dir, k.set, k.name, stem+"."+k.ext)
	return out, m.pool.draw(out, "copy", k.set, k.name, original)
}

// family returns the paths of the pictures of a family.
func (m *material) family(f drawable) ([]string, error) {
	if f.set == folder {
		paths, err := pictures(filepath.Join(m.classes, f.name))
		return paths[:min(m.members, len(paths))], err
	}
	paths := make([]string, m.members)
	for i := range paths {
		paths[i] = filepath.Join(m.dir, f.set, f.name, fmt.Sprintf("%03d.%s", i, f.ext))
		if err := m.pool.draw(paths[i], "member", f.set, f.name, fmt.Sprint(i)); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// again returns the path of a true copy of a member.
func (m *material) again(member string, k drawable) (string, error) {
	out := strings.TrimSuffix(member, filepath.Ext(member)) + "__" + k.name + "." + k.ext
	return out, m.pool.draw(out, "again", k.set, k.name, member)
}
