package desk_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// Both exports say the same of every case, and nothing personal.
func TestExport(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ids := map[string]takedown.CaseID{}
	for kind, r := range samples(t, takedown.CaseID{}) {
		if kind == request.KindCounterNotice || kind == request.KindObjection || kind == request.KindComplaint || kind == request.KindWithdrawal {
			continue
		}
		c := o.submit(t, r)
		acceptByTwo(t, o.Desk, c.ID, desk.Grant{})
		ids[c.ID.String()] = c.ID
	}
	c := o.submit(t, samples(t, ids[firstKey(ids)])[request.KindComplaint])
	ids[c.ID.String()] = c.ID

	var table, lines bytes.Buffer
	ok(t, o.ExportCSV(ctx, &table))
	ok(t, o.ExportJSON(ctx, &lines))
	for name, b := range map[string]string{"CSV": table.String(), "JSON": lines.String()} {
		for _, s := range []string{"Requester", "example.org", "http", "lighthouse", "court.example"} {
			if strings.Contains(b, s) {
				t.Errorf("%s holds %q", name, s)
			}
		}
	}
	rows, err := csv.NewReader(&table).ReadAll()
	ok(t, err)
	if len(rows) != len(ids)+1 {
		t.Fatalf("%d rows for %d cases", len(rows), len(ids))
	}
	dec := json.NewDecoder(&lines)
	for _, row := range rows[1:] {
		var object map[string]any
		ok(t, dec.Decode(&object))
		for i, name := range rows[0] {
			got, want := object[name], row[i]
			text := fmt.Sprint(got)
			if list, isList := got.([]any); isList {
				text = strings.Trim(fmt.Sprint(list), "[]")
			}
			if got == nil {
				text = ""
			}
			if text != want {
				t.Errorf("%s: %q in JSON, %q in CSV", name, text, want)
			}
		}
		if _, known := ids[row[0]]; !known {
			t.Errorf("case %s", row[0])
		}
	}

	full := errors.New("disk full")
	if err := o.ExportCSV(ctx, failing{full}); !errors.Is(err, full) {
		t.Errorf("ExportCSV: %v", err)
	}
	if err := o.ExportJSON(ctx, failing{full}); !errors.Is(err, full) {
		t.Errorf("ExportJSON: %v", err)
	}
}

func firstKey(m map[string]takedown.CaseID) string {
	for k := range m {
		return k
	}
	return ""
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
