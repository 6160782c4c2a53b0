package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	nodes   = 6
	servers = 3
)

// fleet is all processes, and the proxies between them.
type fleet struct {
	o           *options
	withoutBell bool
	client      *http.Client

	mu      sync.Mutex
	procs   map[string]*process
	proxies map[string]*proxy // of a node: "node-1 files", "node-1 nats-2"
	ports   map[string]int
	removed []string // addresses whose removal was accepted
	logged  []string
}

// process is a child that can be killed and started again.
type process struct {
	name string
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func newFleet(o *options) (*fleet, error) {
	f := &fleet{
		o: o, client: &http.Client{Timeout: 5 * time.Second},
		procs: map[string]*process{}, proxies: map[string]*proxy{}, ports: map[string]int{},
	}
	names := []string{"desk-main", "desk-industry", "files"}
	for i := range servers {
		names = append(names, fmt.Sprintf("nats-%d", i+1), fmt.Sprintf("cluster-%d", i+1))
	}
	for i := range nodes {
		names = append(names, fmt.Sprintf("node-%d", i+1))
	}
	// All are held until the last is chosen, so that none is chosen twice.
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		f.ports[name] = l.Addr().(*net.TCPAddr).Port
	}
	return f, nil
}

func (f *fleet) address(name string) string { return fmt.Sprintf("127.0.0.1:%d", f.ports[name]) }
func (f *fleet) path(name string) string    { return filepath.Join(f.o.dir, name) }

// start starts everything, and waits until all nodes have their lists.
func (f *fleet) start(ctx context.Context) error {
	var routes []string
	for i := range servers {
		routes = append(routes, "nats://"+f.address(fmt.Sprintf("cluster-%d", i+1)))
	}
	var direct []string
	for i := range servers {
		name := fmt.Sprintf("nats-%d", i+1)
		direct = append(direct, "nats://"+f.address(name))
		f.define(name, "nats", "-name", name, "-dir", f.path(name), "-port", fmt.Sprint(f.ports[name]),
			"-cluster", fmt.Sprint(f.ports[fmt.Sprintf("cluster-%d", i+1)]), "-routes", strings.Join(routes, ","))
	}
	bells := strings.Join(direct, ",")
	if f.withoutBell {
		bells = ""
	}
	for _, list := range []string{"main", "industry"} {
		name := "desk-" + list
		f.define(name, "desk", "-list", list, "-dir", f.path(name), "-out", filepath.Join(f.path("public"), list), "-listen", f.address(name), "-nats", bells)
	}
	f.define("files", "files", "-dir", f.path("public"), "-listen", f.address("files"))
	for i := range nodes {
		if err := f.defineNode(fmt.Sprintf("node-%d", i+1)); err != nil {
			return err
		}
	}
	for _, name := range f.names() {
		if f.withoutBell && strings.HasPrefix(name, "nats-") {
			continue
		}
		if err := f.run(name); err != nil {
			return err
		}
	}
	return f.wait(ctx, "that all nodes have their lists", time.Minute, f.converged)
}

// defineNode gives a node its own way to each server.
func (f *fleet) defineNode(name string) error {
	var bells []string
	for i := range servers {
		server := fmt.Sprintf("nats-%d", i+1)
		p, err := newProxy(f.address(server))
		if err != nil {
			return err
		}
		f.proxies[name+" "+server] = p
		bells = append(bells, "nats://"+p.address())
	}
	p, err := newProxy(f.address("files"))
	if err != nil {
		return err
	}
	f.proxies[name+" files"] = p
	if f.withoutBell {
		bells = nil
	}
	f.define(name, "node", "-dir", f.path(name), "-listen", f.address(name), "-files", "http://"+p.address()+"/",
		"-nats", strings.Join(bells, ","), "-interval", f.o.interval.String())
	return nil
}

func (f *fleet) define(name string, args ...string) { f.procs[name] = &process{name: name, args: args} }

// names returns the names of all processes in the order in which they start.
func (f *fleet) names() []string {
	var all []string
	for i := range servers {
		all = append(all, fmt.Sprintf("nats-%d", i+1))
	}
	all = append(all, "desk-main", "desk-industry", "files")
	for i := range nodes {
		all = append(all, fmt.Sprintf("node-%d", i+1))
	}
	return all
}

func (f *fleet) nodeNames() []string { return f.names()[servers+3:] }

