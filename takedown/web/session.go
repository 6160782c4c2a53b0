package web

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Sessions keep who is logged in, in a signed cookie. A [Login] uses them: nothing
// is stored, and a session ends after its life. They are safe for concurrent use.
type Sessions struct {
	secrets secrets
	path    string
	plain   bool
	life    time.Duration
	now     func() time.Time
}

// NewSessions returns sessions that are signed with a key of 32 bytes, another one
// than [Options].Key, for the pages under a path. Plain sets the cookie for plain
// HTTP. A life of 0 is 12 hours.
func NewSessions(key []byte, path string, plain bool, life time.Duration) (*Sessions, error) {
	if len(key) != sha256.Size {
		return nil, errKey
	}
	s, err := newSecrets(key)
	if life == 0 {
		life = 12 * time.Hour
	}
	return &Sessions{s, path, plain, life, time.Now}, err
}

// Drop makes a browser forget what Keep kept.
func (s *Sessions) Drop(w http.ResponseWriter, name string) { s.put(w, name, nil, -1) }

// Set begins the session of a reviewer.
func (s *Sessions) Set(w http.ResponseWriter, who Reviewer) error {
	b, err := json.Marshal(who)
	if err != nil {
		return err
	}
	s.put(w, "session", b, s.life)
	return nil
}

// Get returns who is logged in.
func (s *Sessions) Get(r *http.Request) (who Reviewer, ok bool) {
	b, ok := s.Value(r, "session")
	return who, ok && json.Unmarshal(b, &who) == nil && who.ID != ""
}

// End ends the session of a browser.
func (s *Sessions) End(w http.ResponseWriter) { s.Drop(w, "session") }

// Keep keeps a value in a browser for a while, for example what a log-in elsewhere
// has to bring back.
func (s *Sessions) Keep(w http.ResponseWriter, name string, value []byte, life time.Duration) {
	s.put(w, name, value, life)
}

// Value returns what Keep kept, if it is not over and nobody has changed it.
func (s *Sessions) Value(r *http.Request, name string) ([]byte, bool) {
	c, err := r.Cookie("staydown_" + name)
	if err != nil {
		return nil, false
	}
	return s.secrets.open(name, c.Value, s.now())
}

func (s *Sessions) put(w http.ResponseWriter, name string, value []byte, life time.Duration) {
	c := &http.Cookie{Name: "staydown_" + name, Path: strings.TrimSuffix(s.path, "/") + "/", HttpOnly: true, Secure: !s.plain, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if c.MaxAge > 0 {
		c.Value = s.secrets.sign(name, value, s.now().Add(life))
	} else {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
