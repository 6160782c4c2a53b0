package exchange

import (
	"errors"
	"strings"
	"testing"
)

// No input makes a reader panic or go on for ever, and every entry that it yields
// says how it is recognised or that it has ended.
func FuzzRead(f *testing.F) {
	hash := strings.Repeat("0f", 32)
	for i := range Formats {
		f.Add(uint8(i), hash+",100\n||a.example^\nISCC:EEA\n")
		f.Add(uint8(i), `{"hashRecords":[{"signalType":"ImagePDQ","hashValue":"`+hash+`","hashStatus":"Active"},{}]}`)
		f.Add(uint8(i), `<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images><image><member id="1"/><id>2</id><fingerprints><md5>`+hash[:32]+`</md5></fingerprints></image></images></queryResult>`)
	}
	f.Fuzz(func(t *testing.T, format uint8, text string) {
		x := Formats[int(format)%len(Formats)]
		n, ended := 0, false
		for e, err := range x.Read(strings.NewReader(text)) {
			if ended {
				t.Fatal("goes on behind an error")
			}
			if n++; n > len(text)+1 {
				t.Fatal("more entries than bytes")
			}
			var refused *RefusedError
			switch {
			case errors.As(err, &refused):
				if len(text) > 200 && strings.Contains(refused.Why, text[:100]) {
					t.Error("the reason repeats the entry")
				}
			case err != nil:
				ended = true
			case e.Key == "" || e.Empty() != (e.Status == Ended) && x.Name != "stopncii":
				t.Errorf("%+v", e)
			}
		}
	})
}
