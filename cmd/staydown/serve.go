package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/staydown/staydown/takedown"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// serveCmd answers over HTTP.
type serveCmd struct {
	listFlags
	Addr       string        `help:"Where to listen." default:"127.0.0.1:9876"`
	Tokens     string        `help:"A file with the tokens of callers, one in each line: NAME TOKEN, or NAME sha256:HEX. Without it everybody who reaches the address is answered." type:"existingfile" placeholder:"FILE"`
	Open       bool          `help:"Listen on an address that other machines reach without --tokens."`
	FetchHost  []string      `help:"Hosts (with those below them) whose pictures may be fetched for url=. Without it, url= is refused. Private networks are never asked." placeholder:"HOST" name:"fetch-host"`
	MaxBytes   int64         `help:"The longest file that is read." default:"67108864"`
	Parallel   int           `help:"How many files are decoded at a time; 0 is one for each core. More wait." default:"0"`
	Waiting    int           `help:"How many requests may be answered or wait at a time; more are refused with 503." default:"256"`
	Reload     time.Duration `help:"How often files of lists are looked at for a newer state." default:"10s"`
	Restricted []string      `help:"Lists whose rule and case are not named to callers, such as child safety. Sources that were imported with --restricted are treated so by themselves." placeholder:"NAME"`

	private  bool           // pictures of private networks may be fetched; for tests
	listener func(net.Addr) // for tests
}

// Help is shown below the usage.
func (serveCmd) Help() string {
	return `For programs in other languages. GET /openapi.json describes all calls; the most useful ones:

  GET  /v1/check?url=…&hash=…&country=DE   is it blocked, by which rule and case
  POST /v1/check      a picture as the body, or {"url":…,"hashes":[…]}, or {"items":[…]}
  POST /v1/upload     a picture or a form: 200 keep it, 202 hold it for review, 451 refuse it
  GET  /v1/lists      number, age and size of each list
  GET  /metrics, /healthz, /readyz

and the calls of hasher-matcher-actioner, for programs that speak to it: /h/hash, /m/lookup, /m/raw_lookup, /m/compare,
/m/index/status, /status, /c/banks, /c/bank/NAME. A bank is a list (its name in upper case), a bank_content_id is the
number of a rule, and only what blocks is returned. Banks cannot be changed by these calls: see import.

  staydown serve --list MAIN=blocklist.snap --trust list.key.pub --fetch-host cdn.example.com
  curl --data-binary @photo.jpg http://127.0.0.1:9876/v1/upload

The server stops on SIGTERM and SIGINT, when it has answered the requests that it has.`
}

//go:embed openapi.json
var openAPI []byte

// server is what the handlers share.
type server struct {
	c          *serveCmd
	e          *takedown.Enforcer
	lists      []takedown.ListSource
	fetch      *fetcher
	opts       *takedown.InspectOptions
	tokens     map[[32]byte]string
	restricted map[string]bool              // lists
	hidden     map[string][]takedown.CaseID // cases of imported sources, by list
	slots      chan struct{}
	log        *slog.Logger
	stopping   atomic.Bool

	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	verdicts *prometheus.CounterVec
	busy     prometheus.Counter
}

func (c *serveCmd) Run(a *app) error {
	e, lists, err := c.enforcer(a.ctx)
	if err != nil {
		return err
	}
	defer closeLists(lists)
	s, err := c.server(e, lists)
	if err != nil {
		return err
	}
	s.log = slog.New(slog.NewTextHandler(a.errOut, nil))
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	if at := l.Addr().(*net.TCPAddr); !at.IP.IsLoopback() && c.Tokens == "" && !c.Open {
		l.Close()
		return usagef("%s can be reached from other machines: give --tokens, or --open if something in front checks callers", l.Addr())
	}
	srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, WriteTimeout: 3 * time.Minute, IdleTimeout: time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	go s.reload(ctx)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	s.log.Info("serving", "addr", l.Addr().String(), "lists", len(lists))
	if c.listener != nil {
		c.listener(l.Addr())
	}
	select {
	case err := <-failed:
		return err
	case <-a.ctx.Done():
	}
	s.stopping.Store(true) // /readyz says so, before the listener closes
	stop, done := context.WithTimeout(context.WithoutCancel(a.ctx), 30*time.Second)
	defer done()
	err = srv.Shutdown(stop)
	s.log.Info("stopped")
	return err
}

