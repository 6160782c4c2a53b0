package avif_test

import (
	"bytes"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staydown/staydown/phash/avif"
)

// The luma of valid files of all kinds is, in every sample, that of avifdec.
func TestLikeAvifdec(t *testing.T) {
	for _, name := range []string{"avifenc", "avifdec"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("libavif's programs are not installed")
		}
	}
	src := filepath.Join("..", "testdata", "pictures", "rgb.png")
	dir := t.TempDir()
	for i, args := range []string{
		"-s 8", "-s 8 -y 420", "-s 8 -y 422", "-s 8 -y 444", "-s 8 -y 400", "-s 8 --cicp 1/13/1", "-s 8 --cicp 9/16/9",
		"-s 8 --cicp 1/13/8 -y 444", "-s 8 -l", "-s 9 --min 63 --max 63", "-s 8 --grid 2x1", "-s 10 --tilecolslog2 1", "-s 3",
	} {
		file, y4m := filepath.Join(dir, fmt.Sprintf("%d.avif", i)), filepath.Join(dir, fmt.Sprintf("%d.y4m", i))
		if out, err := exec.Command("avifenc", append(strings.Fields(args), src, file)...).CombinedOutput(); err != nil {
			t.Logf("%s: not encoded: %s", args, bytes.TrimSpace(out))
			continue
		}
		want := luma(t, file, y4m)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := avif.Decode(data, 1<<30)
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		switch m := m.(type) {
		case *image.YCbCr:
			compareLuma(t, args, m.Y, want)
		case *image.Gray:
			compareLuma(t, args, m.Pix, want)
		default:
			t.Logf("%s: %T has no luma to compare", args, m)
		}
	}
}

func compareLuma(t *testing.T, name string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want[:min(len(got), len(want))]) {
		t.Errorf("%s: another luma than avifdec", name)
	}
}

// luma returns the first plane that avifdec decodes.
func luma(t *testing.T, file, y4m string) []byte {
	t.Helper()
	if out, err := exec.Command("avifdec", file, y4m).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	data, err := os.ReadFile(y4m)
	if err != nil {
		t.Fatal(err)
	}
	_, frame, ok := bytes.Cut(data, []byte("FRAME\n"))
	if !ok {
		t.Fatal("no frame")
	}
	return frame
}
