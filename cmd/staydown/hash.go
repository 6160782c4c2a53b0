package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/staydown/staydown/phash"
)

// hashCmd prints hashes.
type hashCmd struct {
	Files []string `arg:"" help:"Pictures: JPEG, PNG, GIF, WebP, BMP, ICO, SVG with a picture in it, AVIF. \"-\" is standard input." predictor:"file"`
	All   bool     `help:"Also print the perception hash and the hashes that a look-up asks for."`
}

// Help is shown below the usage.
func (hashCmd) Help() string {
	return `Prints a line for each picture: its PDQ hash, the quality from 0 to 100, and the file. A quality below 50
means that the picture has too little detail to be recognised by its hash. A file that cannot be decoded is an error.

  staydown hash photo.jpg
  staydown --json hash --all *.jpg`
}

// hashed is the answer of hash.
type hashed struct {
	File       string       `json:"file"`
	Format     string       `json:"format"`
	Width      int          `json:"width"`
	Height     int          `json:"height"`
	SHA256     string       `json:"sha256"`
	PDQ        phash.Hash   `json:"pdq"`
	Quality    int          `json:"quality"`
	Damage     string       `json:"damage,omitempty"`
	Perception *phash.Hash  `json:"perception,omitempty"`
	Asked      []phash.Hash `json:"asked,omitempty"`
}

func (c *hashCmd) Run(a *app) error {
	for _, name := range c.Files {
		h, err := c.hash(a, name)
		if err != nil {
			a.fail("%s: %v", name, err)
			continue
		}
		text := fmt.Sprintf("%s %3d %s", h.PDQ, h.Quality, name)
		if h.Damage != "" {
			text += " (" + h.Damage + ")"
		}
		for _, k := range h.Asked {
			text += fmt.Sprintf("\n  asked %s", k)
		}
		if h.Perception != nil {
			text += fmt.Sprintf("\n  %s", h.Perception)
		}
		a.print(h, text)
	}
	return nil
}

func (c *hashCmd) hash(a *app, name string) (*hashed, error) {
	data, err := readInput(a, name, phash.DefaultMaxBytes)
	if err != nil {
		return nil, err
	}
	opts := decoding()
	opts.AcceptTruncated = true
	pic, err := decodeBytes(a, data, opts)
	if err != nil {
		return nil, err
	}
	h := &hashed{File: name, Format: pic.Format().String()}
	h.Width, h.Height = pic.Size()
	sum := sha256.Sum256(data)
	h.SHA256 = hex.EncodeToString(sum[:])
	h.PDQ, h.Quality = pic.PDQ()
	if d := pic.Damage(); d != (phash.Damage{}) {
		h.Damage = d.String()
	}
	if c.All {
		h.Asked = phash.HashesToAsk(pic)
		if p, err := pic.Perception(); err == nil {
			h.Perception = &p
		}
	}
	return h, nil
}

// readInput reads a file, or standard input for "-", up to a limit.
func readInput(a *app, name string, limit int64) ([]byte, error) {
	var r io.Reader = bufio.NewReader(a.in)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, errors.Unwrap(err)
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	return data, err
}