// server makes a server, without listening.
func (c *serveCmd) server(e *takedown.Enforcer, lists []takedown.ListSource) (*server, error) {
	s := &server{c: c, e: e, lists: lists, restricted: map[string]bool{}, hidden: map[string][]takedown.CaseID{}, slots: make(chan struct{}, max(1, c.Waiting)), log: slog.New(slog.DiscardHandler)}
	hosts := []string{}
	for _, h := range c.FetchHost {
		hosts = append(hosts, strings.ToLower(strings.TrimSpace(h)))
	}
	s.fetch = newFetcher(fetchOptions{hosts: hosts, private: c.private, bytes: c.MaxBytes})
	parallel := c.Parallel
	if parallel <= 0 {
		parallel = runtime.NumCPU()
	}
	s.opts = &takedown.InspectOptions{Decode: decoding(), Slots: make(chan struct{}, parallel)}
	var err error
	if s.tokens, err = readTokens(c.Tokens); err != nil {
		return nil, err
	}
	for _, name := range c.Restricted {
		if listOf(lists, name) == nil {
			return nil, usagef("--restricted: no list is called %s", name)
		}
		s.restricted[name] = true
	}
	for i, text := range c.List {
		_, path := cutName(text)
		sources, err := readImports(path)
		if err != nil && isDir(path) {
			return nil, err
		}
		for _, x := range sources {
			if x.Restricted {
				s.hidden[lists[i].Name] = append(s.hidden[lists[i].Name], x.Case)
			}
		}
	}
	s.measure()
	return s, nil
}

// readTokens reads the file of --tokens. Only digests are kept.
func readTokens(path string) (map[[32]byte]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tokens := map[[32]byte]string{}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		fields := strings.Fields(sc.Text())
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		if len(fields) != 2 || len(fields[1]) < 16 {
			return nil, fmt.Errorf("%s: line %d: a name and a token of at least 16 characters are expected", path, n)
		}
		sum := sha256.Sum256([]byte(fields[1]))
		if text, ok := strings.CutPrefix(fields[1], "sha256:"); ok {
			b, err := hex.DecodeString(text)
			if err != nil || len(b) != 32 {
				return nil, fmt.Errorf("%s: line %d: after sha256: there have to be 64 hexadecimal digits", path, n)
			}
			sum = [32]byte(b)
		}
		tokens[sum] = fields[0]
	}
	if sc.Err() == nil && len(tokens) == 0 {
		return nil, fmt.Errorf("%s has no token", path)
	}
	return tokens, sc.Err()
}

// reload looks for newer states of the lists.
func (s *server) reload(ctx context.Context) {
	if s.c.Reload <= 0 {
		return
	}
	t := time.NewTicker(s.c.Reload)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, l := range s.lists {
			if l.List.Writable() || l.Current != nil {
				continue
			}
			if changed, err := l.List.Reload(); err != nil {
				s.log.Error("a list was not reloaded; the old one stays in force", "list", l.Name, "err", err)
			} else if changed {
				s.log.Info("list reloaded", "list", l.Name, "seq", l.List.State().Seq())
			}
		}
	}
}

// measure makes the metrics.
func (s *server) measure() {
	s.registry = prometheus.NewRegistry()
	s.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "staydown_request_seconds", Help: "Time to answer, by call and status.",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10}}, []string{"call", "status"})
	s.verdicts = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "staydown_verdicts_total", Help: "Answers about pictures and addresses."}, []string{"verdict"})
	s.busy = prometheus.NewCounter(prometheus.CounterOpts{Name: "staydown_refused_busy_total", Help: "Requests that were refused because too many were waiting."})
	s.registry.MustRegister(s.requests, s.verdicts, s.busy, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for i, l := range s.lists {
		label := prometheus.Labels{"list": l.Name}
		gauge := func(name, help string, f func(takedown.ListInfo) float64) {
			s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: label}, func() float64 { return f(s.e.Info()[i]) }))
		}
		gauge("staydown_list_seq", "Number of the last event of the list.", func(i takedown.ListInfo) float64 { return float64(i.Position.Seq) })
		gauge("staydown_list_rules", "Rules of the list.", func(i takedown.ListInfo) float64 { return float64(i.Counts.Rules) })
		gauge("staydown_list_age_seconds", "Age of the list; 0 for one that is always up to date.", func(i takedown.ListInfo) float64 { return i.Age.Seconds() })
		gauge("staydown_list_failing", "Operations of the list whose last run failed.", func(i takedown.ListInfo) float64 { return float64(len(i.Failing)) })
	}
}

// apiError is an answer other than 2xx.
type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string { return e.text }

func apiErrorf(status int, format string, args ...any) error {
	return &apiError{status, fmt.Sprintf(format, args...)}
}

// apiCall is a handler that returns the object to answer with.
type apiCall func(w http.ResponseWriter, r *http.Request) (any, error)

