package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// measureRemovals accepts removals, and reports when each was enforced on the last
// node.
func (f *fleet) measureRemovals(ctx context.Context, n int) error {
	var all []accepted
	for range n {
		a, err := f.accept(ctx, "main", f.next())
		if err != nil {
			return err
		}
		all = append(all, a)
		time.Sleep(time.Duration(300+rand.IntN(700)) * time.Millisecond)
	}
	if err := f.wait(ctx, "that all nodes agree", time.Minute, f.converged); err != nil {
		return err
	}
	slowest := make([]time.Duration, len(all))
	for _, name := range f.nodeNames() {
		var seen []arrival
		if err := f.get(ctx, name, "/arrivals", &seen); err != nil {
			return err
		}
		for i, a := range all {
			k := slices.IndexFunc(seen, func(x arrival) bool { return x.Seq >= a.Seq })
			if k < 0 {
				return fmt.Errorf("%s never had event %d", name, a.Seq)
			}
			slowest[i] = max(slowest[i], time.Duration(seen[k].At-a.At))
		}
	}
	slices.Sort(slowest)
	at := func(share float64) time.Duration {
		return slowest[min(int(share*float64(len(slowest))), len(slowest)-1)].Round(100 * time.Microsecond)
	}
	fmt.Printf("%d removals, from the call of Accept until the slowest of %d nodes enforces it: median %v, 99 %% %v, slowest %v\n",
		n, nodes, at(0.5), at(0.99), at(1))
	for _, name := range f.nodeNames() {
		var s []listStatus
		if err := f.get(ctx, name, "/status", &s); err != nil {
			return err
		}
		fmt.Printf("%s loaded %d snapshots and %d deltas with %d bytes, and got %d notes; %d requests found nothing new\n",
			name, s[0].Bases, s[0].Deltas, s[0].Bytes, s[0].Notes, s[0].Unchanged)
	}
	return nil
}

// measureReaders asks a file server for one pointer, as 1,000 readers that do not
// wait.
func (f *fleet) measureReaders(ctx context.Context) error {
	for i := range 20 {
		if err := f.acceptNext(ctx); err != nil {
			return fmt.Errorf("removal %d: %w", i, err)
		}
	}
	time.Sleep(3 * time.Second) // the pointer is some seconds old
	// Only the file server stays: no heartbeat changes the pointer.
	for _, name := range f.names() {
		if name != "files" {
			f.kill(name, syscall.SIGTERM)
		}
	}
	address := "http://" + f.address("files") + "/main/latest"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	resp, err := client.Get(address)
	if err != nil {
		return err
	}
	size, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	f.mu.Lock()
	pid := f.procs["files"].cmd.Process.Pid
	f.mu.Unlock()
	before, err := cpuOf(pid)
	if err != nil {
		return err
	}
	const readers, during = 1000, 10 * time.Second
	var answered, other atomic.Int64
	var work sync.WaitGroup
	limited, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	start := time.Now()
	for range readers {
		work.Go(func() {
			for limited.Err() == nil {
				req, err := http.NewRequestWithContext(limited, http.MethodGet, address, nil)
				if err != nil {
					return
				}
				req.Header.Set("If-None-Match", resp.Header.Get("ETag"))
				r, err := client.Do(req)
				if err != nil {
					continue
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if r.StatusCode == http.StatusNotModified {
					answered.Add(1)
				} else {
					other.Add(1)
				}
			}
		})
	}
	work.Wait()
	took := time.Since(start)
	after, err := cpuOf(pid)
	if err != nil {
		return err
	}
	if answered.Load() == 0 {
		return errors.New("no answer was 304")
	}
	rate := float64(answered.Load()) / took.Seconds()
	used := (after - before).Seconds() / took.Seconds()
	fmt.Printf("a pointer of %d bytes, %d readers: %.0f answers 304 a second, %d others, %.2f processors of the file server, %.0f µs each\n",
		size, readers, rate, other.Load(), used, 1e6*used/rate)
	return nil
}

// cpuOf returns the processor time of a process.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// After the name in parentheses: state is field 3, utime 14, stime 15.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("the time of the process cannot be read")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}