// run starts a process, unless it runs.
func (f *fleet) run(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.procs[name]
	if p.cmd != nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(f.path(name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=256MiB")
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func(done chan struct{}) { cmd.Wait(); close(done) }(p.done)
	return nil
}

// kill ends a process with a signal, and waits for its end.
func (f *fleet) kill(name string, s syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.procs[name]
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(s)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
	p.cmd = nil
}

func (f *fleet) runs(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.procs[name].cmd != nil
}

func (f *fleet) close() {
	for _, name := range f.names() {
		f.kill(name, syscall.SIGTERM)
	}
	for _, p := range f.proxies {
		p.close()
	}
}

// partition cuts a node off from all servers, or ends that.
func (f *fleet) partition(name string, cut bool) {
	for k, p := range f.proxies {
		if strings.HasPrefix(k, name+" ") {
			p.cut(cut)
		}
	}
}

func (f *fleet) isCut(name string) bool { return f.proxies[name+" files"].isCut() }

// get reads JSON from a process.
func (f *fleet) get(ctx context.Context, name, path string, v any) error {
	return f.ask(ctx, http.MethodGet, name, path, v)
}

func (f *fleet) ask(ctx context.Context, method, name, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+f.address(name)+path, nil)
	if err != nil {
		return err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s answers %d: %s", name, resp.StatusCode, text)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// accept has a desk accept a removal.
func (f *fleet) accept(ctx context.Context, list, address string) (a accepted, err error) {
	err = f.ask(ctx, http.MethodPost, "desk-"+list, "/accept?url="+url.QueryEscape(address), &a)
	if err == nil && list == "main" {
		f.mu.Lock()
		f.removed = append(f.removed, address)
		f.mu.Unlock()
	}
	return a, err
}

// converged returns an error unless every node has what the desks have, by digest.
func (f *fleet) converged(ctx context.Context) error {
	for i, list := range []string{"main", "industry"} {
		var d deskStatus
		if err := f.get(ctx, "desk-"+list, "/status", &d); err != nil {
			return err
		}
		if d.Published != d.Seq {
			return fmt.Errorf("desk-%s has published %d of %d events", list, d.Published, d.Seq)
		}
		for _, name := range f.nodeNames() {
			var s []listStatus
			if err := f.get(ctx, name, "/status", &s); err != nil {
				return err
			}
			if n := s[i]; n.Digest != d.Digest || n.Rules != d.Rules || !n.Ready || n.OwnCopy != "" {
				return fmt.Errorf("%s: %s is at %d with %d rules, the desk at %d with %d: %s %s", name, list, n.Seq, n.Rules, d.Seq, d.Rules, n.Error, n.OwnCopy)
			}
		}
	}
	return nil
}

// blocks returns an error unless a node blocks every address whose removal was
// accepted, and no other.
func (f *fleet) blocks(ctx context.Context, name string) error {
	f.mu.Lock()
	removed := append([]string{}, f.removed...)
	f.mu.Unlock()
	for _, a := range append(removed, "https://shop.example/other.jpg") {
		var v verdict
		if err := f.get(ctx, name, "/filter?url="+url.QueryEscape(a), &v); err != nil {
			return err
		}
		if want := a != "https://shop.example/other.jpg"; (v.Verdict == "block") != want {
			return fmt.Errorf("%s answers %s for %s", name, v.Verdict, a)
		}
	}
	return nil
}

// wait waits until a condition holds.
func (f *fleet) wait(ctx context.Context, what string, most time.Duration, holds func(context.Context) error) error {
	deadline := time.Now().Add(most)
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %s: %w%s", most, what, err, f.logs())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// logs returns the ends of what the processes wrote.
func (f *fleet) logs() string {
	var all strings.Builder
	for _, name := range f.names() {
		if b, err := os.ReadFile(f.path(name + ".log")); err == nil && len(b) > 0 {
			fmt.Fprintf(&all, "\n-- %s\n%s", name, b[max(0, len(b)-1500):])
		}
	}
	return all.String()
}

// say tells what happens, on the terminal and on the page.
func (f *fleet) say(format string, args ...any) {
	line := time.Now().Format("15:04:05 ") + fmt.Sprintf(format, args...)
	fmt.Println(line)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logged = append(f.logged, line)
}

// proxy passes connections on, unless it is cut.
type proxy struct {
	l      net.Listener
	target string

	mu    sync.Mutex
	isOut bool
	open  map[net.Conn]bool
}

func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, target: target, open: map[net.Conn]bool{}}
	go p.run()
	return p, nil
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) run() {
	for {
		c, err := p.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go p.pass(c)
	}
}

// pass connects a connection with the target. A cut proxy accepts and is silent, as
// a network without answers.
func (p *proxy) pass(c net.Conn) {
	if !p.keep(c) {
		return
	}
	defer p.drop(c)
	if p.isCut() {
		io.Copy(io.Discard, c)
		return
	}
	t, err := net.DialTimeout("tcp", p.target, 2*time.Second)
	if err != nil || !p.keep(t) {
		return
	}
	defer p.drop(t)
	go func() { io.Copy(t, c); p.drop(t) }()
	io.Copy(c, t)
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *proxy) isCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isOut
}

// cut ends all connections, and passes none on until it is called with false.
func (p *proxy) cut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isOut = cut
	for c := range p.open {
		c.Close()
	}
}

func (p *proxy) close() {
	p.l.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
	p.open = nil
}
