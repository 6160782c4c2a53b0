package desk_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// files returns the content of every file of a folder.
func files(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		all[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func wantNowhere(tb testing.TB, dir, what string, secrets ...[]byte) {
	tb.Helper()
	for path, b := range files(tb, dir) {
		for _, s := range secrets {
			if bytes.Contains(b, s) {
				tb.Errorf("%s: %s holds %.40q", what, filepath.Base(path), s)
			}
		}
	}
}

// secretive returns a notice full of personal data, and that data.
func secretive(tb testing.TB) (request.ImageOptOut, [][]byte) {
	r := optOut(tb, 1)
	r.Requester = request.Requester{
		Name: "Secretname", Email: "secretmail@example.org", Phone: "+4930123456", PostalAddress: "Secretstreet 1", OnBehalfOf: "Secretclient",
	}
	r.Reason, r.Examples = "secretreason", []string{"https://secret-host.example/secret-path.jpg"}
	secrets := [][]byte{testJPEG(tb, 1)[100:200], testJPEG(tb, 1)[:64]}
	for _, s := range []string{"Secret", "secret", "4930123456", "c2VjcmV0", "U2VjcmV0"} {
		secrets = append(secrets, []byte(s))
	}
	return r, secrets
}

// Erasure: the key of the case is nowhere, no sealed field of it can be opened,
// nothing personal stands in any file, the log verifies, and enforcement goes
// on, also after a restart.
func TestErase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := &clock{t: day0}
	var token string
	opts := &desk.Options{Now: now.Now, ConfirmEmail: true, KeepPictures: true, Notifier: &office{clock: now}}
	d := open(t, dir, opts)
	r, secrets := secretive(t)
	c, err := d.Submit(ctx, r)
	ok(t, err)
	ok(t, d.Notify(ctx))
	for _, m := range opts.Notifier.(*office).mail() {
		if m.Type == desk.MessageConfirmEmail {
			token = m.Token
		}
	}
	secrets = append(secrets, []byte(token))
	ok(t, d.Confirm(ctx, c.ID, token))
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	other, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
	ok(t, err)
	wantNowhere(t, dir, "while the case is open", secrets...)

	ok(t, d.LegalHold(ctx, c.ID, true, alice))
	var me *desk.MoveError
	if err := d.Erase(ctx, c.ID, alice); !errors.As(err, &me) {
		t.Errorf("erased under a legal hold: %v", err)
	}
	ok(t, d.LegalHold(ctx, c.ID, false, alice))
	ok(t, d.Close())
	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	ok(t, err)
	slot := keys[desk.KeysStart:][:80] // the case was the first
	if !bytes.Equal(slot[:16], c.ID[:]) {
		t.Fatal("the first slot is not of the case")
	}

	d = open(t, dir, opts)
	seq, hash, err := d.VerifyLog(ctx)
	ok(t, err)
	ok(t, d.Erase(ctx, c.ID, desk.Actor{By: "alice", Reason: "erasure_requested"}))
	check := func(what string) {
		t.Helper()
		wantNowhere(t, dir, what, append(secrets, slot[16:48])...)
		got, err := d.Case(ctx, c.ID)
		ok(t, err)
		if !got.Erased() || got.Request != nil || d.Record(c.ID).Party != nil || got.State != desk.StateInForce || len(got.Rules) != 1 {
			t.Errorf("%s: %+v", what, got)
		}
		if got, err := d.Case(ctx, other.ID); err != nil || got.Request == nil {
			t.Errorf("%s: the other case: %v", what, err)
		}
		wantVerdict(t, what, d.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...), takedown.Block)
		found := false
		ok(t, eachEntry(d, 1, func(e desk.LogEntry) bool {
			found = found || e.Seq == seq && e.Hash == hash
			return true
		}))
		if !found {
			t.Errorf("%s: the log has another entry %d than before", what, seq)
		}
	}
	check("erased")
	ok(t, d.Erase(ctx, c.ID, alice)) // again is no error
	ok(t, d.Close())
	check2 := func(what string) {
		t.Helper()
		d = open(t, dir, opts)
		check(what)
		ok(t, d.Close())
	}
	check2("opened again")

	// A crash after the case said that it is erased, before the key was
	// destroyed: Open destroys it.
	ok(t, os.WriteFile(filepath.Join(dir, "keys"), keys, 0o600))
	check2("after a crash")

	// The sealed material still serves: terms can be changed, the kept picture
	// registered again; withdrawal works.
	d = open(t, dir, opts)
	file, err := d.Picture(ctx, c.ID, 0)
	if err != nil || !bytes.Equal(content(t, file), testJPEG(t, 1)) {
		t.Errorf("the kept picture: %d bytes, %v", file.Size(), err)
	}
	ok(t, d.Amend(ctx, c.ID, desk.Grant{Actor: alice, Scope: takedown.ScopeIdentical}))
	wantVerdict(t, "changed", d.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...), takedown.Block)
	ok(t, d.Withdraw(ctx, c.ID, desk.Actor{}))
	wantVerdict(t, "withdrawn", d.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...), takedown.Allow)
}

