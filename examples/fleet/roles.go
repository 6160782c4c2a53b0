package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
	natsbell "github.com/staydown/staydown/blocklist/nats"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// keyOf returns the signing key of a list. A real one is random and kept apart.
func keyOf(list string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("example fleet " + list))
	return ed25519.NewKeyFromSeed(seed[:])
}

func subjectOf(list string) string { return "lists." + list }

// listenAndServe serves until ctx ends, then gives requests a moment.
func listenAndServe(ctx context.Context, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		v = map[string]string{"error": err.Error()}
	}
	json.NewEncoder(w).Encode(v)
}

// connect returns a connection to NATS servers that keeps trying.
func connect(urls string) (*nats.Conn, error) {
	return nats.Connect(urls, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(200*time.Millisecond), nats.ReconnectBufSize(-1), nats.Timeout(time.Second))
}

// accepted is the answer to a removal.
type accepted struct {
	Case string `json:"case"`
	Seq  uint64 `json:"seq"` // of the list with its rule
	At   int64  `json:"at"`  // when Accept was called, in nanoseconds since 1970
}

// deskStatus is how a desk stands.
type deskStatus struct {
	Seq       uint64 `json:"seq"`
	Digest    string `json:"digest"`
	Published uint64 `json:"published"`
	Rules     int    `json:"rules"`
	Bell      bool   `json:"bell"` // it is connected
	Error     string `json:"error,omitempty"`
}

// deskRole is a desk with the publisher of its list.
func deskRole(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("desk", flag.ContinueOnError)
	name, dir, out := fs.String("list", "", ""), fs.String("dir", "", ""), fs.String("out", "", "")
	listen, servers := fs.String("listen", "", ""), fs.String("nats", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	key := keyOf(*name)
	dk, err := desk.Open(*dir, &desk.Options{SigningKey: key})
	if err != nil {
		return err
	}
	defer dk.Close()
	var bells []feed.Bell
	connected := func() bool { return false }
	if *servers != "" {
		nc, err := connect(*servers)
		if err != nil {
			return err
		}
		defer nc.Close()
		bells, connected = append(bells, natsbell.NewBell(nc, subjectOf(*name))), nc.IsConnected
		go ensureStream(ctx, nc, *name)
	}
	store, err := feed.NewFolder(*out)
	if err != nil {
		return err
	}
	opts := &feed.PublisherOptions{SigningKey: key, Dir: *dir, Bells: bells, Heartbeat: 5 * time.Second, Grace: time.Minute}
	var publisher atomic.Pointer[feed.Publisher]
	var failed atomic.Pointer[error]
	p, err := feed.NewPublisher(ctx, dk.List(), store, opts)
	if err != nil {
		// The desk goes on taking requests, and says why it does not publish.
		fmt.Fprintln(os.Stderr, "desk:", err)
		failed.Store(&err)
	} else {
		publisher.Store(p)
		var work sync.WaitGroup
		defer work.Wait()
		work.Go(func() {
			if err := p.Run(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "desk:", err)
				failed.Store(&err)
			}
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accept", func(w http.ResponseWriter, r *http.Request) {
		a, err := accept(r.Context(), dk, r.FormValue("url"))
		reply(w, a, err)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		i := dk.List().Info()
		s := deskStatus{Seq: i.Position.Seq, Digest: hex.EncodeToString(i.Position.Digest[:]), Rules: i.Counts.Rules, Bell: connected()}
		if p := publisher.Load(); p != nil {
			s.Published = p.Info().Published.Seq
		}
		if err := failed.Load(); err != nil {
			s.Error = (*err).Error()
		}
		reply(w, s, nil)
	})
	return listenAndServe(ctx, *listen, mux)
}

// ensureStream makes the stream when the servers are there.
func ensureStream(ctx context.Context, nc *nats.Conn, list string) {
	for ctx.Err() == nil {
		s := natsbell.Stream{Name: strings.ToUpper(list), Subject: subjectOf(list), Replicas: 3}
		limited, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := natsbell.EnsureStream(limited, nc, s)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// accept files a request for an address, and grants it as a reviewer would.
func accept(ctx context.Context, dk *desk.Desk, url string) (a accepted, err error) {
	c, err := dk.Submit(ctx, request.DSANotice{
		Requester:   request.Requester{Name: "Example requester", Email: "requester@example.org", Country: "DE"},
		ImageURLs:   []string{url},
		Ground:      request.GroundCopyright,
		Explanation: "The picture is shown without the consent of its owner.",
		GoodFaith:   request.Statement{Text: "I believe in good faith that this notice is accurate and complete.", Accepted: time.Now()},
	})
	if err != nil {
		return a, err
	}
	a = accepted{Case: c.ID.String(), At: time.Now().UnixNano()}
	err = dk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "reviewer-1"}})
	a.Seq = dk.List().State().Seq()
	return a, err
}

// filesRole is a plain file server. It sends a tag with the pointer, as servers do.
func filesRole(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("files", flag.ContinueOnError)
	dir, listen := fs.String("dir", "", ""), fs.String("listen", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	files := http.FileServer(http.Dir(*dir))
	return listenAndServe(ctx, *listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if filepath.Base(r.URL.Path) == "latest" {
			w.Header().Set("Cache-Control", "no-cache")
			if fi, err := os.Stat(filepath.Join(*dir, filepath.Clean("/"+r.URL.Path))); err == nil {
				w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, fi.ModTime().UnixNano(), fi.Size()))
			}
		} else {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		files.ServeHTTP(w, r)
	}))
}

