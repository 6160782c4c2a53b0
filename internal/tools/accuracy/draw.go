package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func drawDir() string {
	_, self, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(self), "draw")
}

func drawArgs(o *options, more ...string) []string {
	args := []string{filepath.Join(drawDir(), "draw.py")}
	if o.tools != "" {
		args = append(args, "--tools", o.tools)
	}
	return append(args, more...)
}

// painter is a process of draw.py.
type painter struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// painters are the processes that draw, each for one picture at a time.
type painters struct {
	free  chan *painter
	start func() (*painter, error)
}

// newPainters starts no process yet: a run whose pictures are all there needs
// none.
func newPainters(ctx context.Context, o *options, pool string) (*painters, error) {
	ps := &painters{free: make(chan *painter, o.jobs)}
	for range o.jobs {
		ps.free <- nil
	}
	ps.start = func() (*painter, error) {
		p := &painter{cmd: exec.CommandContext(ctx, o.python, drawArgs(o, "--pool", pool)...)}
		p.cmd.Stderr = os.Stderr
		var err error
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		out, err := p.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		p.out = bufio.NewReader(out)
		return p, p.cmd.Start()
	}
	return ps, nil
}

// draw has a picture drawn, unless it is there.
func (ps *painters) draw(out string, request ...string) (err error) {
	if _, err := os.Stat(out); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	p := <-ps.free
	defer func() { ps.free <- p }()
	if p == nil {
		if p, err = ps.start(); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(p.in, strings.Join(append(request, out), "\t")); err != nil {
		return fmt.Errorf("draw.py: %w", err)
	}
	answer, err := p.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("draw.py: %v: %w", request, err)
	}
	if answer != "ok\n" {
		return fmt.Errorf("draw.py: %v: %s", request, answer)
	}
	return nil
}

func (ps *painters) close() {
	for range cap(ps.free) {
		if p := <-ps.free; p != nil {
			p.in.Close()
			p.cmd.Wait() // its failures were reported as answers
		}
	}
}
