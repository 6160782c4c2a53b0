package form

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Limits of a form.
const (
	maxFormFields = 2000
	maxFormText   = 1 << 20 // bytes of one field: 1,000 addresses in a text area
	maxFormName   = 256     // bytes of the name of a field; the longest is 40
	maxFormHeader = 8 << 10 // bytes of what a part says of itself, with the name of its file
)

// Options are the options of [Decode].
type Options struct {
	// Kind is the kind of the request. A form that names another one is refused. Where
	// the form may choose, Kind is zero and Kinds are the kinds that it shows.
	Kind  takedown.Kind
	Kinds []takedown.Kind
	// Fields are the fields that the form shows, by their paths without the numbers of
	// lists: "requester.email", "image_urls", "works.description". A form with other
	// fields is refused, so that nobody can say what was not asked; nil takes every
	// field of the kind.
	Fields []string
	// MaxBytes and MaxImages are limits below those of [request.Decode]; 0 is no other
	// limit.
	MaxBytes  int64
	MaxImages int
	// Statements are the statements that the form shows, by the paths of their
	// fields, for example "good_faith". A ticked box for one of them accepts the
	// statement with this text. The text that the browser sends back is not used,
	// because it may differ from the text that was shown.
	Statements map[string]request.Statement
	// Ignore are names of form fields that are not fields of the request, for
	// example a token against forgery.
	Ignore []string
	// Ignored, unless nil, is called with each field of Ignore that is not empty, for
	// example to look at a field that only programs fill in.
	Ignored func(name, value string)
	// Papers, unless nil, is called with each paper of the form: a file in a field named
	// "papers." and its kind, such as "papers.mandate". Give them to desk.Desk.Submit.
	// Nil takes none. Papers stay in memory.
	Papers func(request.Paper)
	// Now is the time when the form was received, which is stored as the time when
	// its statements were accepted. The zero time means time.Now.
	Now time.Time
	// FaceVectors takes vectors of faces, which a page with the model makes in the
	// browser. Anybody can send others: the desk only holds what resembles them,
	// unless two reviewers grant more.
	FaceVectors bool
	// SpoolDir is the folder for files that are larger than 64 KiB, while the
	// request is used; empty is the default folder for temporary files. They are
	// sealed with a key that is in memory only: see [request.Spool].
	SpoolDir string
}

// Decode reads a request from an HTML form, multipart/form-data or
// application/x-www-form-urlencoded. The names of form fields are paths as in
// [request.Problem].Field: "requester.email", "image_urls",
// "works[0].description".
//
// A list may be several fields of one name; a list of addresses also one text with
// many lines. An image is a file field of up to 10 MB. A face from a browser with
// the model is a text of JSON. A mark that belongs to an image has its number:
// "marks[0]". Empty fields are treated as absent.
//
// A field that the request does not have is refused, as in [request.Decode]. It
// fails with a [*request.FormatError], or with the error of the reader.
func Decode(req *http.Request, opts *Options) (request.Request, error) {
	if opts == nil {
		opts = new(Options)
	}
	f := form{opts: *opts, now: opts.Now}
	if f.now.IsZero() {
		f.now = time.Now()
	}
	f.now = f.now.UTC().Truncate(time.Second)
	typ, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case err == nil && typ == "multipart/form-data" && params["boundary"] != "":
		err = f.readMultipart(req.Body, params["boundary"])
	case err == nil && typ == "application/x-www-form-urlencoded":
		err = f.readURLEncoded(req.Body)
	default:
		err = &request.FormatError{Why: "the Content-Type is neither multipart/form-data nor application/x-www-form-urlencoded"}
	}
	if err != nil {
		return nil, err
	}
	return f.request()
}

// form is a form that is being read: its fields in their order.
type form struct {
	opts   Options
	now    time.Time
	fields []formField
	parts  int   // that were read, empty ones too
	size   int64 // of their names and values
	images int
	papers []request.Paper
}

type formField struct {
	name  string
	value []byte
	file  bool
	image request.File // of a file
}

// size is the length of the value in bytes.
func (ff *formField) size() int64 { return int64(len(ff.value)) + ff.image.Size() }

