//go:build linux

package desk_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// A diskOp is what a process did to a file, or told.
type diskOp struct {
	call string // pwrite64, ftruncate, sync, line
	path string
	off  int64 // or the size
	data []byte
	n    int // when it began
}

// recorded runs a child under strace, and returns what it wrote, synced and told.
func recorded(t *testing.T, what, dir string) []diskOp {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("skipped: strace is not installed (scripts/setup installs it)")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := child(what, dir)
	cmd.Args = append([]string{strace, "-f", "-y", "-xx", "-s", "4194304", "-o", trace, "-e", "trace=pwrite64,ftruncate,fsync,fdatasync,write"}, cmd.Args...)
	cmd.Path = strace
	if out, err := cmd.Output(); err != nil {
		t.Skipf("skipped: this system does not let strace trace: %v\n%s", err, out)
	}
	b, err := os.ReadFile(trace)
	ok(t, err)
	var ops []diskOp
	n := 0
	begun := map[string]diskOp{} // thread → sync
	call := regexp.MustCompile(`^(\d+) +(pwrite64|ftruncate|fsync|fdatasync|write)\(\d+<([^>]*)>(?:, "([^"]*)")?(?:, (\d+))?(?:, (\d+))?`)
	resumed := regexp.MustCompile(`^(\d+) +<\.\.\. (fsync|fdatasync) resumed>.*= 0`)
	for line := range strings.Lines(string(b)) {
		if m := resumed.FindStringSubmatch(line); m != nil {
			if op, ok := begun[m[1]]; ok {
				ops = append(ops, op)
			}
			delete(begun, m[1])
			continue
		}
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		op := diskOp{call: m[2], path: unhex(t, m[3]), data: []byte(unhex(t, m[4])), n: n}
		n++
		switch op.call {
		case "pwrite64":
			op.off, _ = strconv.ParseInt(m[6], 10, 64)
			if size, _ := strconv.Atoi(m[5]); size != len(op.data) {
				t.Fatalf("%d of %d bytes are in the trace", len(op.data), size)
			}
		case "ftruncate":
			op.off, _ = strconv.ParseInt(m[5], 10, 64)
		case "write":
			op.call = "line"
		default:
			op.call = "sync"
			if strings.Contains(line, "<unfinished") {
				begun[m[1]] = op
				continue
			}
			if !strings.Contains(line, "= 0") {
				continue
			}
		}
		ops = append(ops, op)
	}
	return ops
}

func unhex(t *testing.T, s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	if err != nil {
		t.Fatalf("%.40q: %v", s, err)
	}
	return string(b)
}

// disk is what a machine has of its files: what was synced, and what came since.
type disk struct {
	synced  map[string][]byte
	pending map[string][]diskOp
}

func (k *disk) do(op diskOp) {
	if op.call != "sync" {
		k.pending[op.path] = append(k.pending[op.path], op)
		return
	}
	// What was written before the sync began is on the disk.
	for len(k.pending[op.path]) > 0 && k.pending[op.path][0].n < op.n {
		k.synced[op.path] = apply(k.synced[op.path], k.pending[op.path][0], nil)
		k.pending[op.path] = k.pending[op.path][1:]
	}
}

// apply does an operation, whole, or with a rng only some of its sectors.
func apply(file []byte, op diskOp, rng *rand.Rand) []byte {
	if op.call == "ftruncate" {
		if rng != nil && rng.IntN(2) == 0 {
			return file
		}
		return append(bytes.Clone(file[:min(int64(len(file)), op.off)]), make([]byte, max(0, op.off-int64(len(file))))...)
	}
	out := bytes.Clone(file)
	for at := 0; at < len(op.data); {
		n := min(len(op.data)-at, 512-int(op.off+int64(at))%512)
		if rng == nil || rng.IntN(2) == 0 {
			end := op.off + int64(at+n)
			if grow := end - int64(len(out)); grow > 0 {
				out = append(out, make([]byte, grow)...)
			}
			copy(out[op.off+int64(at):], op.data[at:at+n])
		}
		at += n
	}
	return out
}

