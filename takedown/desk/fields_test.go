package desk_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// What only the reviewer reads: the words by which a person explains the request, and
// evidence for it. A field that is not here has an effect of its own.
var readByReviewers = []string{
	"reason", "reasons", "explanation", "evidence", "examples", "situation", "grounds", "damage", "law", "ground", "rights", "offence",
	"legal_basis", "redress", "signature", "authority", "reference", "subject",
	"works.description", "works.kind", "works.original", "works.registration",
	"requester.postal_address", "requester.role", "requester.flagger_id", "requester.authority", "requester.organisation",
}

// Every field that is asked for is used: it changes what is blocked, until when
// something is due, what a letter says, how the case is found or counted; or it is what
// the reviewer reads.
func TestFields_Used(t *testing.T) {
	t.Parallel()
	dir, err := memoryDir()
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := &office{clock: &clock{t: day0}}
	o.Desk = open(t, dir, &desk.Options{Now: o.Now, Notifier: o, Store: storetest.Memory(), MessagesPerDay: -1, UnverifiedDeadlines: true, FaceModels: faceModels, TrustFaceVectors: true})
	about := o.submit(t, samples(t, takedown.CaseID{})[request.KindDMCANotice])
	ok(t, o.Accept(ctx, about.ID, desk.Grant{Actor: alice}))
	all := samples(t, about.ID)
	used := map[string]bool{}
	for _, kind := range request.Kinds() {
		before := o.observe(t, all[kind])
		eachField(reflect.TypeOf(all[kind]), "", func(path string, index []int) {
			if used[path] || slices.Contains(readByReviewers, path) {
				return
			}
			for _, v := range otherValues(t, reflect.TypeOf(all[kind]).FieldByIndex(index).Type) {
				r := reflect.New(reflect.TypeOf(all[kind])).Elem()
				r.Set(reflect.ValueOf(all[kind]))
				r.FieldByIndex(index).Set(reflect.ValueOf(v).Convert(r.FieldByIndex(index).Type()))
				if after := o.observe(t, r.Interface().(request.Request)); after != "" && after != before {
					used[path] = true
					return
				}
			}
		})
	}
	for _, kind := range request.Kinds() {
		eachField(reflect.TypeOf(all[kind]), "", func(path string, _ []int) {
			if !used[path] && !slices.Contains(readByReviewers, path) {
				t.Errorf("%v: the field %s changes nothing", kind, path)
				used[path] = true
			}
		})
	}
}

// eachField calls f with the fields of a request that a person can fill in, except
// statements.
func eachField(typ reflect.Type, prefix string, f func(path string, index []int)) {
	for i := range typ.NumField() {
		sf := typ.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch sf.Type {
		case reflect.TypeFor[request.Statement](), reflect.TypeFor[[]request.Work](), reflect.TypeFor[takedown.CaseID](), reflect.TypeFor[[]takedown.Face](), reflect.TypeFor[[]int]():
			// What they do is shown where they are accepted.
		case reflect.TypeFor[request.Requester]():
			eachField(sf.Type, name+".", func(path string, index []int) { f(path, append([]int{i}, index...)) })
		default:
			f(prefix+name, []int{i})
		}
	}
}

// otherValues are values that a field of a type may have.
func otherValues(t *testing.T, typ reflect.Type) []any {
	t.Helper()
	switch typ {
	case reflect.TypeFor[[]request.File]():
		return []any{[]request.File(nil)}
	case reflect.TypeFor[[]phash.Hash]():
		return []any{[]phash.Hash{pdq(t, 9)}}
	}
	switch typ.Kind() {
	case reflect.Bool:
		return []any{true, false}
	case reflect.String:
		return []any{"DE", "TH", "th", "yes", "owner", "affected", "post", "guardian", "other@example.net", "+66812345678", "Other Words"}
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.String {
			list := reflect.MakeSlice(typ, 0, 0)
			var all []any
			for _, s := range []string{"https://other.example/x.jpg", "other.example", "FR", "index", "0.5,0.5"} {
				all = append(all, reflect.Append(list, reflect.ValueOf(s).Convert(typ.Elem())).Interface())
			}
			return all
		}
	}
	return nil
}

var caseNumbers = regexp.MustCompile(`[a-z2-7]{26}`)

// observe returns what a desk makes of a request, besides keeping its words; empty if
// it does not take it.
func (o *office) observe(t *testing.T, r request.Request) string {
	t.Helper()
	k := o.Check(ctx, r)
	c, err := o.Submit(ctx, r)
	if err != nil || len(c.Problems) > 0 {
		return ""
	}
	o.settle()
	said := c.Request
	c.Request = nil
	b, err := json.Marshal(c)
	ok(t, err)
	var letters []string
	o.mu.Lock()
	for _, m := range o.sent {
		m.ID, m.Time = 0, time.Time{}
		letters = append(letters, fmt.Sprintf("%+v", m))
	}
	o.sent = nil
	o.mu.Unlock()
	slices.Sort(letters)
	due, err := o.DueOf(ctx, c.ID)
	ok(t, err)
	var found []string
	who := said.From()
	for _, p := range []string{who.Email, who.Phone, who.FullName()} {
		if n, err := o.Count(ctx, desk.Query{Person: p, ReceivedFrom: o.Now()}); err == nil && n > 0 {
			found = append(found, p)
		}
	}
	o.later(time.Second) // the next one is found by itself
	text := fmt.Sprintf("%s %v %+v %+v %v", b, letters, k.Material, due, found)
	return regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(caseNumbers.ReplaceAllString(text, "#"), "")
}