func (f *form) add(ff formField) error {
	if f.parts++; f.parts > maxFormFields {
		return &request.FormatError{Why: fmt.Sprintf("it has more than %d fields", maxFormFields)}
	}
	if len(ff.name) > maxFormName {
		return &request.FormatError{Why: fmt.Sprintf("the name of a field has more than %d bytes", maxFormName)}
	}
	if f.size += int64(len(ff.name)) + ff.size(); f.size > f.maxBytes() {
		return &request.FormatError{Why: fmt.Sprintf("it has more than %d bytes", f.maxBytes())}
	}
	if ff.file && ff.size() > 0 {
		if f.images++; f.opts.MaxImages > 0 && f.images > f.opts.MaxImages {
			return &request.FormatError{Field: plain(ff.name), Why: fmt.Sprintf("the form takes at most %d files", f.opts.MaxImages)}
		}
	}
	if ff.size() > 0 {
		f.fields = append(f.fields, ff)
	}
	return nil
}

// readMultipart reads part by part: net/http's own parser would first put the
// files on the disk, personal data in a folder that nobody erases; here they are
// sealed. It reads no more than a request may have, also of what is no value.
func (f *form) readMultipart(body io.Reader, boundary string) error {
	limited := &io.LimitedReader{R: body, N: f.maxBytes() + 1}
	err := f.readParts(multipart.NewReader(limited, boundary))
	if limited.N <= 0 {
		return &request.FormatError{Why: fmt.Sprintf("it has more than %d bytes", f.maxBytes())}
	}
	return err
}

// maxBytes is the maximum size of the form.
func (f *form) maxBytes() int64 {
	if f.opts.MaxBytes > 0 {
		return min(f.opts.MaxBytes, request.MaxBytes)
	}
	return request.MaxBytes
}

func (f *form) readParts(r *multipart.Reader) error {
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return formReadError(err)
		}
		header := 0
		for name, values := range part.Header {
			header += len(name) + len(strings.Join(values, ""))
		}
		if header > maxFormHeader {
			return &request.FormatError{Why: fmt.Sprintf("what a part says of itself has more than %d bytes", maxFormHeader)}
		}
		// A file is told by its file name, as browsers send one with it.
		ff := formField{name: part.FormName(), file: part.FileName() != ""}
		if kind, ok := strings.CutPrefix(ff.name, paperPrefix); ok && f.opts.Papers != nil && ff.file {
			if err := f.readPaper(part, request.PaperKind(kind)); err != nil {
				return err
			}
			continue
		}
		if ff.file {
			// One byte more shows the validation that it is too large.
			limit := min(phash.DefaultMaxBytes+1, f.maxBytes()-f.size+1)
			if ff.image, err = f.readFile(io.LimitReader(part, limit), limit); err != nil {
				return err
			}
		} else if ff.value, err = io.ReadAll(io.LimitReader(part, maxFormText+1)); err != nil {
			return formReadError(err)
		}
		if len(ff.value) > maxFormText {
			return &request.FormatError{Field: plain(ff.name), Why: fmt.Sprintf("it has more than %d bytes", maxFormText)}
		}
		if err := f.add(ff); err != nil {
			return err
		}
	}
}

// paperPrefix is before the kind of a paper in the name of its field.
const paperPrefix = "papers."

// readPaper reads a paper of a form. An empty file is none.
func (f *form) readPaper(part *multipart.Part, kind request.PaperKind) error {
	name := plain(paperPrefix + string(kind))
	refuse := func(why string) error { return &request.FormatError{Field: name, Why: why} }
	data, err := io.ReadAll(io.LimitReader(part, request.MaxPaperBytes+1))
	switch {
	case err != nil:
		return formReadError(err)
	case len(data) == 0:
		return nil
	case len(data) > request.MaxPaperBytes:
		return refuse(fmt.Sprintf("a paper has at most %d bytes", request.MaxPaperBytes))
	case !slices.Contains(request.PaperKinds(), kind):
		return refuse("it is no kind of paper")
	case len(f.papers) == request.MaxPapers:
		return refuse(fmt.Sprintf("the form takes at most %d papers", request.MaxPapers))
	}
	if f.size += int64(len(data)); f.size > f.maxBytes() {
		return &request.FormatError{Why: fmt.Sprintf("it has more than %d bytes", f.maxBytes())}
	}
	f.papers = append(f.papers, request.Paper{Kind: kind, Name: request.PaperName(part.FileName()), Data: data})
	return nil
}

