package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	_ "golang.org/x/image/webp"

	"github.com/staydown/staydown/internal/tools/accuracy/internal/labelled"
	"github.com/staydown/staydown/phash"
)

// corpus is what was computed of the originals and the copies, once, for all
// set-ups.
type corpus struct {
	Names     []string // of the originals
	Originals []original
	Copies    []copied
}

// original is what can be registered of a picture, and what it is asked with.
type original struct {
	Query      query
	Refused    string // why, if Register refuses it
	Dihedral   []stored
	Default    []stored
	Wide       []stored
	HashOnly   []stored
	Perception []stored
}

// copied is a labelled copy.
type copied struct {
	Of        int // the original
	Transform string
	File      string
	Query     query
}

// query is what the hashes of one picture are.
type query struct {
	PDQ        []phash.Hash // phash.HashesToAsk: the picture's own first, unless it is blank
	Own        phash.Hash   // phash.Picture.PDQ, of whatever quality
	Foreign    phash.Hash   // as other programs compute it
	Perception phash.Hash
}

// stored is a hash that a registration stores.
type stored struct {
	Hash      phash.Hash
	Transform phash.Transform
}

// readCorpus hashes all files, or takes the hashes from the cache.
func readCorpus(dir string, copyDirs []string, cache string) (*corpus, error) {
	c := new(corpus)
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	index := map[string]int{}
	var paths []string
	for _, f := range files {
		switch strings.ToLower(filepath.Ext(f.Name())) {
		case ".jpg", ".jpeg", ".png", ".webp", ".gif":
			index[f.Name()] = len(c.Names)
			c.Names = append(c.Names, f.Name())
			paths = append(paths, filepath.Join(dir, f.Name()))
		}
	}
	if len(c.Names) == 0 {
		return nil, fmt.Errorf("no pictures in %s", dir)
	}
	var copyPaths []string
	for _, d := range copyDirs {
		rows, err := labelled.Read(d)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			of, ok := index[r.Original]
			if !ok {
				return nil, fmt.Errorf("%s: %q is not among the originals", d, r.Original)
			}
			c.Copies = append(c.Copies, copied{Of: of, Transform: r.Transform, File: r.File})
			copyPaths = append(copyPaths, r.Path)
		}
	}

	c.Originals = make([]original, len(paths))
	if err := labelled.Parallel(len(paths), "originals", func(i int) (err error) {
		c.Originals[i], err = readOriginal(paths[i])
		return err
	}); err != nil {
		return nil, err
	}
	have := readCache(cache).queries(c)
	if err := labelled.Parallel(len(copyPaths), "copies", func(i int) error {
		cp := &c.Copies[i]
		if q, ok := have[copyKey{cp.Of, cp.Transform, cp.File}]; ok {
			cp.Query = q
			return nil
		}
		data, err := os.ReadFile(copyPaths[i])
		if err == nil {
			_, cp.Query, err = readQuery(data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", copyPaths[i], err)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return c, c.writeCache(cache)
}

func readQuery(data []byte) (*phash.Picture, query, error) {
	p, err := phash.Decode(bytes.NewReader(data), nil)
	if err != nil {
		return nil, query{}, err
	}
	q := query{PDQ: phash.HashesToAsk(p)}
	q.Own, _ = p.PDQ()
	if q.Perception, err = p.Perception(); err != nil {
		return nil, query{}, err
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, query{}, err
	}
	q.Foreign, _, err = phash.PDQ(img)
	return p, q, err
}

func readOriginal(path string) (original, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return original{}, err
	}
	p, q, err := readQuery(data)
	if err != nil {
		return original{}, fmt.Errorf("%s: %w", path, err)
	}
	o := original{Query: q}
	dihedral, _, err := phash.PDQDihedral(p.Image())
	if err != nil {
		return original{}, err
	}
	for i, h := range dihedral {
		o.Dihedral = append(o.Dihedral, stored{h, phash.MakeTransform(phash.Whole, phash.Orientation(i))})
	}
	for _, l := range []struct {
		level phash.Level
		to    *[]stored
	}{{phash.LevelDefault, &o.Default}, {phash.LevelWide, &o.Wide}} {
		r, err := phash.HashesToStore(p, &phash.StoreOptions{Level: l.level, AllAlgorithms: true})
		if refused := (*phash.RefusedError)(nil); errors.As(err, &refused) {
			o.Refused = fmt.Sprintf("%v %d", refused.Reason, refused.Value)
			break
		} else if err != nil {
			return original{}, fmt.Errorf("%s: %w", path, err)
		}
		o.Perception = nil
		for _, v := range r.Hashes {
			switch v.Hash.Algorithm() {
			case phash.AlgPDQ:
				*l.to = append(*l.to, stored(v))
			case phash.AlgPerception:
				o.Perception = append(o.Perception, stored(v))
			}
		}
	}
	if r, err := phash.HashesToStoreOf(q.Own); err == nil {
		for _, v := range r.Hashes {
			o.HashOnly = append(o.HashOnly, stored(v))
		}
	}
	return o, nil
}

func readCache(path string) *corpus {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	c := new(corpus)
	if json.NewDecoder(bufio.NewReader(f)).Decode(c) != nil {
		return nil
	}
	return c
}

type copyKey struct {
	of              int
	transform, file string
}

// queries returns the hashes of the copies in the cached corpus old, if it is of
// the originals of c and their queries are hashed as they were.
func (old *corpus) queries(c *corpus) map[copyKey]query {
	if old == nil || !slices.Equal(old.Names, c.Names) {
		return nil
	}
	for i := range c.Originals {
		if !reflect.DeepEqual(old.Originals[i].Query, c.Originals[i].Query) {
			return nil
		}
	}
	m := make(map[copyKey]query, len(old.Copies))
	for _, cp := range old.Copies {
		m[copyKey{cp.Of, cp.Transform, cp.File}] = cp.Query
	}
	return m
}

func (c *corpus) writeCache(path string) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
