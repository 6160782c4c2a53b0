package web

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/staydown/staydown/takedown"
)

// secrets derives what only this service can make. The secret of a case is not
// stored: it follows from the key and the number.
type secrets struct{ cases, cookies []byte }

func newSecrets(key []byte) (secrets, error) {
	cases, err := hkdf.Key(sha256.New, key, nil, "staydown web secrets of cases", 32)
	if err != nil {
		return secrets{}, err
	}
	cookies, err := hkdf.Key(sha256.New, key, nil, "staydown web cookies", 32)
	return secrets{cases, cookies}, err
}

var letters = base32.NewEncoding("abcdefghjkmnpqrstvwxyz0123456789").WithPadding(base32.NoPadding)

// ofCase is the secret of a case: 12 letters and digits, 60 bits, in groups of four.
func (s secrets) ofCase(id takedown.CaseID) string {
	m := hmac.New(sha256.New, s.cases)
	m.Write(id[:])
	t := letters.EncodeToString(m.Sum(nil))[:12]
	return t[:4] + "-" + t[4:8] + "-" + t[8:]
}

// opens reports whether somebody knows the secret of a case. Case, dashes and
// blanks do not matter, nor letters that look like digits.
func (s secrets) opens(id takedown.CaseID, secret string) bool {
	return hmac.Equal([]byte(plainCode(s.ofCase(id))), []byte(plainCode(secret)))
}

// plainCode leaves the letters and digits of a code that somebody typed.
func plainCode(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'o' || r == 'O':
			return '0'
		case r == 'i' || r == 'I' || r == 'l' || r == 'L':
			return '1'
		case r == 'u' || r == 'U':
			return 'v'
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		}
		return -1
	}, s)
}

// sign makes the value of a cookie that is valid until a time.
func (s secrets) sign(name string, value []byte, until time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	b = append(b, value...)
	return base64.RawURLEncoding.EncodeToString(append(b, s.mac(name, b)...))
}

func (s secrets) mac(name string, b []byte) []byte {
	m := hmac.New(sha256.New, s.cookies)
	m.Write([]byte(name))
	m.Write([]byte{0})
	m.Write(b)
	return m.Sum(nil)
}

// open returns the value of a cookie that sign made under the same name.
func (s secrets) open(name, text string, now time.Time) ([]byte, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 8+sha256.Size {
		return nil, false
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(sum, s.mac(name, b)) || now.Unix() >= int64(binary.BigEndian.Uint64(b)) {
		return nil, false
	}
	return b[8:], true
}

// visitor returns the number of a browser, which it sets if there is none.
func (h *Handler) visitor(w http.ResponseWriter, r *http.Request) string {
	if v, ok := h.cookies.Value(r, "visitor"); ok {
		return string(v)
	}
	v := rand.Text()
	h.cookies.Keep(w, "visitor", []byte(v), 24*time.Hour)
	return v
}
