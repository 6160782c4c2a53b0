package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// The example as it is run: where node and the packages of
// examples/calibrate/descriptors are.
func TestExample(t *testing.T) {
	res, n := story(t, sampleAlbum, guest)
	if n.sent != 1 || n.others != 3 || n.strangers != 5 {
		t.Errorf("%+v: want 1 sent, 3 of the person, 5 others allowed", n)
	}
	if len(res.People) != 1 || res.People[0].Blocked != 2 || res.People[0].OthersPassed != 5 {
		t.Errorf("%+v: want one person with two photographs blocked, and 5 others allowed", res.People)
	}
}

// The same with the photographs of the calibration, where they are.
func TestExample_Calibrated(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	shared := cmp.Or(os.Getenv("STAYDOWN_SHARED"), filepath.Join(root, "..", "shared"))
	album := func(string) ([]photo, error) {
		a, err := readAlbum(filepath.Join(shared, "testdata", "faces"))
		return a[:min(len(a), 34)], err // of 60: the model takes its time
	}
	res, n := story(t, album, "family1-mom")
	if n.sent != 1 || n.others < 2 || n.strangers < 25 {
		t.Errorf("%+v: the example shows little", n)
	}
	// What docs/faces.md says of this model: hardly one photograph of a person is
	// missed, and hardly one stranger blocked.
	if len(res.People) < 8 {
		t.Fatalf("%d people with several photographs", len(res.People))
	}
	var missed, blocked int
	for _, s := range res.People {
		missed, blocked = missed+s.Missed, blocked+s.OthersBlocked
	}
	if missed > 1 || blocked > 2 {
		t.Errorf("%d missed, %d strangers blocked: %+v", missed, blocked, res.People)
	}
}

// counts are of an album: photographs that were sent, that show the person, and
// that were allowed.
type counts struct{ sent, others, strangers int }

// story runs the example with an album, and checks what holds for every one.
func story(t *testing.T, read func(model string) ([]photo, error), person string) (*result, counts) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: -short; the model takes 10 s for the photographs")
	}
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(root, "examples", "calibrate", "descriptors")
	embedder, err := startModel(t.Context(), model)
	if errors.Is(err, errNotInstalled) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := embedder.Close(); err != nil {
			t.Error(err)
		}
	}()
	album, err := read(model)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := run(t.Context(), io.Discard, t.TempDir(), album, person, embedder)
	if err != nil {
		t.Fatal(err)
	}
	var n counts
	for _, p := range album {
		d := res.Accepted[p.Name]
		switch {
		case p.Person == person && d.Similarity > 0.999:
			n.sent++
			fallthrough
		case p.Person == person:
			n.others++
			if d.Verdict != takedown.Block || d.Why != takedown.TierFace || d.Case != res.Case.ID {
				t.Errorf("%s, of the person: %v", p.Name, d)
			}
		case d.Verdict == takedown.Allow && d.Checked.Has(takedown.TierFace):
			n.strangers++
		case d.Verdict != takedown.Review || d.Similarity < review || d.Similarity >= block:
			t.Errorf("%s, of %s: %v", p.Name, p.Person, d)
		}
		want := d
		want.Similarity = math.Round(d.Similarity*100) / 100 // as a node answers
		if want != res.Loaded[p.Name] {
			t.Errorf("%s: %v, and from the snapshot %v", p.Name, d, res.Loaded[p.Name])
		}
		if d := res.Withdrawn[p.Name]; d.Verdict != takedown.Allow || !d.Checked.Has(takedown.TierFace) {
			t.Errorf("%s, withdrawn: %v", p.Name, d)
		}
	}
	if p := res.Preview; p.Looked != len(album) || p.Block != n.others || len(p.NearFaces) == 0 {
		t.Errorf("preview: %d looked at, %d blocked, %d near", p.Looked, p.Block, len(p.NearFaces))
	}
	if r := res.After.Request.(request.FaceOptOut); res.After.State != desk.StateWithdrawn || len(r.Images) != 0 || templates(res.After) != 0 {
		t.Errorf("withdrawn: %+v", res.After)
	}
	return res, n
}

const envChild = "STAYDOWN_EXAMPLE_CHILD" // what the child of a test answers

// TestMain is also the child: a model server that misbehaves.
func TestMain(m *testing.M) {
	what := os.Getenv(envChild)
	if what == "" {
		os.Exit(m.Run())
	}
	in := bufio.NewReader(os.Stdin)
	if what == "not even a greeting" {
		os.Exit(3)
	}
	fmt.Println(`{"model": "made-up@1", "dimensions": 64}`)
	for {
		var w, h int
		line, err := in.ReadString('\n')
		if err != nil {
			os.Exit(0)
		}
		if _, err := fmt.Sscanf(line, `{"width": %d, "height": %d}`, &w, &h); err != nil {
			os.Exit(4)
		}
		rgb := make([]byte, 3*w*h)
		if _, err := io.ReadFull(in, rgb); err != nil {
			os.Exit(5)
		}
		switch what {
		case "faces":
			v := strings.Repeat(fmt.Sprint(int(rgb[0])-100)+",", 63) + "1"
			fmt.Printf(`{"faces": [{"box": [1, 2, 3, 4], "vector": [%s]}]}`+"\n", v)
		case "an error":
			fmt.Println(`{"error": "out of memory"}`)
		case "an end":
			os.Exit(6)
		case "no JSON":
			fmt.Println("loading weights …")
		case "a vector of another length":
			fmt.Println(`{"faces": [{"box": [1, 2, 3, 4], "vector": [1, 2]}]}`)
		case "a line without end":
			for {
				fmt.Print(strings.Repeat("x", 1<<16))
			}
		case "silence":
			time.Sleep(time.Hour)
		}
	}
}

func startChild(t *testing.T, what string) (*Embedder, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+what)
	cmd.Stderr = io.Discard
	e, err := start(t.Context(), cmd)
	if err == nil {
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return e, err
}

// The child answers, or the error says that it did not; nothing hangs.
func TestEmbedder(t *testing.T) {
	t.Parallel()
	picture := image.NewGray(image.Rect(10, 10, 20, 15))
	picture.Pix[0] = 200
	e, err := startChild(t, "faces")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		found, err := e.EmbedFaces(t.Context(), picture)
		if err != nil || len(found) != 1 || found[0].Box != image.Rect(11, 12, 13, 14) || found[0].Face.Model() != "made-up@1" || found[0].Face.Dimensions() != 64 {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	for _, tc := range []struct {
		what   string
		broken bool // for good
	}{
		{"an error", false}, {"a vector of another length", false}, {"an end", true}, {"no JSON", true}, {"a line without end", true}, {"silence", true},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			e, err := startChild(t, tc.what)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if found, err := e.EmbedFaces(ctx, picture); err == nil {
				t.Errorf("%+v", found)
			}
			_, err = e.EmbedFaces(t.Context(), picture)
			if broken := err != nil && strings.Contains(err.Error(), "does not answer"); broken != tc.broken {
				t.Errorf("the next picture: %v", err)
			}
		})
	}
	if _, err := startChild(t, "not even a greeting"); err == nil {
		t.Error("a child that ends at once is ready")
	}
	if _, err := startModel(t.Context(), t.TempDir()); !errors.Is(err, errNotInstalled) {
		t.Errorf("no model in the folder: %v", err)
	}
	if _, err := e.EmbedFaces(t.Context(), image.NewUniform(image.Black)); err == nil {
		t.Error("a picture without bounds was sent")
	}
}
