package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// album stands for the index of a service: pictures at addresses, in the order
// of their keys, with what a crawler keeps of them.
type album []entry

type entry struct {
	takedown.Item
	file []byte
}

// readAlbum reads the pictures of a folder, and adds to each a mirrored copy in
// another size at another host.
func readAlbum(dir string) (a album, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no pictures (*.jpg) in %s", dir)
	}
	add := func(key, host string, file []byte) error {
		c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{ImageURL: "https://" + host + "/" + key}, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		a = append(a, entry{takedown.Item{Key: key, Candidate: c}, file})
		return nil
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		pic, err := decode(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var copied bytes.Buffer
		if err := jpeg.Encode(&copied, imaging.FlipH(imaging.Fit(pic, 400, 400, imaging.Lanczos)), &jpeg.Options{Quality: 80}); err != nil {
			return nil, err
		}
		key := filepath.Base(name)
		if err := add(key, "photos.example", file); err != nil {
			return nil, err
		}
		if err := add("mirrored-"+key, "copies.example", copied.Bytes()); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(a, func(x, y entry) int { return strings.Compare(x.Key, y.Key) })
	return a, nil
}

// items gives them as takedown.Items wants them.
func (a album) items(_ context.Context, after string) iter.Seq2[takedown.Item, error] {
	return func(yield func(takedown.Item, error) bool) {
		for _, e := range a {
			if e.Key > after && !yield(e.Item, nil) {
				return
			}
		}
	}
}

func (a album) get(key string) (it takedown.Item, file []byte, ok bool) {
	for _, e := range a {
		if e.Key == key {
			return e.Item, e.file, true
		}
	}
	return it, nil, false
}

// match returns the file of a match that a crawler reported.
func (a album) match(_ context.Context, m takedown.Match) ([]byte, error) {
	for _, e := range a {
		if e.Candidate.SHA256 == m.Candidate.SHA256 {
			return e.file, nil
		}
	}
	return nil, errors.New("there is no such picture")
}

// decode reads a picture within the limits of package phash: what people send
// must not be handed to image.Decode.
func decode(file []byte) (image.Image, error) {
	pic, err := phash.Decode(bytes.NewReader(file), &phash.DecodeOptions{AcceptTruncated: true})
	if err != nil {
		return nil, err
	}
	return pic.Image(), nil
}

// thumbnail returns a small JPEG of a picture, without anything else that is in its
// file.
func (a album) thumbnail(_ context.Context, key string) ([]byte, error) {
	_, file, ok := a.get(key)
	if !ok {
		return nil, errors.New("there is no such picture")
	}
	pic, err := decode(file)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = jpeg.Encode(&b, imaging.Fit(pic, 320, 320, imaging.Lanczos), &jpeg.Options{Quality: 80})
	return b.Bytes(), err
}
