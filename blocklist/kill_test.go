package blocklist_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/sharedtest"
)

// The killed process is this test program itself, told so by an environment
// variable with the folder to work in.
const childEnv = "STAYDOWN_TEST_CHILD"

func runChild(dir string) {
	u := newUniverse(11, 16)
	l, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{CompactAfter: 60, EraseAfter: -1, EncryptionKey: &crashKey})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var out sync.Mutex
	for worker := range 3 {
		go func() {
			rng := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(worker)))
			m := newModel(newClock())
			h := &history{faces: true, u: u, m: m, l: l, rng: rng, newID: func() (id [16]byte) {
				binary.LittleEndian.PutUint64(id[:], rng.Uint64())
				return id
			}}
			for {
				m.seq = l.State().Seq()
				events := make([]blocklist.Event, 1+rng.IntN(3))
				for i := range events {
					events[i] = h.event()
				}
				seqs, err := l.Append(context.Background(), events...)
				out.Lock()
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				// One write, so that the parent never sees half an acknowledgement
				// but the last.
				line := "ack"
				for i := range events {
					line += fmt.Sprintf(" %x=%d", events[i].ID[:8], seqs[i])
				}
				fmt.Println(line)
				out.Unlock()
			}
		}()
	}
	for {
		if err := l.Publish(filepath.Join(dir, "published.snap")); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		time.Sleep(3 * time.Millisecond)
	}
}

// TestKill kills a process that appends, compacts and publishes as fast as it
// can, and opens what it leaves behind: every event whose Append returned is
// there under its number, and the list is the fold of the journal.
// STAYDOWN_KILLS sets how often; 500 take about two minutes.
func TestKill(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		runChild(dir)
	}
	t.Parallel()
	kills := sharedtest.Count(t, "STAYDOWN_KILLS", 12)
	var dir string
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var acked map[string]uint64
	total := 0
	u := newUniverse(11, 16)
	for kill := range kills {
		if kill%20 == 0 {
			dir, acked = t.TempDir(), map[string]uint64{}
		}
		cmd := child(t, "TestKill", childEnv+"="+dir)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		start(t, cmd)
		timer := time.AfterFunc(time.Duration(20+rng.IntN(150))*time.Millisecond, func() { cmd.Process.Kill() })
		lines := bufio.NewReader(stdout)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // also half a line
			}
			if strings.HasPrefix(line, "error") {
				t.Errorf("kill %d: the process says: %s", kill, line)
			}
			for _, field := range strings.Fields(line)[1:] {
				id, seq, ok := strings.Cut(field, "=")
				n, err := strconv.ParseUint(seq, 10, 64)
				if !ok || err != nil {
					t.Fatalf("kill %d: unexpected line %q", kill, line)
				}
				acked[id] = n
				total++
			}
		}
		cmd.Wait()
		timer.Stop()
		if t.Failed() {
			return
		}

		c := newClock()
		c.sec.Store(time.Now().Unix())
		l, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{Now: c.now, CompactAfter: -1, EraseAfter: -1, EncryptionKey: &crashKey})
		if err != nil {
			t.Fatalf("kill %d: Open: %v", kill, err)
		}
		if s := l.Info(); len(s.Fallbacks) > 0 {
			t.Fatalf("kill %d: fell back: %v", kill, s.Fallbacks)
		}
		m := newModel(c)
		m.open = l.OpenFace
		journal := map[string]uint64{}
		if err := l.Events(1, func(e blocklist.Event) bool {
			journal[fmt.Sprintf("%x", e.ID[:8])] = e.Seq
			if got := m.apply(e); got != e.Seq {
				t.Fatalf("kill %d: event %d is the model's %d", kill, e.Seq, got)
			}
			return true
		}); err != nil {
			t.Fatalf("kill %d: Events: %v", kill, err)
		}
		for id, seq := range acked {
			if journal[id] != seq {
				t.Fatalf("kill %d: event %s was acknowledged as %d and is %d", kill, id, seq, journal[id])
			}
		}
		compare(t, u, m, l.State())
		m.checkKeys(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if r, err := blocklist.Load(filepath.Join(dir, "published.snap"), &blocklist.LoadOptions{EncryptionKey: &crashKey}); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("kill %d: Load: %v", kill, err)
		} else if err == nil && r.State().Seq() > m.seq {
			t.Fatalf("kill %d: the published file is at %d, the journal at %d", kill, r.State().Seq(), m.seq)
		}
	}
	t.Logf("%d kills, %d acknowledged events", kills, total)
}

// child returns the command that runs one test of this program in a process of
// its own.
func child(t *testing.T, test, env string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env)
	return cmd
}

// start starts a child, and skips the test where this program runs in an
// emulator that the system does not know of.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); errors.Is(err, syscall.ENOEXEC) {
		t.Skip("skipped: the system cannot start a program of this architecture")
	} else if err != nil {
		t.Fatal(err)
	}
}
