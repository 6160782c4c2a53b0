// Package labelled reads folders of labelled copies, for the measuring tools. Such
// a folder has a table manifest.tsv, whose columns, after a line of names, are the
// original, the transform and the file of the copy, separated by tabs.
package labelled

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Copy is a labelled copy of a picture.
type Copy struct {
	Original  string // name of the file
	Transform string
	File      string // of the copy, in the folder
	Path      string
}

// Read returns the copies in a folder, in the order of its manifest.
func Read(dir string) (copies []Copy, err error) {
	path := filepath.Join(dir, "manifest.tsv")
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		cols := strings.Split(s.Text(), "\t")
		if len(cols) != 3 {
			return nil, fmt.Errorf("%s:%d: %d columns, want 3: original, transform, file", path, n, len(cols))
		}
		if n > 1 {
			copies = append(copies, Copy{cols[0], cols[1], cols[2], filepath.Join(dir, cols[2])})
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if len(copies) == 0 {
		return nil, fmt.Errorf("%s: no copies", path)
	}
	return copies, nil
}

// Parallel calls f for 0 to n-1 on all processors and says how far it is.
func Parallel(n int, what string, f func(i int) error) error {
	var next, done atomic.Int64
	errs := make(chan error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					errs <- err
					next.Store(int64(n))
					return
				}
				if d := done.Add(1); d%1000 == 0 {
					log.Printf("%d of %d %s after %s", d, n, what, time.Since(start).Round(time.Second))
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}
