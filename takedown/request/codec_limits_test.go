package request_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
)

// endless gives a form whose parts never end, and counts what is read of it.
type endless struct {
	part string
	at   int
	n    int64
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], e.part[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.part)
	}
	e.n += int64(n)
	return n, nil
}

func (e *endless) Close() error { return nil }

// Whatever a form is made of, no more of it is read than a request may have, and
// no more is held in memory than that: names count as values do. It is not
// parallel: it counts what is allocated.
func TestDecodeForm_Bounded(t *testing.T) {
	head := "--x\r\nContent-Disposition: form-data; name="
	long := strings.Repeat("n", 9<<20)
	for _, tc := range []struct {
		name, part string
		most       int64 // bytes that are read of it
	}{
		{"long names", head + "\"" + long + "\"\r\n\r\nv\r\n", 20 << 20},
		{"long names of files", head + "\"images\"; filename=\"" + long + "\"\r\n\r\nv\r\n", 20 << 20},
		{"another header that is long", head + "\"reason\"\r\nX-Other: " + long + "\r\n\r\nv\r\n", 20 << 20},
		{"names just too long", head + "\"" + long[:257] + "\"\r\n\r\nv\r\n", 1 << 20},
		{"a part that does not end", long, request.MaxBytes + 1<<20},
	} {
		body := &endless{part: tc.part}
		r := httptest.NewRequest("POST", "/", body)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := form.Decode(r, &form.Options{Kinds: request.Kinds()})
		runtime.ReadMemStats(&after)
		var format *request.FormatError
		if !errors.As(err, &format) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if body.n > tc.most {
			t.Errorf("%s: %d bytes were read", tc.name, body.n)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 200<<20 {
			t.Errorf("%s: takes %d bytes", tc.name, used)
		}
	}
}

// Every list of every kind has a limit, and of its JSON no more is decoded than
// one element beyond, by which Validate tells that there are too many. It is not
// parallel: it counts what is allocated.
func TestDecodeRequest_LongLists(t *testing.T) {
	const length = 1 << 18
	for kind, r := range samples(t, takedown.CaseID{1}) {
		typ := reflect.Indirect(reflect.ValueOf(r)).Type()
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Type.Kind() != reflect.Slice {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			max, err := strconv.Atoi(f.Tag.Get("max"))
			if err != nil || max <= 0 || max > 1000 {
				t.Errorf("%v: %s has no limit", kind, name)
				continue
			}
			for _, spelt := range []string{name, strings.ToUpper(name)} {
				body := fmt.Appendf(nil, `{"kind":%q, %q : [`, kind, spelt)
				body = append(body, bytes.Repeat([]byte(" null ,"), length)...)
				body = append(body, "null]}"...)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				got, err := request.Decode(bytes.NewReader(body))
				runtime.ReadMemStats(&after)
				ok(t, err)
				list := reflect.ValueOf(got).FieldByIndex(f.Index)
				if list.Len() != max+1 {
					t.Errorf("%v: %s has %d elements, want %d", kind, spelt, list.Len(), max+1)
				}
				// Reading to the end of an unknown length takes six times the body, the
				// members one more.
				if used := after.TotalAlloc - before.TotalAlloc; used > 10*uint64(len(body)) {
					t.Errorf("%v: %s of %d bytes takes %d", kind, spelt, len(body), used)
				}
				if found := problems(request.Validate(got, nil)); !slices.ContainsFunc(found, func(p string) bool { return strings.HasPrefix(p, name+": too_many") }) {
					t.Errorf("%v: %s: problems %v", kind, spelt, found)
				}
			}
		}
	}
}

// What is within the limits is decoded as it was sent, whatever it holds.
func TestDecodeRequest_ListsWithinLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		list []string
	}{
		{"empty", []string{}},
		{"one", []string{"https://example.org/a,b"}},
		{"brackets, quotes and commas", []string{`[],"{}`, `\`, `\\"`, "],[", `"]},{"`, "ก,ข"}},
		{"as many as there may be", slices.Repeat([]string{`a",]`}, 1000)},
		{"one more", slices.Repeat([]string{`a",]`}, 1001)},
	} {
		b, err := json.MarshalIndent(map[string]any{"kind": "image_opt_out", "examples": tc.list, "reason": `,"]`}, "  ", "\t")
		ok(t, err)
		r, err := request.Decode(bytes.NewReader(b))
		ok(t, err)
		if got := r.(request.ImageOptOut); !slices.Equal(got.Examples, tc.list) || got.Reason != `,"]` {
			t.Errorf("%s: %d of %d examples, reason %q", tc.name, len(got.Examples), len(tc.list), got.Reason)
		}
	}
	// The first elements of a longer list are those that were sent.
	list := make([]string, 5000)
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	b, err := json.Marshal(map[string]any{"kind": "image_opt_out", "examples": list})
	ok(t, err)
	r, err := request.Decode(bytes.NewReader(b))
	ok(t, err)
	if got := r.(request.ImageOptOut).Examples; !slices.Equal(got, list[:1001]) {
		t.Errorf("%d examples, the last %q", len(got), got[len(got)-1])
	}
}

// A request with more fields than any has is refused before they are kept.
func TestDecodeRequest_ManyFields(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"kind":"image_opt_out"`)
	for i := range 1 << 16 {
		fmt.Fprintf(&b, `,"f%d":0`, i)
	}
	b.WriteString("}")
	var fe *request.FormatError
	if _, err := request.Decode(strings.NewReader(b.String())); !errors.As(err, &fe) || !strings.Contains(fe.Why, "100 fields") {
		t.Errorf("%v", err)
	}
}
