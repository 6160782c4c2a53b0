// Command corpus asks each of many different pictures against all the others,
// with the local features and with the hashes, and lists what matches.
//
//	corpus -cache FILE -pairs FILE [-max N] [-ask N] [-verdicts FILE] [-kinds FILE] DIR
//
// DIR is a folder of folders of pictures, as fetch.sh makes it: the folder's
// name is the package that the pictures come from. Files that are the same, and
// those whose shorter side is below 128 pixels, are left out and counted. At
// most -max pictures of a package are taken, those with the lowest digests.
// FILE of -cache keeps what was extracted; a run that is stopped goes on where
// it was. All pictures are asked by their hashes, the first N of -ask by their
// features; their order is that of their digests, so that any N are a sample.
//
// FILE of -pairs gets a line for each match between two files; if it is there
// already, nobody is asked, and the matches in it are counted.
//
// Pictures of one package have one maker and share parts: tiles, frames, the
// same dialog twice. Their matches are counted apart. Matches between packages
// are false unless
//
//	both   both tiers say so, each by evidence of its own: the features match at
//	       Block, and some hash of the one, of those that phash.HashesToStore stores, is
//	       within 31 bits of one of the other
//	same, part
//	       a person who looked at both, in the FILE of -verdicts, found the same
//	       picture in them, or the same part of a picture
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	_ "golang.org/x/image/webp"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

const minSide = 128

// picture is what is kept of a picture.
type picture struct {
	Path          string // below DIR, of the first of equal files
	Digest        [32]byte
	Width, Height int
	// Failed says why the picture has no features, Refused why phash.HashesToStore
	// refuses it.
	Failed, Refused string
	Poor            bool         `json:"-"` // its features are refused registration
	Asked           []phash.Hash // phash.HashesToAsk
	Stored          []phash.Hash // phash.HashesToStore, or the hash alone if it refuses
	at              int64        // of the features in the cache
	size            int
}

// pkg is the package that p comes from.
func (p *picture) pkg() string {
	pkg, _, _ := strings.Cut(p.Path, "/")
	return pkg
}

// featured and hashed report whether p may be registered by its features, and
// by its hashes.
func (p *picture) featured() bool { return p.size > 0 && !p.Poor }
func (p *picture) hashed() bool   { return p.Refused == "" }

// corpus is the pictures and the open cache.
type corpus struct {
	pics []*picture
	f    *os.File
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("corpus: ")
	cache := flag.String("cache", "", "file that keeps what was extracted")
	most := flag.Int("max", 400, "pictures of one package")
	verdictFile := flag.String("verdicts", "", "file of what a person said of pairs")
	kindFile := flag.String("kinds", "internal/tools/corpus/packages.txt", "file of the packages and their kinds")
	pairs := flag.String("pairs", "", "file of the matches")
	ask := flag.Int("ask", 1<<30, "the number of pictures that are asked by their features")
	extractOnly := flag.Bool("extract", false, "ask nothing")
	procs := flag.Int("procs", 2, "pictures that are worked on at a time")
	flag.Parse()
	if flag.NArg() != 1 || *cache == "" || *pairs == "" && !*extractOnly {
		flag.Usage()
		os.Exit(2)
	}
	c, err := read(flag.Arg(0), *cache, *most, *procs)
	if err != nil {
		log.Fatal(err)
	}
	if *extractOnly {
		return
	}
	verdicts, err := readVerdicts(*verdictFile)
	if err != nil {
		log.Fatal(err)
	}
	kinds, err := readKinds(*kindFile)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stat(*pairs); err != nil {
		if err := c.write(*pairs, *ask, *procs); err != nil {
			log.Fatal(err)
		}
	}
	f, err := os.Open(*pairs)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if _, err := c.count(f, verdicts, kinds); err != nil {
		log.Fatal(err)
	}
}

