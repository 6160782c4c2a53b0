// Intake is a complete takedown service in one program: the pages on which people
// ask for removals, in English and Thai, the console on which reviewers decide,
// and a mailbox that shows the letters. It is package web on a desk.
//
//	go run ./examples/intake
//
// Then open http://localhost:8080. Reviewers are at /desk/, as alice, bob or carol
// with the password "demonstration"; a few cases are waiting. The pictures of the
// quickstart serve as the index in which a preview looks. Letters are not sent but
// shown at /mailbox. The data is in a temporary folder unless -dir names one; with
// -postgres, cases and rules are in a PostgreSQL database, and the folder has keys and
// snapshots.
package main

import (
	"context"
	"crypto/rand"
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

type config struct {
	listen, dir, photos, password string
	postgres                      string
	seed                          bool
}

func main() {
	var c config
	flag.StringVar(&c.listen, "listen", "localhost:8080", "address to listen on")
	flag.StringVar(&c.dir, "dir", "", "folder of the desk; a temporary one by default")
	flag.StringVar(&c.photos, "photos", "", "folder of pictures that serve as the index; those of examples/quickstart by default")
	flag.StringVar(&c.password, "password", "demonstration", "password of the reviewers alice, bob and carol, of 10 characters or more")
	flag.StringVar(&c.postgres, "postgres", "", "PostgreSQL for cases and rules, such as postgres://user@localhost/staydown; needs -dir")
	flag.BoolVar(&c.seed, "seed", true, "begin with a few cases, when the folder is new")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c, func(addr string) {
		fmt.Printf("for people:    http://%s/\nfor reviewers: http://%s/desk/ (alice, bob or carol)\nletters:       http://%s/mailbox\n", addr, addr, addr)
	}); err != nil {
		fmt.Fprintln(os.Stderr, "intake:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It calls ready with the address.
func run(ctx context.Context, c config, ready func(addr string)) (err error) {
	if c.postgres != "" && c.dir == "" {
		return errors.New("-postgres needs -dir: the keys of the cases have to stay")
	}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "staydown-intake-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	}
	if c.photos == "" {
		_, file, _, _ := runtime.Caller(0)
		c.photos = filepath.Join(filepath.Dir(file), "..", "quickstart", "photos")
	}
	l, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := newService(ctx, c, "http://"+l.Addr().String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if c.seed {
		if err := s.seed(ctx); err != nil {
			return err
		}
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

// keyOf is the key of the pages, which lies beside the desk: the links of letters
// work after a restart.
func keyOf(dir string) ([]byte, error) {
	path := filepath.Join(dir, "web.key")
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		key = make([]byte, 32)
		rand.Read(key)
		err = os.WriteFile(path, key, 0o600)
	}
	return key, err
}
