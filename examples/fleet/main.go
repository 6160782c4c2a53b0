// Fleet shows how a removal reaches every machine. One command starts, as
// processes on the loopback interface, two desks that publish their lists, a plain
// file server, three NATS servers and six nodes, and a page to watch them:
//
//	go run .                      # then open the printed address
//	go run . -e2e                 # kills, partitions, damage and a fork, and exits
//	go run . -e2e -kills 100      # the same at length
//	go run . -measure bell        # the figures of docs/fleet.md; also polling, readers
//
// The nodes follow two lists, their own desk's and one of the industry, whose
// matches are only held for review. They reach the file server and NATS through
// proxies, so that each can be cut off.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			err := role(ctx, os.Args[2:])
			asked := ctx.Err() != nil // to end
			stop()
			if err != nil && !asked {
				fmt.Fprintf(os.Stderr, "fleet %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	var o options
	flag.BoolVar(&o.e2e, "e2e", false, "run through failures, check what every node enforces, and exit")
	flag.IntVar(&o.kills, "kills", 12, "random kills, partitions, damaged and withheld files of -e2e")
	flag.StringVar(&o.measure, "measure", "", "measure and exit: polling, bell or readers")
	flag.IntVar(&o.removals, "removals", 100, "removals of -measure")
	flag.DurationVar(&o.interval, "interval", 5*time.Second, "how often nodes request the pointer")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the page; loopback only")
	flag.StringVar(&o.dir, "dir", "", "folder for all data; a temporary one if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

type options struct {
	e2e      bool
	kills    int
	measure  string
	removals int
	interval time.Duration
	listen   string
	dir      string
}

// roles are the processes of the fleet.
var roles = map[string]func(ctx context.Context, args []string) error{
	"desk": deskRole, "files": filesRole, "nats": natsRole, "node": nodeRole,
}

func run(ctx context.Context, o *options) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "fleet-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	if o.e2e {
		o.interval = min(o.interval, 500*time.Millisecond)
	}
	f, err := newFleet(o)
	if err != nil {
		return err
	}
	defer f.close()
	if o.measure == "polling" {
		f.withoutBell = true
	}
	if err := f.start(ctx); err != nil {
		return err
	}
	switch {
	case o.e2e:
		return f.scenario(ctx, o.kills)
	case o.measure == "readers":
		return f.measureReaders(ctx)
	case o.measure != "":
		return f.measureRemovals(ctx, o.removals)
	}
	return f.serve(ctx, o.listen)
}