// natsRole is a NATS server of a cluster of three.
func natsRole(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("nats", flag.ContinueOnError)
	name, dir := fs.String("name", "", ""), fs.String("dir", "", "")
	port, cluster, routes := fs.Int("port", 0, ""), fs.Int("cluster", 0, ""), fs.String("routes", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		ServerName: *name, Host: "127.0.0.1", Port: *port, JetStream: true, StoreDir: *dir, NoLog: true, NoSigs: true,
		Cluster: server.ClusterOpts{Name: "fleet", Host: "127.0.0.1", Port: *cluster, NoAdvertise: true},
		Routes:  server.RoutesFromStr(*routes),
	})
	if err != nil {
		return err
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// listStatus is how a list of a node stands.
type listStatus struct {
	List      string  `json:"list"`
	Seq       uint64  `json:"seq"`
	Digest    string  `json:"digest"`
	Lag       uint64  `json:"lag"`
	Age       float64 `json:"age"` // in seconds
	Rules     int     `json:"rules"`
	Notes     uint64  `json:"notes"`
	Bases     uint64  `json:"bases"`
	Deltas    uint64  `json:"deltas"`
	Bytes     uint64  `json:"bytes"`
	Unchanged uint64  `json:"unchanged"`
	Error     string  `json:"error,omitempty"`
	OwnCopy   string  `json:"own_copy,omitempty"`
	Ready     bool    `json:"ready"`
}

// arrivals notes when a list got to which event.
type arrivals struct {
	mu sync.Mutex
	at []arrival
}

type arrival struct {
	Seq uint64 `json:"seq"`
	At  int64  `json:"at"` // in nanoseconds since 1970
}

// Observe implements blocklist.Observer.
func (a *arrivals) Observe(o blocklist.Observation) {
	if (o.Op == blocklist.OpAdvance || o.Op == blocklist.OpReload || o.Op == blocklist.OpOpen) && o.Err == nil {
		now := time.Now().UnixNano()
		a.mu.Lock()
		a.at = append(a.at, arrival{o.Seq, now})
		a.mu.Unlock()
	}
}

// verdict is the answer of a node about an address.
type verdict struct {
	Verdict string `json:"verdict"`
	List    string `json:"list,omitempty"`
	Case    string `json:"case,omitempty"`
}

// nodeRole is what a crawler or a ranker has: two feeds, and an enforcer over both.
func nodeRole(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("node", flag.ContinueOnError)
	dir, listen := fs.String("dir", "", ""), fs.String("listen", "", "")
	files, servers := fs.String("files", "", ""), fs.String("nats", "", "")
	interval := fs.Duration("interval", 5*time.Second, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var nc *nats.Conn
	if *servers != "" {
		var err error
		if nc, err = connect(*servers); err != nil {
			return err
		}
		defer nc.Close()
	}
	follow := func(list string, seen *arrivals) (*feed.Feed, error) {
		o := &feed.Options{
			Dir: filepath.Join(*dir, list), TrustedKeys: []ed25519.PublicKey{keyOf(list).Public().(ed25519.PublicKey)},
			Interval: *interval, Timeout: 3 * time.Second, Observer: seen, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		}
		if nc != nil {
			o.Listeners = []feed.Listener{natsbell.NewListener(nc, subjectOf(list))}
		}
		for { // the first start of a node needs the network
			f, err := feed.Follow(ctx, *files+list+"/", o)
			if err == nil || ctx.Err() != nil {
				return f, err
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	seen := new(arrivals)
	own, err := follow("main", seen)
	if err != nil {
		return err
	}
	defer own.Close()
	industry, err := follow("industry", new(arrivals))
	if err != nil {
		return err
	}
	defer industry.Close()
	e, err := takedown.NewEnforcer([]takedown.ListSource{
		{Name: "main", List: own.List(), Current: own.Current},
		// Others' decisions are looked at before they block, and count in some
		// countries only.
		{Name: "industry", List: industry.List(), Current: industry.Current, Effect: blocklist.EffectReview, Territories: []string{"DE", "FR"}},
	}, &takedown.EnforcerOptions{MaxAge: time.Hour, Stale: takedown.StaleUnknown})
	if err != nil {
		return err
	}
	return listenAndServe(ctx, *listen, nodeHandler(e, seen, own, industry))
}

func nodeHandler(e *takedown.Enforcer, seen *arrivals, feeds ...*feed.Feed) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		var all []listStatus
		for i, l := range e.Info() {
			fi := feeds[i].Info()
			s := listStatus{
				List: l.Name, Seq: l.Position.Seq, Digest: hex.EncodeToString(l.Position.Digest[:]), Lag: fi.Lag, Age: l.Age.Seconds(), Rules: l.Counts.Rules,
				Notes: fi.Notes, Bases: fi.Bases, Deltas: fi.Deltas, Bytes: fi.Bytes, Unchanged: fi.Unchanged, Ready: feeds[i].Ready(time.Minute) == nil,
			}
			if fi.Err != nil {
				s.Error = fi.Err.Error()
			}
			if fi.OwnCopy != nil {
				s.OwnCopy = fi.OwnCopy.Error()
			}
			all = append(all, s)
		}
		reply(w, all, nil)
	})
	mux.HandleFunc("GET /filter", func(w http.ResponseWriter, r *http.Request) {
		d := e.FilterURL(r.FormValue("url"))
		if c := r.FormValue("country"); c != "" {
			d = e.In(c).FilterURL(r.FormValue("url"))
		}
		v := verdict{Verdict: d.Verdict.String(), List: d.List}
		if d.Why != 0 {
			v.Case = d.Case.String()
		}
		reply(w, v, nil)
	})
	mux.HandleFunc("GET /arrivals", func(w http.ResponseWriter, r *http.Request) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		reply(w, seen.at, nil)
	})
	return mux
}
