package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A corpus whose answers are known: crops of one picture are weak for it, and
// count as wrong where they are said to be of another one.
func TestRun(t *testing.T) {
	t.Parallel()
	originals, copies := t.TempDir(), t.TempDir()
	for _, name := range []string{"chicky.jpg", "dogs.jpg", "graf3.jpg"} {
		b, err := os.ReadFile(filepath.Join("../../../../examples/quickstart/photos", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(originals, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(originals, "dogs.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	dogs, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{"dogs.jpg", "graf3.jpg"} {
		manifest := "orig\ttransform\tfile\n"
		for i := range 8 {
			cut := dogs.Bounds()
			cut.Min = cut.Min.Add(image.Pt(14+3*i, 10+i))
			m := image.NewRGBA(image.Rectangle{Max: cut.Size()})
			draw.Draw(m, m.Rect, dogs, cut.Min, draw.Src)
			var file bytes.Buffer
			if err := jpeg.Encode(&file, m, nil); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("crop%d.jpg", i)
			if err := os.WriteFile(filepath.Join(copies, name), file.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			manifest += fmt.Sprintf("%s\tcrop\t%s\n", of, name)
		}
		if err := os.WriteFile(filepath.Join(copies, "manifest.tsv"), []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
		table, err := run(context.Background(), originals, []string{copies}, 1, 30, false)
		if err != nil {
			t.Fatal(err)
		}
		most := map[string]int{}
		for line := range strings.Lines(table) {
			cells := strings.Split(strings.Trim(line, "| \n"), " | ")
			var n int
			if _, err := fmt.Sscan(cells[len(cells)-1], &n); err == nil {
				most[cells[0]] = n
			}
		}
		// The desk of the second half has the dogs only.
		wrong := most["innocent, second half"]
		if most["innocent, first half"] != 0 || (wrong > 1) != (of == "graf3.jpg") || most["viral"] < 2 || most["viral"] > 10 || most["layout"] < 10 {
			t.Errorf("copies of %s:\n%s", of, table)
		}
	}
}
