package takedownhttp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// drawing makes a picture with detail, another one for each seed.
func drawing(t *testing.T, seed int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 256, 192))
	for y := range 192 {
		for x := range 256 {
			v := uint8((x*x/(7+seed) + y*y/(5+2*seed) + x*y/(31+seed)) % 251)
			img.SetNRGBA(x, y, color.NRGBA{v, v / 2, 255 - v, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// files makes an enforcer that blocks one file and holds another.
func files(t *testing.T, blocked, held []byte) *takedown.Enforcer {
	t.Helper()
	l, err := blocklist.New(blocklist.NewMemoryJournal(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for i, data := range [][]byte{blocked, held} {
		if _, err := l.Append(context.Background(), blocklist.Event{ID: [16]byte{byte(i + 1)}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Kind: 1, Scope: blocklist.ScopeBytes, Effect: blocklist.Effect(i + 1), Case: [16]byte{1}, Keys: blocklist.Keys{Bytes: [][32]byte{sha256.Sum256(data)}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// form makes a multipart body with a field and some files.
func form(t *testing.T, files ...[]byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("title", "a picture")
	for i, f := range files {
		part, err := w.CreateFormFile(fmt.Sprint("file", i), "a.png")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(f)
	}
	w.Close()
	return b.Bytes(), w.FormDataContentType()
}

func TestUploads(t *testing.T) {
	t.Parallel()
	blocked, held, free := drawing(t, 1), drawing(t, 2), drawing(t, 3)
	big := append(bytes.Clone(free), make([]byte, 3<<20)...) // goes to disk
	e, dir := files(t, blocked, held), t.TempDir()
	var stored []byte
	var seen takedown.Decision
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if stored, err = io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		seen = takedownhttp.DecisionOf(r.Context())
		w.WriteHeader(http.StatusCreated)
	})
	u := &takedownhttp.Uploads{Enforcer: e, Next: next, Dir: dir, MaxBytes: 5 << 20, MaxFiles: 3}
	strict := &takedownhttp.Uploads{Enforcer: e, Next: next, Dir: dir, Status: func(d takedown.Decision) int {
		if d.Verdict == takedown.Review {
			return http.StatusAccepted
		}
		return takedownhttp.DefaultStatus(d)
	}, Refused: func(w http.ResponseWriter, _ *http.Request, status int, d takedown.Decision) {
		w.WriteHeader(status)
		fmt.Fprint(w, d.Rule)
	}}
	server := httptest.NewServer(u)
	defer server.Close()
	reviewing := httptest.NewServer(strict)
	defer reviewing.Close()
	oneFile, oneType := form(t, free)
	badFile, badType := form(t, free, blocked)
	heldFile, heldType := form(t, held, free)
	many, manyType := form(t, free, free, free, free)
	none, noneType := form(t)
	for _, x := range []struct {
		name, url, contentType string
		body                   []byte
		status                 int
		verdict                takedown.Verdict
	}{
		{"free", server.URL, "image/png", free, 201, takedown.Allow},
		{"blocked", server.URL, "image/png", blocked, 451, 0},
		{"blocked without a type", server.URL, "", blocked, 451, 0},
		{"held", server.URL, "image/png", held, 201, takedown.Review},
		{"held, strict", reviewing.URL, "image/png", held, 202, 0},
		{"big", server.URL, "image/png", big, 201, takedown.Allow},
		{"too big", server.URL, "image/png", append(big, make([]byte, 3<<20)...), 413, 0},
		{"form", server.URL, oneType, oneFile, 201, takedown.Allow},
		{"blocked in a form", server.URL, badType, badFile, 451, 0},
		{"held in a form", server.URL, heldType, heldFile, 201, takedown.Review},
		{"too many files", server.URL, manyType, many, 400, 0},
		{"no files", server.URL, noneType, none, 201, 0},
		{"cut off", server.URL, oneType, oneFile[:len(oneFile)-40], 400, 0},
		{"no boundary", server.URL, "multipart/form-data", oneFile, 400, 0},
		{"empty", server.URL, "image/png", nil, 201, 0},
		{"text", server.URL, "text/plain", []byte("hello"), 201, takedown.Allow},
		{"not decodable", server.URL, "image/png", free[:30], 201, takedown.Review},
	} {
		stored, seen = nil, takedown.Decision{}
		resp, err := http.Post(x.url, x.contentType, bytes.NewReader(x.body))
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != x.status || x.status == 201 && (!bytes.Equal(stored, x.body) || seen.Verdict != x.verdict) || x.status != 201 && stored != nil {
			t.Errorf("%s: %d %s, stored %d of %d bytes, %v", x.name, resp.StatusCode, answer, len(stored), len(x.body), seen)
		}
		if x.status == 202 && string(answer) != "2" {
			t.Errorf("%s: %s", x.name, answer)
		}
	}
	// Chunked, without a length.
	req, err := http.NewRequest("PUT", server.URL, struct{ io.Reader }{bytes.NewReader(append(big, make([]byte, 3<<20)...))})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("chunked: %d", resp.StatusCode)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A blocked picture does not reach the caller, neither at its address nor behind a
// redirect, and what is free arrives unchanged.
func TestTransport_Images(t *testing.T) {
	t.Parallel()
	blocked, held, free := drawing(t, 1), drawing(t, 2), drawing(t, 3)
	big := append(bytes.Clone(free), make([]byte, 3<<20)...)
	mux := http.NewServeMux()
	for path, data := range map[string][]byte{"/blocked": blocked, "/held": held, "/free": free, "/big": big, "/text": []byte("text")} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
	}
	mux.HandleFunc("GET /lying", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write(blocked)
	})
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/blocked", http.StatusFound) })
	mux.HandleFunc("GET /cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(free)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	dir := t.TempDir()
	e := files(t, blocked, held)
	own := &http.Transport{}
	defer own.CloseIdleConnections()
	client := &http.Client{Transport: &takedownhttp.Transport{Enforcer: e, Images: e, Next: own, MaxBytes: 4 << 20, Dir: dir}}
	for path, want := range map[string][]byte{"/blocked": nil, "/lying": nil, "/moved": nil, "/held": held, "/free": free, "/big": big, "/text": []byte("text")} {
		resp, err := client.Get(server.URL + path)
		var refused *takedownhttp.BlockedError
		if want == nil {
			if !errors.As(err, &refused) || refused.Decision.Rule != 1 {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
	if resp, err := client.Get(server.URL + "/cut"); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("cut off: %v, %v", resp, err)
	}
	small := &http.Client{Transport: &takedownhttp.Transport{Enforcer: e, Images: e, Next: own, MaxBytes: 1 << 10}}
	if _, err := small.Get(server.URL + "/free"); !errors.Is(err, takedownhttp.ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A list that cannot answer lets no upload pass.
func TestUploads_ClosedList(t *testing.T) {
	t.Parallel()
	l, err := blocklist.New(blocklist.NewMemoryJournal(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	passed := false
	u := &takedownhttp.Uploads{Enforcer: e, Next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })}
	body, contentType := form(t, drawing(t, 1))
	for _, x := range []struct {
		contentType string
		body        []byte
	}{{"image/png", drawing(t, 1)}, {contentType, body}} {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(x.body))
		r.Header.Set("Content-Type", x.contentType)
		w := httptest.NewRecorder()
		u.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || passed {
			t.Errorf("%s: status %d, passed %t", x.contentType, w.Code, passed)
		}
	}
}