// traced returns what shows that a picture was sent: its digest and hashes, as
// bytes and as they stand in JSON.
func traced(tb testing.TB, file []byte) (secrets [][]byte) {
	sum := sha256.Sum256(file)
	numbers, err := json.Marshal(sum)
	ok(tb, err)
	secrets = [][]byte{sum[:], []byte(hex.EncodeToString(sum[:])), []byte(base64.StdEncoding.EncodeToString(sum[:])), numbers}
	for _, h := range hashes(tb, file) {
		_, digits, _ := strings.Cut(h.String(), ":")
		secrets = append(secrets, []byte(digits))
		var little, big []byte
		words := h.Words()
		for _, w := range words[:h.Algorithm().Bits()/64] {
			little, big = binary.LittleEndian.AppendUint64(little, w), binary.BigEndian.AppendUint64(big, w)
		}
		secrets = append(secrets, little, big)
	}
	return secrets
}

// The case store has no digest and no hash of a picture in clear, at no time:
// free pages would keep them beyond the erasure. Nor has the list, if it is
// encrypted.
func TestErase_Pictures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, &desk.Options{ListKey: &blocklist.EncryptionKey{1}})
	all := samples(t, takedown.CaseID{})
	intimate := all[request.KindIntimateImage].(request.IntimateImage)
	intimate.Images, intimate.Hashes, intimate.ImageURLs = images(testJPEG(t, 2)), nil, nil
	var ids []takedown.CaseID
	for _, r := range []request.Request{optOut(t, 1), intimate} {
		c, err := d.Submit(ctx, r)
		ok(t, err)
		ids = append(ids, c.ID)
	}
	ok(t, d.Accept(ctx, ids[0], desk.Grant{Actor: alice}))
	ok(t, d.Hold(ctx, ids[1], alice))
	ok(t, d.Reject(ctx, ids[1], refuse(alice)))
	c, err := d.Case(ctx, ids[0])
	ok(t, err)
	if len(c.Pictures) != 1 || c.Pictures[0].Hash.IsZero() || c.Pictures[0].SHA256 != sha256.Sum256(testJPEG(t, 1)) {
		t.Errorf("pictures %+v", c.Pictures)
	}
	for _, id := range ids {
		ok(t, d.Erase(ctx, id, alice))
	}
	ok(t, d.Close())
	wantNowhere(t, dir, "erased", slices.Concat(traced(t, testJPEG(t, 1)), traced(t, testJPEG(t, 2)))...)
}

// A key that could not be put in its place is not left beside it.
func TestOperatorKey_Failed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "operator.key")
	ok(t, os.Mkdir(path, 0o700)) // so that nothing can be moved there
	if err := desk.WriteFile(path, make([]byte, 32)); err == nil {
		t.Error("the key is said to be in place")
	}
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was written is still there: %v", err)
	}
}

// There is nothing to preview of a case that has ended and is erased.
func TestPreview_Erased(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	id := accept(t, d, optOut(t, 1), desk.Grant{})
	ok(t, d.Withdraw(ctx, id, desk.Actor{}))
	ok(t, d.Erase(ctx, id, alice))
	if _, err := d.Preview(ctx, id, index{}.items, nil); !errors.Is(err, desk.ErrErased) {
		t.Errorf("Preview: %v", err)
	}
}