// readFile reads a file of a form. A small one stays in memory.
func (f *form) readFile(r io.Reader, max int64) (request.File, error) {
	const small = 64 << 10
	head, err := io.ReadAll(io.LimitReader(r, small+1))
	if err != nil {
		return request.File{}, formReadError(err)
	}
	if len(head) <= small {
		return request.FromBytes(head), nil
	}
	body := &bodyReader{r: r}
	file, err := request.Spool(io.MultiReader(bytes.NewReader(head), body), f.opts.SpoolDir, max)
	if body.err != nil {
		return request.File{}, formReadError(body.err)
	}
	return file, err
}

// bodyReader remembers the error of a body, to tell it from one of the disk.
type bodyReader struct {
	r   io.Reader
	err error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// formReadError keeps the error of a body that is too large, and replaces all
// others, whose texts can repeat what is in the form.
func formReadError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fmt.Errorf("takedown: request: %w", err)
	}
	return &request.FormatError{Why: "the form is cut off or no multipart/form-data"}
}

func (f *form) readURLEncoded(body io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(body, 4*maxFormText+1))
	if err != nil {
		return fmt.Errorf("takedown: request: %w", err)
	}
	if len(b) > 4*maxFormText {
		return &request.FormatError{Why: fmt.Sprintf("it has more than %d bytes", 4*maxFormText)}
	}
	for pair := range strings.SplitSeq(string(b), "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return &request.FormatError{Why: "a percent sign is not followed by two hexadecimal digits"}
		}
		if name == "" && value == "" {
			continue
		}
		if err := f.add(formField{name: name, value: []byte(value)}); err != nil {
			return err
		}
	}
	return nil
}

// request makes the request of the fields.
func (f *form) request() (request.Request, error) {
	kind, err := f.kind()
	if err != nil {
		return nil, err
	}
	empty := request.New(kind)
	r := reflect.New(reflect.TypeOf(empty)).Elem()
	for _, ff := range f.fields {
		if ff.name == "kind" {
			continue
		}
		if slices.Contains(f.opts.Ignore, ff.name) {
			if f.opts.Ignored != nil {
				f.opts.Ignored(ff.name, string(ff.value))
			}
			continue
		}
		if f.opts.Fields != nil && !slices.Contains(f.opts.Fields, listNumber.ReplaceAllString(ff.name, "")) {
			return nil, &request.FormatError{Field: plain(ff.name), Why: "the form has no such field"}
		}
		if err := f.set(r, ff); err != nil {
			return nil, err
		}
	}
	for _, p := range f.papers {
		f.opts.Papers(p)
	}
	return r.Interface().(request.Request), nil
}

var listNumber = regexp.MustCompile(`\[[0-9]+\]`)

// kind returns the kind of the request: the server's, or one of those that the form
// may choose.
func (f *form) kind() (takedown.Kind, error) {
	kind := f.opts.Kind
	for _, ff := range f.fields {
		if ff.name != "kind" {
			continue
		}
		k, err := takedown.ParseKind(string(ff.value))
		switch {
		case err != nil:
			return 0, &request.FormatError{Field: "kind", Why: strings.TrimPrefix(err.Error(), "takedown: ")}
		case f.opts.Kind != 0 && k != f.opts.Kind, f.opts.Kind == 0 && !slices.Contains(f.opts.Kinds, k):
			return 0, &request.FormatError{Field: "kind", Why: "this form is for requests of another kind"}
		}
		kind = k
	}
	if request.New(kind) == nil {
		return 0, &request.FormatError{Field: "kind", Why: "it is missing, and form.Options.Kind names none"}
	}
	return kind, nil
}

// plain returns a field's name if it can stand in an error.
func plain(name string) string {
	if fields.Plain.MatchString(name) {
		return name
	}
	return ""
}

