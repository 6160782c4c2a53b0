// Command hashes prints the hashes of pictures, for the measurements that need
// real ones: one line for each, with the file's name, its eight PDQ hashes
// (turned and mirrored) and its perception hash, separated by tabs.
//
//	go run ./internal/tools/benchmarks/hashes ../shared/testdata/photos /tmp/copies > hashes.tsv
//
// Files that cannot be decoded, and pictures of a quality below 50, are left out
// and counted on standard error.
package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/phash"
)

func main() {
	log.SetFlags(0)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	left := 0
	for _, dir := range os.Args[1:] {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			line, err := hashes(path)
			if err != nil {
				left++
				return nil
			}
			_, err = fmt.Fprintf(out, "%s%s\n", filepath.Base(path), line)
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	log.Printf("%d files left out", left)
}

func hashes(path string) (line string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p, err := phash.Decode(bufio.NewReader(f), nil)
	if err != nil {
		return "", err
	}
	pdq, quality, err := phash.PDQDihedral(p.Image())
	if err != nil {
		return "", err
	}
	if quality < 50 {
		return "", fmt.Errorf("%s: quality %d", path, quality)
	}
	perception, err := p.Perception()
	if err != nil {
		return "", err
	}
	for _, h := range append(pdq[:], perception) {
		line += "\t" + h.String()
	}
	return line, nil
}