// With another operator key nothing opens, and the desk says why.
func TestOpen_OperatorKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := bytes.Repeat([]byte{7}, 32)
	d := open(t, dir, &desk.Options{OperatorKey: key})
	c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
	ok(t, err)
	ok(t, d.Close())
	if _, err := os.Stat(filepath.Join(dir, "operator.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key file beside the given key: %v", err)
	}
	var mismatch *desk.MismatchError
	if _, err := desk.Open(dir, &desk.Options{OperatorKey: bytes.Repeat([]byte{8}, 32)}); !errors.As(err, &mismatch) || mismatch.Part != desk.PartOperatorKey || mismatch.Fault != desk.FaultForeign {
		t.Errorf("another key: %v", err)
	}
	if _, err := desk.Open(dir, &desk.Options{OperatorKey: key[:31]}); err == nil {
		t.Error("a key of 31 bytes was taken")
	}
	d = open(t, dir, &desk.Options{OperatorKey: key})
	if _, err := d.Case(ctx, c.ID); err != nil {
		t.Error(err)
	}
}

// Whoever changes, removes or adds an entry of the log is found out.
func TestLog_Tampering(t *testing.T) {
	t.Parallel()
	entry := func(tx desk.StoreTx, seq byte) []byte {
		v, err := tx.Get(desk.BucketLog, []byte{0, 0, 0, 0, 0, 0, 0, seq})
		ok(t, err)
		return bytes.Clone(v)
	}
	for _, tc := range []struct {
		name   string
		tamper func(tx desk.StoreTx) error
	}{
		{"another actor", func(tx desk.StoreTx) error {
			v := entry(tx, 2)
			return tx.Put(desk.BucketLog, []byte{0, 0, 0, 0, 0, 0, 0, 2}, bytes.Replace(v, []byte("alice"), []byte("clara"), 1))
		}},
		{"an entry less", func(tx desk.StoreTx) error { return tx.Delete(desk.BucketLog, []byte{0, 0, 0, 0, 0, 0, 0, 2}) }},
		{"the last entry less", func(tx desk.StoreTx) error { return tx.Delete(desk.BucketLog, []byte{0, 0, 0, 0, 0, 0, 0, 3}) }},
		{"two entries swapped", func(tx desk.StoreTx) error {
			a, b := entry(tx, 1), entry(tx, 2)
			return errors.Join(tx.Put(desk.BucketLog, []byte{0, 0, 0, 0, 0, 0, 0, 1}, b), tx.Put(desk.BucketLog, []byte{0, 0, 0, 0, 0, 0, 0, 2}, a))
		}},
		{"an entry more", func(tx desk.StoreTx) error {
			return tx.Put(desk.BucketLog, []byte{0, 0, 0, 0, 0, 0, 0, 4}, entry(tx, 3))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := open(t, dir, &desk.Options{Policy: "policy-7"})
			c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
			ok(t, err)
			ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
			n := 0
			ok(t, eachEntry(d, 2, func(e desk.LogEntry) bool {
				n++
				if e.Policy != "policy-7" || e.Case != c.ID {
					t.Errorf("entry %+v", e)
				}
				return true
			}))
			if n != 2 { // enforcing, in force
				t.Errorf("%d entries", n)
			}
			ok(t, d.Close())
			s, err := desk.OpenStore(filepath.Join(dir, "cases.db"))
			ok(t, err)
			ok(t, s.Update(tc.tamper))
			ok(t, s.Close())
			d, err = desk.Open(dir, nil) // it looks at the last entry
			if err == nil {
				_, _, err = d.VerifyLog(ctx)
				ok(t, d.Close())
			}
			if !errors.Is(err, desk.ErrLog) {
				t.Errorf("VerifyLog: %v", err)
			}
		})
	}
}

// What outlives an erasure because a rule needs it goes with the rule.
func TestErase_ThenWithdraw(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), &desk.Options{KeepPictures: true})
	id := accept(t, d, optOut(t, 1), desk.Grant{})
	if err := d.Erase(ctx, id, desk.Actor{By: "reviewer-1"}); err != nil {
		t.Fatal(err)
	}
	if b, err := d.Picture(ctx, id, 0); err != nil || len(content(t, b)) == 0 {
		t.Errorf("in force: %d bytes of the picture, %v", b.Size(), err)
	}
	if c, err := d.Case(ctx, id); err != nil || c.Pictures != nil {
		t.Errorf("in force: the case tells of its pictures: %+v, %v", c.Pictures, err)
	}
	if err := d.Withdraw(ctx, id, desk.Actor{}); err != nil {
		t.Fatal(err)
	}
	if b, err := d.Picture(ctx, id, 0); err != nil || !b.IsZero() {
		t.Errorf("withdrawn: %d bytes of the picture are left, %v", b.Size(), err)
	}
}