// write asks and writes the matches to a file that is there only when all are.
func (c *corpus) write(path string, n, procs int) error {
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	if err := errors.Join(c.askAll(f, n, procs), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// read finds the pictures below dir and extracts those that the cache lacks.
func read(dir, cache string, most, procs int) (*corpus, error) {
	c, known, err := open(cache)
	if err != nil {
		return nil, err
	}
	type file struct {
		path   string
		digest [32]byte
	}
	packages, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	seen := map[[32]byte]bool{}
	var files []file
	var all, broken, small, equal, over int
	for _, pkg := range packages {
		var of []file
		err := filepath.WalkDir(filepath.Join(dir, pkg.Name()), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.HasPrefix(pkg.Name(), ".") {
				return err
			}
			switch strings.ToLower(filepath.Ext(path)) {
			case ".png", ".jpg", ".jpeg", ".webp":
			default:
				return nil
			}
			all++
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			conf, _, err := image.DecodeConfig(bytes.NewReader(data))
			if err != nil {
				broken++
				return nil
			}
			if min(conf.Width, conf.Height) < minSide {
				small++
				return nil
			}
			sum := sha256.Sum256(data)
			if seen[sum] {
				equal++
				return nil
			}
			seen[sum] = true
			rel, err := filepath.Rel(dir, path)
			of = append(of, file{rel, sum})
			return err
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(of, func(a, b file) int { return bytes.Compare(a.digest[:], b.digest[:]) })
		n := min(len(of), most)
		over += len(of) - n
		files = append(files, of[:n]...)
	}
	slices.SortFunc(files, func(a, b file) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	fmt.Printf("%d files of %d packages: %d of an unknown format or damaged, %d with a side below %d pixels, %d equal to another file, %d beyond %d of a package; %d pictures\n",
		all, len(packages), broken, small, minSide, equal, over, most, len(files))

	var mu sync.Mutex
	done := 0
	failed := parallel(len(files), procs, func(_, i int) error {
		mu.Lock()
		ok := known[files[i].digest] != nil
		mu.Unlock()
		if ok {
			return nil
		}
		p, set, err := extract(dir, files[i].path)
		if err != nil {
			return err
		}
		p.Digest = files[i].digest
		mu.Lock()
		defer mu.Unlock()
		known[p.Digest] = p
		if done++; done%1000 == 0 {
			log.Printf("extracted %d", done)
		}
		return c.append(p, set)
	})
	if failed == nil && len(files) > 0 {
		failed = c.check(dir, files[0].path, known[files[0].digest])
	}
	if failed != nil {
		return nil, failed
	}
	// What is refused is a matter of thresholds, which change more often than the
	// features do.
	failed = parallel(len(files), procs, func(_, i int) error {
		p := known[files[i].digest]
		if p.size == 0 {
			return nil
		}
		f, err := c.features(p)
		if err != nil {
			return err
		}
		p.Poor = f.Registrable() != nil
		return nil
	})
	if failed != nil {
		return nil, failed
	}
	var undecoded, unfit, poor, refused int
	for _, f := range files {
		p := known[f.digest]
		p.Path = filepath.ToSlash(f.path) // another one of equal files, in an earlier run
		switch {
		case p.Width == 0:
			undecoded++
			continue
		case p.Failed != "":
			unfit++
		case p.Poor:
			poor++
		}
		if p.Refused != "" {
			refused++
		}
		c.pics = append(c.pics, p)
	}
	fmt.Printf("%d refused by phash.Decode; of the %d others the features refuse %d (%d for their size, %d for too little to see), phash.HashesToStore %d\n",
		undecoded, len(c.pics), unfit+poor, unfit, poor, refused)
	return c, nil
}

// parallel calls f for 0 to n-1, from procs goroutines, until one call fails.
func parallel(n, procs int, f func(worker, i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for worker := range procs {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(worker, i); err != nil {
					once.Do(func() { failed = err })
					next.Add(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}

// extract reads one picture.
func extract(dir, path string) (*picture, features.Features, error) {
	p := &picture{Path: filepath.ToSlash(path)}
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return p, features.Features{}, err
	}
	pic, err := phash.Decode(bytes.NewReader(data), nil)
	if err != nil {
		p.Failed = err.Error()
		return p, features.Features{}, nil
	}
	p.Width, p.Height = pic.Size()
	p.Asked = phash.HashesToAsk(pic)
	reg, err := phash.HashesToStore(pic, nil)
	if refused := (*phash.RefusedError)(nil); errors.As(err, &refused) {
		p.Refused = err.Error()
		p.Stored = p.Asked[:1]
	} else if err != nil {
		return p, features.Features{}, fmt.Errorf("%s: %w", path, err)
	}
	for _, v := range reg.Hashes {
		p.Stored = append(p.Stored, v.Hash)
	}
	set, err := features.Extract(pic.Luma())
	if err != nil {
		p.Failed = err.Error()
		return p, features.Features{}, nil
	}
	return p, set, nil
}

// open reads the heads of the cache's records: the length of the JSON text of
// picture (32 bits, little-endian), that of the features, the text, the
// features. A record that is cut off ends it.
func open(path string) (*corpus, map[[32]byte]*picture, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, err
	}
	known := map[[32]byte]*picture{}
	var at int64
	for {
		var head [8]byte
		if _, err := f.ReadAt(head[:], at); err != nil {
			break
		}
		n, m := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
		text := make([]byte, n)
		if _, err := f.ReadAt(text, at+8); err != nil {
			break
		}
		p := &picture{at: at + 8 + int64(n), size: int(m)}
		if err := json.Unmarshal(text, p); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		info, err := f.Stat()
		if err != nil {
			return nil, nil, err
		}
		if p.at+int64(m) > info.Size() {
			break
		}
		at = p.at + int64(m)
		known[p.Digest] = p
	}
	if err := f.Truncate(at); err != nil {
		return nil, nil, err
	}
	_, err = f.Seek(at, io.SeekStart)
	return &corpus{f: f}, known, err
}

// check returns an error if the cache has other features or hashes of a picture
// than would be extracted today.
func (c *corpus) check(dir, path string, p *picture) error {
	q, set, err := extract(dir, path)
	if err != nil {
		return err
	}
	had, err := c.features(p)
	if err != nil {
		return err
	}
	a, _ := had.MarshalBinary()
	b, _ := set.MarshalBinary()
	if !bytes.Equal(a, b) || !slices.Equal(p.Stored, q.Stored) || !slices.Equal(p.Asked, q.Asked) {
		return fmt.Errorf("%s has other features or hashes than the cache: delete the cache", path)
	}
	return nil
}

// append writes a record at the end of the cache.
func (c *corpus) append(p *picture, set features.Features) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	b, err := set.MarshalBinary()
	if err != nil {
		return err
	}
	at, err := c.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	p.at, p.size = at+8+int64(len(text)), len(b)
	r := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	r = binary.LittleEndian.AppendUint32(r, uint32(len(b)))
	_, err = c.f.Write(append(append(r, text...), b...))
	return err
}

// features reads the features of p from the cache.
func (c *corpus) features(p *picture) (features.Features, error) {
	if p.size == 0 {
		return features.Features{}, nil
	}
	b := make([]byte, p.size)
	if _, err := c.f.ReadAt(b, p.at); err != nil {
		return features.Features{}, err
	}
	return features.Open(b)
}
