package storetest_test

import (
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
)

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cases.db")
	storetest.Run(t, func(tb testing.TB) desk.Store {
		s, err := desk.OpenStore(path)
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}

func TestMemoryWithJournal(t *testing.T) {
	t.Parallel()
	s, j := storetest.MemoryWithJournal()
	storetest.RunJoint(t, func(testing.TB) (desk.Store, desk.JointJournal) { return s, unclosed{j} })
}

// unclosed is a journal that can be used again after Close.
type unclosed struct{ desk.JointJournal }

func (unclosed) Close() error { return nil }

func TestMemory(t *testing.T) {
	t.Parallel()
	s := storetest.Memory()
	storetest.Run(t, func(testing.TB) desk.Store { return s })
}
