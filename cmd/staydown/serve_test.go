package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/phash"
)

// start runs a server and returns its address and a function that stops it.
func start(t *testing.T, c *serveCmd) (base string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	at, ended := make(chan net.Addr, 1), make(chan error, 1)
	c.listener = func(a net.Addr) { at <- a }
	var log bytes.Buffer
	go func() { ended <- c.Run(&app{cli: new(cli), ctx: ctx, out: &log, errOut: &log}) }()
	select {
	case a := <-at:
		base = "http://" + a.String()
	case err := <-ended:
		t.Fatal(err)
	}
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return base, stop
}

// pictures serves pictures to be fetched.
func pictures(t *testing.T, copied []byte) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /copy.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(copied) })
	mux.HandleFunc("GET /text", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("text")) })
	mux.HandleFunc("GET /away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/x", http.StatusFound)
	})
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("\xff\xd8\xff\xe0"))
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// A client in Python finds every call as it is described.
func TestServe(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	dir := makeList(t)
	snap, _ := signed(t, dir)
	dogs, tmp := photo(t, "dogs.jpg"), t.TempDir()
	tokens := filepath.Join(tmp, "tokens")
	if err := os.WriteFile(tokens, []byte("# callers\npython 0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	img, err := imaging.Open(dogs)
	if err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(tmp, "small.jpg")
	save(t, small, imaging.Resize(img, 300, 0, imaging.Linear), 70)
	copied, err := os.ReadFile(small)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dogs)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pic, err := phash.Decode(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := pic.PDQ()
	base, stop := start(t, &serveCmd{listFlags: listFlags{List: []string{"main=" + snap}, MaxAge: time.Hour}, Addr: "127.0.0.1:0", Tokens: tokens,
		FetchHost: []string{"127.0.0.1"}, MaxBytes: 1 << 20, Waiting: 50, Reload: 50 * time.Millisecond, private: true})
	cmd := exec.CommandContext(t.Context(), python, "testdata/client.py", base, "0123456789abcdef", dogs, photo(t, "beach5.jpg"), hexOf(hash), pictures(t, copied))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "all as expected") {
		t.Fatalf("%v\n%s", err, out)
	}

	// A removal on the desk is answered without a restart.
	l, err := boltjournal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Digest(blocklist.ImageAddress, "https://example.com/new.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), blocklist.Event{ID: [16]byte{50}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 1,
		Case: testCase, Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}}}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Publish(snap); err != nil {
		t.Fatal(err)
	}
	l.Close()
	get := func(path string) string {
		req, err := http.NewRequest("GET", base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer 0123456789abcdef")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		return b.String()
	}
	for range 200 {
		if strings.Contains(get("/v1/check?url=https://example.com/new.jpg"), `"block"`) {
			stop()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the new state of the list was not loaded")
}

// What a source marks as restricted blocks without a name.
func TestServe_Restricted(t *testing.T) {
	t.Parallel()
	a := strings.Repeat("5a", 32)
	dir := filepath.Join(t.TempDir(), "l")
	call(t, 0, "import", dir, write(t, "a.txt", a+"\n"), "--source", "safety", "--format", "pdq", "--effect", "block", "--restricted")
	base, _ := start(t, &serveCmd{listFlags: listFlags{List: []string{"safety=" + dir}}, Addr: "127.0.0.1:0", MaxBytes: 1 << 20, Waiting: 5})
	for path, want := range map[string]string{
		"/v1/check?hash=" + a:                           `{"decision":{"verdict":"block","checked":"hash","why":"hash","list":"safety"`,
		"/m/lookup?signal_type=pdq&signal=" + a:         `{"SAFETY":[{"bank_content_id":0,"distance":"0"}]}`,
		"/c/bank/SAFETY/content/1":                      "no such content",
		"/h/hash?url=" + "http%3A%2F%2Fexample.com%2Fa": "--fetch-host",
	} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		resp.Body.Close()
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), `"case"`) || strings.Contains(b.String(), `"rule"`) {
			t.Errorf("%s: %s", path, b.String())
		}
	}
}

func TestServe_Refuses(t *testing.T) {
	t.Parallel()
	dir := makeList(t)
	call(t, 2, "serve", "-l", dir, "--addr", "0.0.0.0:0")
	call(t, 1, "serve", "-l", dir, "--addr", "127.0.0.1:0", "--tokens", "main.go")
	call(t, 1, "serve", "-l", dir, "--addr", "nonsense")
	call(t, 2, "serve", "-l", dir, "--addr", "127.0.0.1:0", "--restricted", "other")
	call(t, 1, "serve", "-l", "no-such-list", "--addr", "127.0.0.1:0")
}

// Without private set, no address of a private network is dialled, however it is
// written.
func TestIsPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"127.0.0.1": false, "10.1.2.3": false, "192.168.1.1": false, "172.16.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false,
		"::1": false, "::": false, "fe80::1": false, "fc00::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "224.0.0.1": false, "ff02::1": false,
		"93.184.216.34": true, "2606:4700::1111": true,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private network was asked") }))
	defer server.Close()
	if _, err := newFetcher(fetchOptions{}).inspect(t.Context(), server.URL+"/a.jpg"); err == nil || !strings.Contains(err.Error(), "private network") {
		t.Errorf("%v", err)
	}
	call(t, 1, "check", "-l", makeList(t), "--fetch", server.URL+"/a.jpg")
}
