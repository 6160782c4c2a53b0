package desk_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// BenchmarkBigRequest reports how long moves of other cases take while 20 pictures of
// 10 MB are submitted, beside what they take otherwise, and the memory:
//
//	go test ./takedown/desk -run '^$' -bench BigRequest -benchtime 3x
func BenchmarkBigRequest(b *testing.B) {
	d := open(b, b.TempDir(), nil)
	var files []request.File
	for i := range 20 {
		small, path := testJPEG(b, uint32(i+1)), filepath.Join(b.TempDir(), "picture")
		ok(b, os.WriteFile(path, append(small, bytes.Repeat([]byte{byte(i)}, 10<<20-len(small)-1)...), 0o600))
		f, err := request.FromPath(path)
		ok(b, err)
		files = append(files, f)
	}
	next := 0
	move := func() time.Duration {
		c, err := d.Submit(ctx, notice(fmt.Sprintf("https://example.org/%d.jpg", next)))
		ok(b, err)
		next++
		start := time.Now()
		ok(b, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		return time.Since(start)
	}
	var alone []time.Duration
	for range 60 {
		alone = append(alone, move())
	}
	var beside []time.Duration
	var peak uint64
	var id takedown.CaseID
	for b.Loop() {
		done := make(chan error)
		go func() {
			o := optOut(b, 1)
			o.Images = files
			c, err := d.Submit(ctx, o)
			id = c.ID
			done <- err
		}()
		for running := true; running; {
			select {
			case err := <-done:
				ok(b, err)
				running = false
			default:
				beside = append(beside, move())
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}
	}
	slices.Sort(alone)
	slices.Sort(beside)
	ms := func(t time.Duration) float64 { return float64(t.Microseconds()) / 1000 }
	b.ReportMetric(ms(alone[len(alone)/2]), "alone-p50-ms")
	b.ReportMetric(ms(alone[len(alone)-1]), "alone-max-ms")
	b.ReportMetric(ms(beside[len(beside)/2]), "beside-p50-ms")
	b.ReportMetric(ms(beside[len(beside)*99/100]), "beside-p99-ms")
	b.ReportMetric(ms(beside[len(beside)-1]), "beside-max-ms")
	b.ReportMetric(float64(len(beside)), "moves")
	b.ReportMetric(float64(peak)/(1<<20), "heap-MB")
	start := time.Now()
	c, err := d.Case(ctx, id)
	ok(b, err)
	b.ReportMetric(ms(time.Since(start)), "case-ms")
	if len(request.Images(c.Request)) != 20 {
		b.Fatal("the pictures are not there")
	}
	if s, err := os.ReadFile("/proc/self/status"); err == nil {
		for _, line := range strings.Split(string(s), "\n") {
			if strings.HasPrefix(line, "VmHWM") {
				b.Log(line)
			}
		}
	}
}
