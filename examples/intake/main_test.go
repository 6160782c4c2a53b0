package main

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// some is a folder with a few of the photos: reading all takes its time.
func some(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"dogs.jpg", "beach5.jpg", "city4.jpg"} {
		b, err := os.ReadFile(filepath.Join("../quickstart/photos", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The program starts with cases that wait, people and reviewers find their pages,
// and letters are in the mailbox. What is there stays after a restart, and is not
// made twice.
func TestRun(t *testing.T) {
	t.Parallel()
	walk(t, config{listen: "localhost:0", dir: t.TempDir(), photos: some(t), password: "demonstration", seed: true})
}

// The same with cases and rules in PostgreSQL. STAYDOWN_POSTGRES names an empty
// database, such as "user=staydown dbname=postgres host=/run/postgresql".
func TestRun_Postgres(t *testing.T) {
	t.Parallel()
	db := os.Getenv("STAYDOWN_POSTGRES")
	if db == "" {
		t.Skip("STAYDOWN_POSTGRES is not set")
	}
	walk(t, config{listen: "localhost:0", dir: t.TempDir(), photos: some(t), password: "demonstration", seed: true, postgres: db})
	if err := run(t.Context(), config{listen: "localhost:0", postgres: db}, func(string) {}); err == nil {
		t.Error("without a folder for the keys: no error")
	}
}

// walk starts the program twice and looks at its pages.
func walk(t *testing.T, c config) {
	t.Helper()
	for range 2 {
		ctx, stop := context.WithCancel(context.Background())
		addr, done := make(chan string, 1), make(chan error, 1)
		go func() { done <- run(ctx, c, func(a string) { addr <- "http://" + a }) }()
		var base string
		select {
		case base = <-addr:
		case err := <-done:
			t.Fatal(err)
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar}
		get := func(path string) string {
			t.Helper()
			resp, err := client.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if page := get("/?lang=th"); !strings.Contains(page, "ท่านต้องการให้สิ่งใดไม่แสดงอีกต่อไป") {
			t.Errorf("the first page:\n%s", page)
		}
		if page := get("/desk/?lang=en"); !strings.Contains(page, "Log in") {
			t.Errorf("the console without a log-in:\n%s", page)
		}
		resp, err := client.PostForm(base+"/desk/login/", url.Values{"name": {"carol"}, "password": {"demonstration"}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		page := get("/desk/")
		if n := strings.Count(page, `<a href="/desk/case/`); n != 4 {
			t.Errorf("%d cases wait:\n%s", n, page)
		}
		_, path, _ := strings.Cut(page, `<a href="`)
		path, _, _ = strings.Cut(path[strings.Index(path, `/desk/case/`):], `"`)
		if page := get(path); !strings.Contains(page, "What it would hit") {
			t.Errorf("a case:\n%s", page)
		}
		if page := get("/desk/matches"); !strings.Contains(page, `name="match1"`) {
			t.Errorf("the matches:\n%s", page)
		}
		if page := get("/style.css"); !strings.Contains(page, "--paper") {
			t.Error("no style sheet")
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// The mailbox has the letters of the seeded cases, with the links that work.
func TestMailbox(t *testing.T) {
	t.Parallel()
	s, err := newService(t.Context(), config{dir: t.TempDir(), photos: some(t), password: "demonstration"}, "http://service.example")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.seed(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	links := 0
	for _, l := range s.letters {
		if strings.Contains(l.Body, "http://service.example/case/") {
			links++
		}
	}
	if len(s.letters) < 8 || links < 8 {
		t.Errorf("%d letters, %d with a link to their case", len(s.letters), links)
	}
}
