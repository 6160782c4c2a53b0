package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// row is a process on the page.
type row struct {
	Name    string       `json:"name"`
	Running bool         `json:"running"`
	Cut     bool         `json:"cut"`
	Desk    *deskStatus  `json:"desk,omitempty"`
	Lists   []listStatus `json:"lists,omitempty"`
	Verdict string       `json:"verdict,omitempty"` // about the last removal
}

// serve shows the fleet until ctx ends.
func (f *fleet) serve(ctx context.Context, address string) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return errors.New("-listen must be an address of the loopback interface, for example 127.0.0.1:8080")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(page)) })
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		rows, lines := f.rows(r.Context())
		json.NewEncoder(w).Encode(map[string]any{"rows": rows, "log": lines})
	})
	mux.HandleFunc("POST /do", func(w http.ResponseWriter, r *http.Request) {
		if err := f.do(r.Context(), r.FormValue("what"), r.FormValue("name")); err != nil {
			f.say("%v", err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	s := &http.Server{Handler: http.NewCrossOriginProtection().Handler(mux), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	f.say("open http://%s/", l.Addr())
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (f *fleet) rows(ctx context.Context) (rows []row, lines []string) {
	f.mu.Lock()
	lines = slices.Clone(f.logged[max(0, len(f.logged)-12):])
	last := ""
	if len(f.removed) > 0 {
		last = f.removed[len(f.removed)-1]
	}
	f.mu.Unlock()
	for _, name := range f.names() {
		r := row{Name: name, Running: f.runs(name)}
		switch {
		case strings.HasPrefix(name, "desk-"):
			r.Desk = new(deskStatus)
			if f.get(ctx, name, "/status", r.Desk) != nil {
				r.Desk = nil
			}
		case strings.HasPrefix(name, "node-"):
			r.Cut = f.isCut(name)
			var v verdict
			if f.get(ctx, name, "/status", &r.Lists) == nil && last != "" && f.get(ctx, name, "/filter?url="+url.QueryEscape(last), &v) == nil {
				r.Verdict = v.Verdict
			}
		}
		rows = append(rows, r)
	}
	return rows, lines
}

// do does what a button of the page says.
func (f *fleet) do(ctx context.Context, what, name string) error {
	if what != "accept" && what != "restore" && !slices.Contains(f.names(), name) {
		return fmt.Errorf("there is no %q", name)
	}
	switch what {
	case "accept":
		address := f.next()
		a, err := f.accept(ctx, "main", address)
		if err == nil {
			f.say("case %s: %s is removed, event %d", a.Case, address, a.Seq)
		}
		return err
	case "kill":
		f.kill(name, syscall.SIGKILL)
		f.say("%s is killed", name)
	case "start":
		f.say("%s is started", name)
		return f.run(name)
	case "cut", "heal":
		if !strings.HasPrefix(name, "node-") {
			return errors.New("only nodes can be cut off")
		}
		f.partition(name, what == "cut")
		f.say("%s: %s", name, what)
	case "backup":
		f.kill("desk-main", syscall.SIGTERM)
		err := os.RemoveAll(f.path("backup"))
		if err == nil {
			err = os.CopyFS(f.path("backup"), os.DirFS(f.path("desk-main")))
		}
		f.say("desk-main is backed up")
		return errors.Join(err, f.run("desk-main"))
	case "restore":
		return f.restore()
	}
	return nil
}

// restore puts the backup in the place of the desk, and forces its publisher.
func (f *fleet) restore() error {
	if _, err := os.Stat(f.path("backup")); err != nil {
		return errors.New("there is no backup yet")
	}
	f.kill("desk-main", syscall.SIGTERM)
	err := os.RemoveAll(f.path("desk-main"))
	if err == nil {
		err = os.CopyFS(f.path("desk-main"), os.DirFS(f.path("backup")))
	}
	if err == nil {
		err = os.Remove(filepath.Join(f.path("public"), "main", "latest"))
	}
	f.say("an old desk-main is restored, and publishes")
	return errors.Join(err, f.run("desk-main"))
}

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fleet</title>
<style>
body{font:14px sans-serif;margin:2em;max-width:76em} table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3em .6em;border-bottom:1px solid #ccc} code{font-size:12px}
.off{color:#a00} .ok{color:#070} pre{background:#f4f4f4;padding:1em}
</style>
<h1>Fleet</h1>
<p><button data-do="accept">Accept a removal</button> <button data-do="backup" data-name="desk-main">Back up the desk</button>
<button data-do="restore">Restore the backup, and publish it</button></p>
<table><thead><tr><th>process<th>list<th>event<th>digest<th>lag<th>age<th>last removal<th>state<th></thead><tbody id="rows"></tbody></table>
<pre id="log"></pre>
<script>
const el = (tag, text, cls) => { const e = document.createElement(tag); e.textContent = text; if (cls) e.className = cls; return e }
const act = (what, name) => { const b = el("button", what); b.dataset.do = what; b.dataset.name = name; return b }
document.addEventListener("click", e => { const d = e.target.dataset; if (d.do) fetch("/do", {method: "POST", body: new URLSearchParams({what: d.do, name: d.name || ""})}) })
async function show() {
	try {
		const s = await (await fetch("/state")).json()
		const rows = []
		for (const r of s.rows) {
			const lists = r.lists || [r.desk ? {list: "own", seq: r.desk.seq, digest: r.desk.digest, lag: r.desk.seq - r.desk.published, error: r.desk.error} : {}]
			lists.forEach((l, i) => {
				const tr = document.createElement("tr")
				tr.append(el("td", i ? "" : r.name), el("td", l.list || ""), el("td", l.seq ?? ""), el("td", (l.digest || "").slice(0, 12)),
					el("td", l.lag ?? ""), el("td", l.age === undefined ? "" : l.age.toFixed(1) + " s"), el("td", i ? "" : r.verdict || ""))
				const state = !r.running ? "down" : r.cut ? "cut off" : l.error || (l.ready === false ? "too old" : "ok")
				tr.append(el("td", state, state === "ok" ? "ok" : "off"))
				const td = document.createElement("td")
				if (!i) {
					td.append(act(r.running ? "kill" : "start", r.name))
					if (r.name.startsWith("node-")) td.append(act(r.cut ? "heal" : "cut", r.name))
				}
				tr.append(td)
				rows.push(tr)
			})
		}
		document.getElementById("rows").replaceChildren(...rows)
		document.getElementById("log").textContent = (s.log || []).join("\n")
	} catch (e) {}
	setTimeout(show, 500)
}
show()
</script>
`
