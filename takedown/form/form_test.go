package form_test

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
)

func post(values url.Values) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// The server says what a form is for, and which fields it shows.
func TestDecode_Doors(t *testing.T) {
	t.Parallel()
	withdrawal := url.Values{"requester.email": {"a@example.org"}}
	order := url.Values{"kind": {"authority_order"}, "requester.email": {"a@example.org"}}
	role := url.Values{"requester.email": {"a@example.org"}, "requester.role": {"trusted_flagger"}}
	for name, tc := range map[string]struct {
		values url.Values
		opts   form.Options
		kind   takedown.Kind // zero: refused
	}{
		"its own kind":          {withdrawal, form.Options{Kind: request.KindWithdrawal}, request.KindWithdrawal},
		"another kind":          {order, form.Options{Kind: request.KindWithdrawal}, 0},
		"no kind":               {withdrawal, form.Options{}, 0},
		"a kind of nobody":      {order, form.Options{}, 0},
		"one of several":        {order, form.Options{Kinds: []takedown.Kind{request.KindObjection, request.KindAuthorityOrder}}, request.KindAuthorityOrder},
		"none of several":       {order, form.Options{Kinds: []takedown.Kind{request.KindObjection}}, 0},
		"a field of the form":   {withdrawal, form.Options{Kind: request.KindWithdrawal, Fields: []string{"requester.email"}}, request.KindWithdrawal},
		"a field not shown":     {role, form.Options{Kind: request.KindWithdrawal, Fields: []string{"requester.email"}}, 0},
		"a field of a list":     {url.Values{"works[0].description": {"A photograph"}}, form.Options{Kind: request.KindDMCANotice, Fields: []string{"works.description"}}, request.KindDMCANotice},
		"a form that is larger": {url.Values{"reason": {strings.Repeat("x", 500)}}, form.Options{Kind: request.KindWithdrawal, MaxBytes: 400}, 0},
	} {
		r, err := form.Decode(post(tc.values), &tc.opts)
		var fe *request.FormatError
		switch {
		case tc.kind == 0 && !errors.As(err, &fe):
			t.Errorf("%s: %v, %v", name, r, err)
		case tc.kind != 0 && (err != nil || r.Kind() != tc.kind):
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

func TestDecode_MaxImages(t *testing.T) {
	t.Parallel()
	for n, ok := range map[int]bool{1: true, 2: true, 3: false} {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for range n {
			part, err := w.CreateFormFile("images", "a.jpg")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := part.Write([]byte("a file")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/", &b)
		r.Header.Set("Content-Type", w.FormDataContentType())
		if _, err := form.Decode(r, &form.Options{Kind: request.KindImageOptOut, MaxImages: 2}); (err == nil) != ok {
			t.Errorf("%d images: %v", n, err)
		}
	}
}
