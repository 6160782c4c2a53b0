package desk_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// traces are the forms in which a template, or the picture it was made of, could
// be read in a file.
func traces(tb testing.TB, face takedown.Face, raw []float32, file []byte) [][]byte {
	tb.Helper()
	b, err := face.MarshalBinary()
	ok(tb, err)
	j, err := json.Marshal(face)
	ok(tb, err)
	quantised := b[len(b)-face.Dimensions():]
	list := [][]byte{quantised[:24], quantised[64:88], j[len(j)/2 : len(j)/2+40], []byte(base64.StdEncoding.EncodeToString(quantised))[4:40]}
	var floats, doubles []byte
	for _, x := range raw[:8] {
		floats = binary.LittleEndian.AppendUint32(floats, math.Float32bits(x))
		doubles = binary.LittleEndian.AppendUint64(doubles, math.Float64bits(float64(x)))
	}
	list = append(list, floats, doubles)
	if file != nil {
		list = append(list, file[len(file)/2:len(file)/2+60], []byte(base64.StdEncoding.EncodeToString(file))[60:120])
	}
	return list
}

// sealedFace is a request whose template must go, and what would be a trace of
// it.
type sealedFace struct {
	name    string
	request request.FaceOptOut
	traces  [][]byte
}

func sealedFaces(tb testing.TB) (list []sealedFace, embedder takedown.FaceEmbedder) {
	a, file := album{}, testJPEG(tb, 21)
	a.shows(tb, file, portrait(tb, 12, 0))
	pictures := faceOptOut()
	pictures.Images = images(file)
	return []sealedFace{
		{"vectors", faceOptOut(portrait(tb, 11, 0), portrait(tb, 11, 1)), append(traces(tb, portrait(tb, 11, 0), components(11, 0), nil), traces(tb, portrait(tb, 11, 1), components(11, 1), nil)...)},
		{"pictures", pictures, traces(tb, portrait(tb, 12, 0), components(12, 0), file)},
	}, a
}

// wantUnreadable checks that nothing of a template can be opened with what the
// folder still has, the operator's key and the ListKey included: each key that is
// left is tried on everything that is left, and on what copies of the folder had
// before.
func wantUnreadable(tb testing.TB, what, dir string, c desk.Case, traces [][]byte, backups ...string) {
	tb.Helper()
	wantNowhere(tb, dir, what, traces...)
	for _, values := range append(backups, dir) {
		if n, err := desk.OpenEverything(dir, values, func(plain []byte) bool {
			for _, s := range traces {
				if bytes.Contains(plain, s) {
					return true
				}
			}
			return false
		}); n != 0 || err != nil {
			tb.Errorf("%s: %d sealed values still open and hold it, %v", what, n, err)
		}
	}
	for i, it := range c.Items {
		if it.Template != nil {
			tb.Errorf("%s: item %d still names its key", what, i)
		}
	}
	if r, ok := c.Request.(request.FaceOptOut); ok && len(r.Images)+len(r.Faces) > 0 {
		tb.Errorf("%s: the request still has %d pictures and %d vectors", what, len(r.Images), len(r.Faces))
	}
}

// copyKeys copies the files of keys of a desk and of its list.
func copyKeys(tb testing.TB, from, to string) {
	tb.Helper()
	ofFaces, err := filepath.Glob(filepath.Join(from, "list", "face-keys*"))
	if ok(tb, err); len(ofFaces) != 1 {
		tb.Fatalf("files of keys of faces: %q", ofFaces)
	}
	for _, path := range append(ofFaces, filepath.Join(from, "keys")) {
		b, err := os.ReadFile(path)
		ok(tb, err)
		name, err := filepath.Rel(from, path)
		ok(tb, err)
		ok(tb, os.WriteFile(filepath.Join(to, name), b, 0o600))
	}
}

// bringBackKeys puts the keys that a copy has over those that were destroyed since.
func bringBackKeys(tb testing.TB, from, to string) {
	tb.Helper()
	now, err := os.ReadFile(filepath.Join(to, "keys"))
	ok(tb, err)
	copyKeys(tb, from, to)
	old, err := os.ReadFile(filepath.Join(to, "keys"))
	ok(tb, err)
	copy(now, old)
	ok(tb, os.WriteFile(filepath.Join(to, "keys"), now, 0o600))
}

