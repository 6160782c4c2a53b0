package dsatdb_test

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown/desk/internal/dsatdb"
)

// Every test vector agrees: a base statement, with fields dropped and set, and
// the fields that must be reported.
func TestCheck_Vectors(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(sharedtest.Path(t, "dsa-tdb", "derived", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Base  map[string]any
		Cases []struct {
			Name      string
			Set       map[string]any
			Drop      []string
			Valid     bool
			BadFields []string `json:"bad_fields"`
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 60 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, tc := range file.Cases {
		t.Run(tc.Name, func(t *testing.T) {
			row := maps.Clone(file.Base)
			for _, name := range tc.Drop {
				delete(row, name)
			}
			maps.Copy(row, tc.Set)
			got := dsatdb.Check(row)
			if diff := cmp.Diff(tc.BadFields, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
				t.Errorf("fields reported (-want +got):\n%s", diff)
			}
			if tc.Valid != (len(got) == 0) {
				t.Errorf("valid = %v, want %v", len(got) == 0, tc.Valid)
			}
		})
	}
}

// Whatever is in it, an object is judged without a panic, and always the same.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"puid":"a","decision_visibility":["X"],"content_id":{"EAN-13":1}}`))
	f.Add([]byte(`{"decision_visibility":[1,null,{}],"content_date":"2026-02-30"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var row map[string]any
		if json.Unmarshal(b, &row) != nil {
			return
		}
		if diff := cmp.Diff(dsatdb.Check(row), dsatdb.Check(row)); diff != "" {
			t.Error(diff)
		}
	})
}