// crash returns the files after a crash: how is 0 for what was synced only, 1 for all
// that was written, and else for a part of it, by sectors.
func (k *disk) crash(how int, rng *rand.Rand) map[string][]byte {
	files := map[string][]byte{}
	for path, b := range k.synced {
		for _, op := range k.pending[path] {
			switch {
			case how == 0:
			case how == 1:
				b = apply(b, op, nil)
			default:
				b = apply(b, op, rng)
			}
		}
		files[path] = b
	}
	return files
}

// Whatever a machine has on its disk when it crashes, of what a desk wrote and had not
// synced: the folder opens, and every promise that was made before the crash is kept.
//
// STAYDOWN_REPLAYS sets the number of crashes; the default is 600, and 45 with -short.
func TestCrash_UnsyncedWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	accept(t, d, notice("https://example.org/before.jpg"), desk.Grant{})
	ok(t, d.Close())
	k := &disk{map[string][]byte{}, map[string][]diskOp{}}
	for _, name := range []string{"cases.db", "keys", "operator.key", "list/journal.db"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		ok(t, err)
		k.synced[filepath.Join(dir, name)] = b
	}
	var ops []diskOp
	for _, op := range recorded(t, "replay", dir) {
		if _, ours := k.synced[op.path]; ours || op.call == "line" {
			ops = append(ops, op)
		}
	}
	n := 600
	if testing.Short() {
		n = 45
	}
	n = sharedtest.Count(t, "STAYDOWN_REPLAYS", n)
	rng := rand.New(rand.NewPCG(5, 9))
	last := map[string]string{}
	url := map[string]string{}
	writes, tried := 0, 0
	for i, op := range ops {
		if op.call == "line" {
			if f := strings.Fields(string(op.data)); len(f) == 3 {
				last[f[1]], url[f[1]] = f[0], f[2]
			}
			continue
		}
		k.do(op)
		if op.call == "pwrite64" {
			writes++
		}
		for range (n + rng.IntN(len(ops))) / len(ops) {
			tried++
			how := rng.IntN(4)
			checkCrash(t, fmt.Sprintf("operation %d of %d, %d", i, len(ops), how), dir, k.crash(how, rng), last, url)
		}
		if t.Failed() {
			return
		}
	}
	if writes < 100 || len(last) != 8 || tried < n/2 {
		t.Errorf("%d writes, %d cases, %d crashes: the test shows little", writes, len(last), tried)
	}
	t.Logf("%d crashes within %d writes", tried, writes)
}

func checkCrash(t *testing.T, name, from string, files map[string][]byte, last, url map[string]string) {
	t.Helper()
	dir := t.TempDir()
	ok(t, os.Mkdir(filepath.Join(dir, "list"), 0o700))
	for path, b := range files {
		rel, err := filepath.Rel(from, path)
		ok(t, err)
		ok(t, os.WriteFile(filepath.Join(dir, rel), b, 0o600))
	}
	d, err := desk.Open(dir, nil)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer d.Close()
	for text, what := range last {
		id, err := takedown.ParseCaseID(text)
		ok(t, err)
		c, err := d.Case(ctx, id)
		ok(t, err)
		blocked := d.Enforcer().FilterURL(url[text]).Verdict == takedown.Block
		switch what {
		case "accepted", "erasing", "erased":
			if !blocked || c.State != desk.StateInForce {
				t.Errorf("%s: %s, and the case is %s, blocked: %v", name, what, c.State, blocked)
			}
		case "withdrawn":
			if blocked || c.State != desk.StateWithdrawn {
				t.Errorf("%s: withdrawn, and the case is %s, blocked: %v", name, c.State, blocked)
			}
		}
		if what == "erased" && (c.Request != nil || liveKeys(dir)[string(id[:])]) {
			t.Errorf("%s: the erased case is back", name)
		}
		if what != "erased" && what != "erasing" && c.Request == nil {
			t.Errorf("%s: the request of case %v is lost", name, id)
		}
	}
	if err := d.Verify(ctx); err != nil && !errors.Is(err, desk.ErrErased) {
		t.Errorf("%s: %v", name, err)
	}
}