// However a face opt-out ends, nothing of its template can be read afterwards in
// the desk's folder, nor opened with what is left there; what happened stays.
func TestFaceOptOut_DeletionIsProved(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	requests, embedder := sealedFaces(t)
	for e, end := range []struct {
		name  string
		end   func(d *desk.Desk, id takedown.CaseID) error
		state desk.State
	}{
		{"withdrawn", func(d *desk.Desk, id takedown.CaseID) error { return d.Withdraw(ctx, id, alice) }, desk.StateWithdrawn},
		{"withdrawn by a request", func(d *desk.Desk, id takedown.CaseID) error {
			w, err := d.Submit(ctx, request.Withdrawal{Requester: person, Case: id})
			return errors.Join(err, d.Accept(ctx, w.ID, desk.Grant{Actor: alice}))
		}, desk.StateWithdrawn},
		{"reversed", func(d *desk.Desk, id takedown.CaseID) error { return d.Reverse(ctx, id, alice) }, desk.StateReversed},
		{"erased", func(d *desk.Desk, id takedown.CaseID) error { return d.Erase(ctx, id, alice) }, desk.StateWithdrawn},
		{"expired", func(d *desk.Desk, id takedown.CaseID) error {
			// By the month: a year at once would be taken for a wrong clock.
			for month := range 12 {
				now.set(day0.AddDate(0, month+1, -1))
				if n, err := d.Expire(ctx); n != 0 || err != nil {
					return fmt.Errorf("%d expired after %d months, %v", n, month, err)
				}
			}
			now.set(day0.AddDate(1, 0, 1))
			n, err := d.Expire(ctx)
			if n != 1 {
				err = errors.Join(err, fmt.Errorf("%d expired", n))
			}
			return err
		}, desk.StateExpired},
	} {
		for i, tc := range requests {
			now.set(day0)
			dir := t.TempDir()
			// Without a key of the list its files would show what is not sealed; with
			// one it can be published.
			key := []*blocklist.EncryptionKey{nil, {1}}[(e+i)%2]
			opts := func(o *desk.Options) {
				o.Now, o.FaceEmbedder, o.KeepPictures, o.ListKey = now.Now, embedder, true, key
			}
			d := faceDesk(t, dir, opts)
			what := tc.name + ", " + end.name
			c, err := d.Submit(ctx, tc.request)
			ok(t, err)
			wantNowhere(t, dir, what+", submitted", tc.traces...)
			// The test can find what it looks for.
			if n, err := desk.OpenEverything(dir, dir, func(plain []byte) bool { return bytes.Contains(plain, tc.traces[2]) }); n == 0 || err != nil {
				t.Errorf("%s, submitted: with the keys nothing opens: %d, %v", what, n, err)
			}
			if len(c.Flags) != 0 {
				t.Errorf("%s: flags %v", what, c.Flags)
			}
			if got, err := d.Case(ctx, c.ID); err != nil || !cmp.Equal(got.Request, request.Request(tc.request)) {
				t.Errorf("%s: the request comes back changed, %v", what, err)
			}
			ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, End: day0.AddDate(1, 0, 0)}))
			snapshot := filepath.Join(dir, "published.snap")
			if key != nil {
				ok(t, d.Publish(ctx, snapshot))
				// The bytes stay where somebody has the file open, or under another name.
				ok(t, os.Link(snapshot, filepath.Join(dir, "linked.snap")))
			}
			ok(t, d.Compact(ctx))
			ok(t, d.Close())
			d = faceDesk(t, dir, opts)
			person := uint64(11)
			if tc.name == "pictures" {
				person = 12
			}
			wantVerdict(t, what+", opened again", d.Enforcer().Check(withFaces(portrait(t, person, 5))), takedown.Block)
			wantNowhere(t, dir, what+", in force", tc.traces...)
			backup := filepath.Join(t.TempDir(), "backup")
			ok(t, os.CopyFS(backup, os.DirFS(dir)))
			copied, err := filepath.Glob(filepath.Join(backup, "*.snap"))
			ok(t, err)
			for _, path := range copied {
				ok(t, os.Remove(path)) // out of reach: docs/faces.md says so
			}

			ok(t, end.end(d, c.ID))
			ok(t, d.Compact(ctx))
			if key != nil && end.state != desk.StateExpired {
				if n, err := desk.OpenPublished(snapshot); n == 0 || err != nil {
					t.Errorf("%s: the published file does not open before Expire, so this shows nothing: %v", what, err)
				}
				if n, err := d.Expire(ctx); n != 0 || err != nil {
					t.Errorf("%s: Expire: %d, %v", what, n, err)
				}
			}
			check := func(when string) {
				t.Helper()
				got, err := d.Case(ctx, c.ID)
				ok(t, err)
				wantUnreadable(t, what+when, dir, got, tc.traces, backup)
				wantVerdict(t, what+when, d.Enforcer().Check(withFaces(portrait(t, person, 5))), takedown.Allow)
				if got.State != end.state || len(got.Items) == 0 || got.Face.Model != faceModel || got.Granted != takedown.ScopeFace || len(got.Rules) != 0 {
					t.Errorf("%s%s: the case does not say what happened: %+v", what, when, got)
				}
				if _, _, err := d.VerifyLog(ctx); err != nil {
					t.Errorf("%s%s: %v", what, when, err)
				}
				if err := d.Amend(ctx, c.ID, desk.Grant{}); err == nil {
					t.Errorf("%s%s: granted again", what, when)
				}
			}
			check("")
			ok(t, d.Close())
			d = faceDesk(t, dir, opts)
			check(", opened again")
			ok(t, d.Close())

			// A crash after everything was written down, before any key was destroyed.
			bringBackKeys(t, backup, dir)
			d = faceDesk(t, dir, opts)
			check(", after a crash")
			ok(t, d.Close())

			// A backup from when it was in force, with the keys of today, does not open.
			// That nothing of the face opens there, wantUnreadable shows.
			copyKeys(t, dir, backup)
			var mismatch *desk.MismatchError
			o := desk.Options{Now: now.Now, OneReviewer: true, FaceModels: faceModels, TrustFaceVectors: true, ListKey: key, FaceEmbedder: embedder}
			if d, err := desk.Open(backup, &o); !errors.As(err, &mismatch) || mismatch.Part != desk.PartCases || mismatch.Fault != desk.FaultOlder {
				t.Errorf("%s: the backup: %v", what, err)
				if err == nil {
					ok(t, d.Close())
				}
			}
		}
	}
}