// handler is all calls.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	calls := map[string]apiCall{
		"GET /h/hash": s.hmaHash, "POST /h/hash": s.hmaHash,
		"GET /m/lookup": s.hmaLookup, "POST /m/lookup": s.hmaLookup, "GET /m/raw_lookup": s.hmaRawLookup, "POST /m/compare": s.hmaCompare,
		"GET /m/index/status": s.hmaIndexStatus, "GET /c/banks": s.hmaBanks, "GET /c/bank/{bank}": s.hmaBank, "GET /c/bank/{bank}/content/{id}": s.hmaContent,
		"GET /c/exchanges": s.hmaExchanges,
		"GET /v1/check":    s.check, "POST /v1/check": s.check, "GET /v1/lists": s.listInfo,
	}
	for pattern, f := range calls {
		mux.Handle(pattern, s.answer(pattern, f))
	}
	for _, pattern := range []string{"POST /c/banks", "PUT /c/bank/{bank}", "DELETE /c/bank/{bank}", "POST /c/bank/{bank}/content", "POST /c/bank/{bank}/signal", "PUT /c/bank/{bank}/content/{id}", "DELETE /c/bank/{bank}/content/{id}"} {
		mux.Handle(pattern, s.answer(pattern, func(http.ResponseWriter, *http.Request) (any, error) {
			return nil, apiErrorf(http.StatusForbidden, "banks are lists, which this service does not change: use staydown import, or a desk")
		}))
	}
	upload := &takedownhttp.Uploads{Enforcer: s.e, Inspect: s.opts, MaxBytes: s.c.MaxBytes, Status: s.uploadStatus, Refused: s.uploadRefused, Next: http.HandlerFunc(s.uploadKept)}
	mux.Handle("POST /v1/upload", s.answer("POST /v1/upload", func(w http.ResponseWriter, r *http.Request) (any, error) {
		upload.ServeHTTP(w, r)
		return nil, nil
	}))
	free := http.NewServeMux()
	free.Handle("/", s.guard(mux))
	free.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	free.HandleFunc("GET /status/live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "I-AM-ALIVE") })
	free.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { s.ready(w, "I-AM-ALIVE", "INDEX-STALE") })
	free.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { s.ready(w, "ready", "not ready") })
	free.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(openAPI)
	})
	free.Handle("GET /metrics", s.guardToken(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})))
	return free
}

// ready answers whether the lists can be relied on.
func (s *server) ready(w http.ResponseWriter, yes, no string) {
	ok := !s.stopping.Load()
	for _, i := range s.e.Info() {
		ok = ok && !i.Closed && (s.c.MaxAge <= 0 || i.Age <= s.c.MaxAge)
	}
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		yes = no
	}
	fmt.Fprintln(w, yes)
}

// guardToken lets only callers with a token pass.
func (s *server) guardToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.tokens != nil && !s.known(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeJSON(w, http.StatusUnauthorized, message{"a token is required: Authorization: Bearer …"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// known reports whether a request has a token.
func (s *server) known(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum, found := sha256.Sum256([]byte(strings.TrimSpace(token))), 0
	for t := range s.tokens {
		found |= subtle.ConstantTimeCompare(t[:], sum[:])
	}
	return ok && found == 1
}

// guard checks the token, and keeps the number of requests bounded.
func (s *server) guard(next http.Handler) http.Handler {
	return s.guardToken(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
			next.ServeHTTP(w, r)
		default:
			s.busy.Inc()
			w.Header().Set("Retry-After", "1")
			writeJSON(w, http.StatusServiceUnavailable, message{"too many requests are waiting"})
		}
	}))
}

// message is an error of hasher-matcher-actioner's form.
type message struct {
	Message string `json:"message"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answer makes a handler of a call.
func (s *server) answer(name string, f apiCall) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, sw := time.Now(), &statusWriter{ResponseWriter: w}
		r.Body = http.MaxBytesReader(sw, r.Body, s.c.MaxBytes+1<<20)
		v, err := f(sw, r)
		var api *apiError
		var tooBig *http.MaxBytesError
		switch {
		case errors.As(err, &api):
			writeJSON(sw, api.status, message{api.text})
		case errors.As(err, &tooBig), errors.Is(err, errTooLong), errors.Is(err, takedownhttp.ErrTooLong):
			writeJSON(sw, http.StatusRequestEntityTooLarge, message{"longer than the limit"})
		case err != nil && r.Context().Err() == nil:
			s.log.Error("a request failed", "call", name, "err", err)
			writeJSON(sw, http.StatusInternalServerError, message{"not answered"})
		case v != nil:
			writeJSON(sw, http.StatusOK, v)
		}
		s.requests.WithLabelValues(name, fmt.Sprint(max(sw.status, 200))).Observe(time.Since(start).Seconds())
	})
}

// hides reports whether the rule of a decision is not named to callers.
func (s *server) hides(d *takedown.Decision) bool {
	return s.restricted[d.List] || slices.Contains(s.hidden[d.List], d.Case)
}

// shown is a decision as callers see it.
func (s *server) shown(d takedown.Decision) takedown.Decision {
	s.verdicts.WithLabelValues(d.Verdict.String()).Inc()
	if d.Why != 0 && s.hides(&d) {
		return takedown.Decision{Verdict: d.Verdict, Checked: d.Checked, Why: d.Why, List: d.List}
	}
	return d
}

// listInfo is the answer of /v1/lists.
func (s *server) listInfo(http.ResponseWriter, *http.Request) (any, error) {
	var out []any
	for _, i := range s.e.Info() {
		out = append(out, map[string]any{"name": i.Name, "id": hex.EncodeToString(i.ID[:]), "seq": i.Position.Seq, "digest": hex.EncodeToString(i.Position.Digest[:]),
			"counts": i.Counts, "age_seconds": i.Age.Seconds(), "closed": i.Closed, "failing": i.Failing})
	}
	return map[string]any{"lists": out}, nil
}
