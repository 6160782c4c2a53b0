// Intake is a small web server with the forms by which people ask for removals,
// in English and Thai, and the pages on which reviewers decide: everything goes
// through a desk.Desk.
//
//	go run ./examples/intake
//
// Then open http://localhost:8080. Reviewers are at /desk/, as alice, bob or
// carol with the password "demo"; the pictures of the quickstart serve as the
// index in which a preview looks. Messages are not sent but shown at
// /desk/messages. The data is in a temporary folder unless -dir names one.
//
// It is an example: a real service has users of its own, sends email, and limits
// how often somebody may ask.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "address to listen on")
	dir := flag.String("dir", "", "folder of the desk; a temporary one by default")
	photos := flag.String("photos", "", "folder of pictures that serve as the index; those of examples/quickstart by default")
	password := flag.String("password", "demo", "password of the reviewers alice, bob and carol")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *dir, *photos, *password, func(addr string) { fmt.Printf("listening on http://%s\n", addr) }); err != nil {
		fmt.Fprintln(os.Stderr, "intake:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It calls ready with the address.
func run(ctx context.Context, listen, dir, photos, password string, ready func(addr string)) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "staydown-intake-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if photos == "" {
		_, file, _, _ := runtime.Caller(0)
		photos = filepath.Join(filepath.Dir(file), "..", "quickstart", "photos")
	}
	s, err := newServer(dir, photos, map[string]string{"alice": password, "bob": password, "carol": password})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Minute, WriteTimeout: 5 * time.Minute, IdleTimeout: time.Minute,
	}
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		srv.Shutdown(end)
	}()
	ready(l.Addr().String())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
