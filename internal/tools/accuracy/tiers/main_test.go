package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A corpus whose answers are known: copies that are the files themselves, and
// one that is another picture under a wrong name.
func TestRun(t *testing.T) {
	t.Parallel()
	originals, copies := t.TempDir(), t.TempDir()
	manifest := "orig\ttransform\tfile\n"
	for _, name := range []string{"chicky.jpg", "graf3.jpg", "dogs.jpg"} {
		b, err := os.ReadFile(filepath.Join("../../../../examples/quickstart/photos", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{originals, copies} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		manifest += fmt.Sprintf("%s\tsame\t%s\n", name, name)
	}
	manifest += "graf3.jpg\tmistaken\tdogs.jpg\n"
	if err := os.WriteFile(filepath.Join(copies, "manifest.tsv"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	table, err := run(context.Background(), originals, []string{copies}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| same | 3 | 3 | 0 | 100.0 | 0.0 | 0.0 | 0 |",
		"| mistaken | 1 | 0 | 0 | 0.0 | 0.0 | 0.0 | 1 |",
		"- dogs.jpg → dogs.jpg (block by bytes",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("the table lacks %q:\n%s", row, table)
		}
	}
}
