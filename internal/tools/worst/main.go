// Command worst looks for the files of at most 1 MB that cost most: processor time
// and memory of looking at them, and of an opt-out of them. It draws files by chance
// from families with parameters, measures each in a process of its own, and goes on
// near the dearest ones.
//
//	worst [-n 200] [-seed 1] [-mode inspect|submit] [-keep DIR] [-only NAME]
//
// It prints the dearest files of each family: the processor time as a ratio to that
// of image/jpeg.Decode of a baseline JPEG of 108 megapixels in the same run, the
// peak of the memory of the process above that of a process with the file alone, and
// the processor time until a call returns after its context ended.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"log"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// measurement is what a process reports of one file.
type measurement struct {
	CPU    time.Duration // user and system
	Peak   int64         // bytes, above those before the call
	Late   time.Duration // processor time until the call returned after its context ended, at most
	Looked bool
	Err    string
}

type candidate struct {
	family string
	params []int
	size   int
	got    measurement
}

const mode = "STAYDOWN_WORST"

func main() {
	log.SetFlags(0)
	log.SetPrefix("worst: ")
	if m := os.Getenv(mode); m != "" {
		child(m, os.Args[1])
		return
	}
	n := flag.Int("n", 200, "how many files are tried")
	seed := flag.Uint64("seed", 1, "of the search")
	what := flag.String("mode", "inspect", "inspect, submit")
	keep := flag.String("keep", "", "a folder for the dearest file of each family")
	only := flag.String("only", "", "the family")
	flag.Parse()
	if err := search(*n, *seed, *what, *keep, *only); err != nil {
		log.Fatal(err)
	}
}

// search tries files: half of them at random, half near those that were dearest.
func search(n int, seed uint64, what, keep, only string) error {
	reference, err := large()
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seed, 2))
	names := slices.Sorted(maps.Keys(families))
	if only != "" {
		names = []string{only}
	}
	best := map[string][]candidate{} // by family, the dearest first
	for i := range n {
		name := names[i%len(names)]
		f, found := families[name], best[name]
		params := f.draw(random)
		if len(found) > 0 && i/len(names)%2 == 1 {
			params = f.near(random, found[i/len(names)/2%min(3, len(found))].params)
		}
		file := f.make(params)
		if len(file) == 0 || len(file) > 1<<20 {
			continue
		}
		got, err := measure(what, file)
		if err != nil {
			return fmt.Errorf("%s %v: %w", name, params, err)
		}
		best[name] = append(found, candidate{name, params, len(file), got})
		slices.SortFunc(best[name], func(a, b candidate) int { return cmp.Compare(b.got.cost(), a.got.cost()) })
	}
	print(names, best, reference)
	return save(keep, best)
}

// cost joins what is bounded: processor time and memory.
func (m measurement) cost() float64 { return m.CPU.Seconds() + float64(m.Peak)/(1<<30) }

func print(names []string, best map[string][]candidate, reference time.Duration) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "family\tparameters\tbytes\tCPU s\tratio\tpeak MB\tlate ms\tlooked at\terror\n")
	row := func(c candidate) {
		fmt.Fprintf(w, "%s\t%v\t%d\t%.2f\t%.2f\t%d\t%d\t%t\t%.40s\n", c.family, c.params, c.size, c.got.CPU.Seconds(),
			c.got.CPU.Seconds()/reference.Seconds(), c.got.Peak>>20, c.got.Late.Milliseconds(), c.got.Looked, c.got.Err)
	}
	for _, name := range names {
		list := best[name]
		if len(list) == 0 {
			continue
		}
		row(list[0])
		for _, f := range []func(a, b candidate) int{
			func(a, b candidate) int { return cmp.Compare(a.got.Peak, b.got.Peak) },
			func(a, b candidate) int { return cmp.Compare(a.got.CPU, b.got.CPU) },
			func(a, b candidate) int { return cmp.Compare(a.got.Late, b.got.Late) },
		} {
			row(slices.MaxFunc(list, f))
		}
	}
	w.Flush()
	fmt.Printf("image/jpeg.Decode of 108 megapixels: %.2f s\n", reference.Seconds())
}

func save(dir string, best map[string][]candidate) error {
	if dir == "" {
		return nil
	}
	for name, list := range best {
		if len(list) > 0 {
			if err := os.WriteFile(filepath.Join(dir, name), families[name].make(list[0].params), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// large is the time for a baseline JPEG of 108 megapixels: what a phone takes.
func large() (time.Duration, error) {
	m := image.NewYCbCr(image.Rect(0, 0, 12000, 9000), image.YCbCrSubsampleRatio420)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range m.Y {
		m.Y[i] = byte(i/40%120 + random.IntN(24))
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = byte(100+i/70%50), byte(140-i/90%40)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 85}); err != nil {
		return 0, err
	}
	before := cpu()
	_, err := jpeg.Decode(bytes.NewReader(b.Bytes()))
	return cpu() - before, err
}

// cpu is the processor time of the process.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// measure runs a process for one file.
func measure(what string, file []byte) (m measurement, err error) {
	f, err := os.CreateTemp("", "worst-")
	if err != nil {
		return m, err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(file); err == nil {
		err = f.Close()
	}
	if err != nil {
		return m, err
	}
	run := func(how string) (m measurement, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		program, err := os.Executable()
		if err != nil {
			return m, err
		}
		c := exec.CommandContext(ctx, program, f.Name())
		c.Env = append(os.Environ(), mode+"="+how)
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err == nil {
			err = json.Unmarshal(out, &m)
		}
		return m, err
	}
	if m, err = run(what); err != nil {
		return m, err
	}
	late, err := run(what + "-late")
	m.Late = late.Late
	return m, err
}

// peak is the most memory that the process had, in bytes.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	log.Fatal("no VmHWM in /proc/self/status")
	return 0
}
