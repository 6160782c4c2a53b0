package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// File is a picture file as a server sends it.
type File struct {
	Type string // the media type
	Data []byte
}

// Program returns the path of an installed Chromium, or "".
func Program() string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Browser is a running Chromium with one page, which draws pictures.
type Browser struct {
	cmd     *exec.Cmd
	gone    chan struct{} // closed when the process ended
	server  *http.Server
	profile string
	work    chan []int // numbers of files to show
	done    chan struct{}

	mu    sync.Mutex
	files map[int]File
	shown map[int]*image.NRGBA
	left  int
	next  int
}

//go:embed page.html
var page []byte

// Start starts a browser. Close ends it.
func Start(program string) (*Browser, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Browser{work: make(chan []int), done: make(chan struct{}, 1), gone: make(chan struct{})}
	if b.profile, err = os.MkdirTemp("", "browser-"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /work", b.serveWork)
	mux.HandleFunc("GET /file/{number}", b.serveFile)
	mux.HandleFunc("POST /shown/{number}", b.take)
	b.server = &http.Server{Handler: mux}
	go b.server.Serve(listener)
	b.cmd = exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions",
		"--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
		"--no-first-run", "--no-default-browser-check", "--disable-dev-shm-usage", "--remote-debugging-port=0",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir="+b.profile,
		"http://"+listener.Addr().String()+"/")
	if err := b.cmd.Start(); err != nil {
		b.server.Close()
		return nil, errors.Join(err, os.RemoveAll(b.profile))
	}
	go func() {
		b.cmd.Wait()
		close(b.gone)
	}()
	return b, nil
}

// Close ends the browser and removes its profile.
func (b *Browser) Close() error {
	b.cmd.Process.Kill()
	<-b.gone
	err := b.server.Close()
	for range 20 { // its children end a little later
		if os.RemoveAll(b.profile) == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// patience is how long the page may take for some files. A file that ends the
// page's process takes the browser with it.
const patience = 2 * time.Minute

// Show returns what the browser shows of each file, over white; nil if it shows
// nothing. Of an animation it is the first frame. Pictures of more than 4 million
// pixels are drawn smaller. One goroutine calls it at a time.
func (b *Browser) Show(ctx context.Context, files []File) ([]*image.NRGBA, error) {
	b.mu.Lock()
	first := b.next
	b.next += len(files)
	b.files, b.shown, b.left = map[int]File{}, map[int]*image.NRGBA{}, len(files)
	var numbers []int
	for i, f := range files {
		b.files[first+i] = f
		numbers = append(numbers, first+i)
	}
	b.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	work := b.work
	for {
		select {
		case work <- numbers:
			work = nil
		case <-b.done:
			list := make([]*image.NRGBA, len(files))
			for i := range list {
				list[i] = b.shown[first+i]
			}
			return list, nil
		case <-late.C:
			b.mu.Lock()
			defer b.mu.Unlock()
			return nil, fmt.Errorf("browser: no answer about %d of %d files", b.left, len(files))
		case <-b.gone:
			return nil, errors.New("browser: Chromium ended")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// serveWork hands the numbers of the next files to the page.
func (b *Browser) serveWork(w http.ResponseWriter, r *http.Request) {
	select {
	case numbers := <-b.work:
		json.NewEncoder(w).Encode(numbers)
	case <-r.Context().Done():
	}
}

func (b *Browser) serveFile(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.PathValue("number"))
	b.mu.Lock()
	f, ok := b.files[n]
	b.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.Type)
	w.Header().Set("Cache-Control", "no-store")
	w.Write(f.Data)
}

// maxPixels is what the page draws at most.
const maxPixels = 4 << 20

// take takes the pixels of a file.
func (b *Browser) take(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.PathValue("number"))
	width, _ := strconv.Atoi(r.FormValue("w"))
	height, _ := strconv.Atoi(r.FormValue("h"))
	pix, err := io.ReadAll(io.LimitReader(r.Body, 4*maxPixels+1))
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.files[n]; !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	delete(b.files, n)
	if width > 0 && height > 0 && len(pix) == 4*width*height {
		b.shown[n] = &image.NRGBA{Pix: pix, Stride: 4 * width, Rect: image.Rect(0, 0, width, height)}
	}
	if b.left--; b.left == 0 {
		b.done <- struct{}{}
	}
}