func (f *form) set(r reflect.Value, ff formField) error {
	v, ok := fields.At(r, ff.name, true)
	if !ok {
		return &request.FormatError{Field: plain(ff.name), Why: "requests of this kind have no such field"}
	}
	if v.Type() == reflect.TypeFor[[]request.File]() {
		if !ff.file {
			return &request.FormatError{Field: ff.name, Why: "it has to be a file"}
		}
		return f.appendTo(r, v, ff)
	}
	if ff.file {
		return &request.FormatError{Field: ff.name, Why: "no file belongs there"}
	}
	text := strings.ReplaceAll(string(ff.value), "\r\n", "\n")
	switch x := v.Addr().Interface().(type) {
	case *request.Statement:
		shown, ok := f.opts.Statements[ff.name]
		if !ok {
			return &request.FormatError{Field: ff.name, Why: "form.Options.Statements does not say which text was shown"}
		}
		if ticked(text) {
			*x = shown
			x.Accepted = f.now
		}
		return nil
	case *takedown.CaseID:
		id, err := takedown.ParseCaseID(strings.TrimSpace(text))
		if err != nil {
			return &request.FormatError{Field: ff.name, Why: "it is no case number"}
		}
		*x = id
		return nil
	case *time.Time:
		return &request.FormatError{Field: ff.name, Why: "a time cannot be given in a form; tick the statement itself"}
	}
	if strings.HasPrefix(ff.name, "requester.") || !strings.Contains(ff.name, ".") || strings.HasPrefix(ff.name, "works[") {
		return f.setPlain(r, v, ff, text)
	}
	// The parts of a statement are not the browser's to say.
	return &request.FormatError{Field: ff.name, Why: "a statement is accepted by ticking it"}
}

func (f *form) setPlain(r, v reflect.Value, ff formField, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(ticked(text))
	case reflect.Slice:
		return f.appendTo(r, v, ff)
	default:
		return &request.FormatError{Field: ff.name, Why: "it cannot be given in a form"}
	}
	return nil
}

// appendTo adds to a list, within the limit of its tag and one more, which
// shows the validation that there are too many.
func (f *form) appendTo(r, v reflect.Value, ff formField) error {
	sf, ok := fields.ByName(r.Type(), ff.name)
	max, err := strconv.Atoi(sf.Tag.Get("max"))
	if !ok || err != nil {
		return &request.FormatError{Field: ff.name, Why: "it is no list of a form"}
	}
	add := func(x reflect.Value) {
		if v.Len() <= max {
			v.Set(reflect.Append(v, x))
		}
	}
	text := string(ff.value)
	switch list := v.Addr().Interface().(type) {
	case *[]request.File:
		add(reflect.ValueOf(ff.image))
	case *[]string:
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				add(reflect.ValueOf(line))
			}
		}
	case *[]int:
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return &request.FormatError{Field: ff.name, Why: "it is no number"}
		}
		add(reflect.ValueOf(n))
	case *[]phash.Hash:
		for _, word := range strings.Fields(text) {
			h, err := phash.Parse(word)
			if err != nil {
				return &request.FormatError{Field: ff.name, Why: "it is no hash; pdq: and 64 hexadecimal digits would be one"}
			}
			add(reflect.ValueOf(h))
		}
	case *[]takedown.Face:
		if !f.opts.FaceVectors {
			return &request.FormatError{Field: ff.name, Why: "this form takes pictures of a face, not vectors"}
		}
		var face takedown.Face
		if err := json.Unmarshal(ff.value, &face); err != nil {
			return &request.FormatError{Field: ff.name, Why: "it is no face in JSON; see the schema"}
		}
		add(reflect.ValueOf(face))
	case *[]request.Right:
		add(reflect.ValueOf(request.Right(text)))
	case *[]request.Use:
		add(reflect.ValueOf(request.Use(text)))
	default:
		return &request.FormatError{Field: ff.name, Why: fmt.Sprintf("a list of %d values cannot be given in a form", reflect.ValueOf(list).Elem().Len())}
	}
	return nil
}

// ticked reads a box: browsers send "on", scripts "true", "yes" or "1".
func ticked(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "on", "true", "yes", "1":
		return true
	}
	return false
}
