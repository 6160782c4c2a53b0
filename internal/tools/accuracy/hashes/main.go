// Command hashes measures how well a set-up of hashes finds copies of
// pictures, and how often it takes one picture for another.
//
//	hashes -originals DIR -copies DIR[,DIR…] [-setups a,b] [-out DIR] [-cache FILE] [-earn]
//
// DIR of originals holds different pictures, one file each. A DIR of copies
// holds copies of them and a file manifest.tsv with three columns and a heading:
// the file name of the original, the name of what was done to it, the file name
// of the copy. Any folder of that shape will do.
//
// It writes, to DIR of -out (default: only the table, to standard output):
//
//	accuracy.md    recall per row and transform, false matches, nearest pairs
//	accuracy.json  the same with the curves over the radius, 0 to 96 bits
//	accuracy.svg   the curves of the first seven set-ups
//
// # Set-ups
//
// A set-up is what a registration stores and what a query asks with:
//
//	pdq          the PDQ hash; the PDQ hash
//	goimagehash  goimagehash's perception hash; the same
//	dihedral     the eight orientations; the hash, and the ones without borders
//	default      phash.HashesToStore, LevelDefault; phash.HashesToAsk
//	wide         phash.HashesToStore, LevelWide; phash.HashesToAsk
//	stored       phash.HashesToStore, LevelDefault; the picture's own hash only, which is what a
//	             service has that stores one hash per picture
//	storedwide   the same with LevelWide
//	foreign      phash.HashesToStore, LevelDefault; the PDQ hash as other programs compute it,
//	             which do not turn a picture as its EXIF data say
//	hashonly     phash.HashesToStoreOf of the PDQ hash; phash.HashesToAsk
//	perception   the perception hashes of phash.HashesToStore; the perception hash
//
// Recall is the share of the copies, of pictures that could be registered, whose
// nearest hash lies within the radius. Pictures that Register refuses are listed;
// a second figure counts their copies as missed.
//
// False matches are counted among all ordered pairs of different originals, and
// among all pairs of an original and a copy of another one (but for collages,
// which show several).
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hashes: ")
	originals := flag.String("originals", "", "folder of different pictures")
	copies := flag.String("copies", "", "folders of copies with manifest.tsv, separated by commas")
	setups := flag.String("setups", "pdq,goimagehash,dihedral,default,wide,stored,hashonly,storedwide,foreign,perception", "what to measure")
	out := flag.String("out", "", "folder to write to")
	cache := flag.String("cache", "", "file that keeps the hashes; it is checked against some of the originals only: delete it when the hashing of queries changes")
	earn := flag.Bool("earn", false, "say what each stored hash of the levels adds")
	flag.Parse()
	if *originals == "" || *copies == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*originals, strings.Split(*copies, ","), strings.Split(*setups, ","), *out, *cache, *earn); err != nil {
		log.Fatal(err)
	}
}

func run(originals string, copies, names []string, out, cache string, earn bool) error {
	c, err := readCorpus(originals, copies, cache)
	if err != nil {
		return err
	}
	var results []*result
	for _, name := range names {
		s, ok := setups[name]
		if !ok {
			return fmt.Errorf("unknown set-up %q", name)
		}
		results = append(results, measure(c, name, s))
	}
	table := markdown(c, results)
	if earn {
		table += earned(c, "default", []string{"default", "stored", "foreign"})
		table += earned(c, "wide", []string{"wide", "storedwide"})
	}
	if out == "" {
		fmt.Print(table)
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "accuracy.md"), []byte(table), 0o644); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(out, "accuracy.json"), c, results); err != nil {
		return err
	}
	return writePlot(filepath.Join(out, "accuracy.svg"), results)
}