// childFaces files, accepts and withdraws face opt-outs without end, each of
// another person.
func childFaces(dir string) error {
	var e fatalTB
	d := openFaces(e, dir)
	for i := uint64(0); ; i++ {
		person := uint64(os.Getpid())<<20 + i
		c, err := d.Submit(ctx, faceOptOut(portrait(e, person, 0)))
		if err != nil {
			return err
		}
		fmt.Printf("submitted %v %d\n", c.ID, person)
		if i%4 == 3 {
			if err := d.Reject(ctx, c.ID, refuse(desk.Actor{})); err != nil {
				return err
			}
			fmt.Printf("ended %v %d\n", c.ID, person)
			continue
		}
		if err := d.Accept(ctx, c.ID, desk.Grant{}); err != nil {
			return err
		}
		fmt.Printf("accepted %v %d\n", c.ID, person)
		if i%4 == 0 {
			continue
		}
		fmt.Printf("ending %v %d\n", c.ID, person)
		if err := d.Withdraw(ctx, c.ID, desk.Actor{}); err != nil {
			return err
		}
		fmt.Printf("ended %v %d\n", c.ID, person)
	}
}

func openFaces(tb testing.TB, dir string) *desk.Desk {
	d, err := desk.Open(dir, &desk.Options{FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1}})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// A process killed at any moment leaves, once the desk is opened again, every
// accepted face blocked, and no template of a case that has ended.
//
// STAYDOWN_KILLS sets how often; the default is 12, and 4 with -short.
func TestFaceOptOut_KillAtRandomMoments(t *testing.T) {
	t.Parallel()
	kills := 12
	if testing.Short() {
		kills = 4
	}
	kills = sharedtest.Count(t, "STAYDOWN_KILLS", kills)
	var inForce, ended, between int
	for range kills {
		dir := t.TempDir()
		lines := killed(t, "faces", dir, 30)
		d := openFaces(t, dir)
		last, people := map[takedown.CaseID]string{}, map[takedown.CaseID]uint64{}
		for _, line := range lines {
			var what, id string
			var person uint64
			if _, err := fmt.Sscan(line, &what, &id, &person); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			c, err := takedown.ParseCaseID(id)
			ok(t, err)
			last[c], people[c] = what, person
		}
		var secrets [][]byte
		for id, what := range last {
			c, err := d.Case(ctx, id)
			ok(t, err)
			got := d.Enforcer().Check(withFaces(portrait(t, people[id], 1)))
			gone := c.State == desk.StateWithdrawn || c.State == desk.StateRejected
			switch {
			case what == "ended" && !gone, what == "accepted" && c.State != desk.StateInForce && !gone:
				t.Errorf("%s, and the case is %s", what, c.State)
			case gone:
				ended++
				wantVerdict(t, "ended", got, takedown.Allow)
				if r := c.Request.(request.FaceOptOut); c.Items[0].Template != nil || len(r.Faces) > 0 {
					t.Errorf("killed after %s: the template is still there", what)
				}
				secrets = append(secrets, traces(t, portrait(t, people[id], 0), components(people[id], 0), nil)...)
				if what != "ended" {
					between++
				}
			case c.State == desk.StateInForce:
				inForce++
				wantVerdict(t, "in force", got, takedown.Block)
			}
		}
		wantUnreadable(t, "killed", dir, desk.Case{}, secrets)
		if _, _, err := d.VerifyLog(ctx); err != nil {
			t.Error(err)
		}
		ok(t, d.Close())
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills: %d in force and blocked, %d ended and unreadable, %d of these not acknowledged", kills, inForce, ended, between)
	if inForce+ended < kills || inForce == 0 || ended == 0 {
		t.Errorf("only %d in force and %d ended: the test proves little", inForce, ended)
	}
}
