package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/takedown"
)

// dumpCmd writes a list as text.
type dumpCmd struct {
	Dir string `arg:"" help:"The folder of a list or of a desk. No program may have it open." predictor:"file"`
	Out string `help:"File to write; standard output without it." short:"o" placeholder:"FILE"`
}

// Help is shown below the usage.
func (dumpCmd) Help() string {
	return `The first line has the identity of the list, each other line one event: its number, time, type, and the stored record
in base64. The file is as secret as the list: it has the keys of its digests. Data of an encrypted list stay encrypted.
The keys of faces are not in the journal, so they are not in the dump.

  staydown dump takedowns/ -o list.jsonl && staydown load list.jsonl copy/`
}

// dumpVersion is the version of the form of dump.
const dumpVersion = 1

// dumpHead is the first line.
type dumpHead struct {
	Dump   int    `json:"staydown_dump"`
	Meta   []byte `json:"meta"`
	Events uint64 `json:"events"`
}

// dumpEvent is any other line. Time, Type and Keys are for people; load reads the
// other fields.
type dumpEvent struct {
	Seq    uint64     `json:"seq"`
	ID     string     `json:"id"`
	Target uint64     `json:"target,omitempty"`
	Digest string     `json:"digest"`
	Data   []byte     `json:"data"`
	Time   *time.Time `json:"time,omitempty"`
	Type   string     `json:"type,omitempty"`
	Scope  string     `json:"scope,omitempty"`
	Case   string     `json:"case,omitempty"`
	Keys   int        `json:"keys,omitempty"`
}

// dumpBatch is how many entries are read or written in one step.
const dumpBatch = 1000

func (c *dumpCmd) Run(a *app) error {
	dir, err := listDir(c.Dir)
	if err != nil {
		return err
	}
	j, err := boltjournal.OpenFile(filepath.Join(dir, "journal.db"), nil)
	if err != nil {
		return err
	}
	defer j.Close()
	out := a.out
	if c.Out != "" {
		f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	w := bufio.NewWriterSize(out, 1<<20)
	if err := dumpTo(a, json.NewEncoder(w), j); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if f, ok := out.(*os.File); ok && c.Out != "" {
		return f.Sync()
	}
	return nil
}

func dumpTo(a *app, enc *json.Encoder, j blocklist.Journal) error {
	meta, err := j.Meta()
	if err != nil {
		return err
	}
	last, err := j.Last()
	if err != nil {
		return err
	}
	if err := enc.Encode(dumpHead{dumpVersion, meta, last}); err != nil {
		return err
	}
	for from := uint64(1); from <= last; {
		entries, err := j.Read(from, dumpBatch)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("the journal ends at %d, and has %d events", from-1, last)
		}
		for i := range entries {
			if err := enc.Encode(dumpOf(&entries[i])); err != nil {
				return err
			}
		}
		from += uint64(len(entries))
		if err := a.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// dumpOf describes an entry. What cannot be read, because it is encrypted, is
// left out of the description, not of the data.
func dumpOf(x *blocklist.Entry) *dumpEvent {
	d := &dumpEvent{Seq: x.Seq, ID: hex.EncodeToString(x.ID[:]), Target: x.Target, Digest: hex.EncodeToString(x.Digest[:]), Data: x.Data}
	var e blocklist.Event
	if e.UnmarshalBinary(x.Data) != nil {
		return d
	}
	t := e.Time.UTC()
	d.Time, d.Type, d.Keys = &t, e.Type.String(), e.Keys.Len()
	if e.Rule != nil {
		d.Scope, d.Case, d.Keys = e.Rule.Scope.String(), takedown.CaseID(e.Rule.Case).String(), e.Rule.Keys.Len()
	}
	return d
}

// loadCmd makes a list from a dump.
type loadCmd struct {
	Dump       string `arg:"" help:"What dump wrote; \"-\" is standard input." predictor:"file"`
	Dir        string `arg:"" help:"The folder of the new list. It must not exist, or be empty." predictor:"file"`
	Decryption string `help:"The file with the key that the list is encrypted with, to verify the new list." type:"existingfile" placeholder:"FILE" name:"encryption-key"`
}

// Help is shown below the usage.
func (loadCmd) Help() string {
	return `The new list is the old one: the same identity, numbers and digests. It is verified before the command ends. If
anything is wrong, the folder is left as it was.

  staydown load list.jsonl copy/`
}

func (c *loadCmd) Run(a *app) (err error) {
	if old, err := os.ReadDir(c.Dir); err == nil && len(old) > 0 {
		return fmt.Errorf("%s is not empty", c.Dir)
	}
	var r io.Reader = a.in
	if c.Dump != "-" {
		f, err := os.Open(c.Dump)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	key, err := (&keyFlags{Decryption: c.Decryption}).encryption()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(c.Dir)), 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(filepath.Clean(c.Dir)), ".load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := loadInto(a, r, filepath.Join(work, "journal.db")); err != nil {
		return err
	}
	l, err := boltjournal.Open(work, &blocklist.Options{EncryptionKey: key, CompactAfter: -1})
	if err != nil {
		return err
	}
	s := stateOf(c.Dir, l, false)
	if err := errors.Join(l.Verify(a.ctx), l.Close()); err != nil {
		return err
	}
	if err := os.Remove(c.Dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(work, c.Dir); err != nil {
		return err
	}
	a.print(s, s.text())
	return nil
}

// maxDumpLine is the longest line of a dump: a record has at most some megabytes.
const maxDumpLine = 64 << 20

func loadInto(a *app, r io.Reader, path string) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 1<<20), maxDumpLine)
	var head dumpHead
	if !sc.Scan() || json.Unmarshal(sc.Bytes(), &head) != nil || head.Dump == 0 {
		return errors.Join(errors.New("not what dump wrote: the first line is not its head"), sc.Err())
	}
	if head.Dump != dumpVersion {
		return fmt.Errorf("a dump of version %d; this program reads %d", head.Dump, dumpVersion)
	}
	j, err := boltjournal.OpenFile(path, nil)
	if err != nil {
		return err
	}
	defer j.Close()
	if err := j.SetMeta(head.Meta); err != nil {
		return err
	}
	var batch []blocklist.Entry
	next := uint64(1)
	for more := true; more; {
		if more = sc.Scan(); more {
			x, err := loadLine(sc.Bytes())
			if err != nil {
				return fmt.Errorf("line %d: %w", next+1, err)
			}
			if x.Seq != next {
				return fmt.Errorf("line %d: event %d, where %d is expected; lines are missing", next+1, x.Seq, next)
			}
			batch, next = append(batch, x), next+1
		}
		if len(batch) == dumpBatch || !more && len(batch) > 0 {
			if err := errors.Join(a.ctx.Err(), j.Append(batch)); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if next-1 != head.Events {
		return fmt.Errorf("%d events, and the head names %d; the dump is cut off", next-1, head.Events)
	}
	return nil
}

func loadLine(line []byte) (x blocklist.Entry, err error) {
	var d dumpEvent
	if err := json.Unmarshal(line, &d); err != nil {
		return x, err
	}
	id, err1 := hex.DecodeString(d.ID)
	digest, err2 := hex.DecodeString(d.Digest)
	if err1 != nil || err2 != nil || len(id) != 16 || len(digest) != 32 {
		return x, errors.New("id or digest is not as long as it should be")
	}
	return blocklist.Entry{Seq: d.Seq, ID: [16]byte(id), Target: d.Target, Digest: [32]byte(digest), Data: d.Data}, nil
}
