package blocklist

import (
	"errors"
	"fmt"
)

// Errors about snapshot files.
var (
	// ErrNotSnapshot: the file does not begin as a snapshot does.
	ErrNotSnapshot = errors.New("not a snapshot")
	// ErrVersion: a newer version of this package wrote it.
	ErrVersion = errors.New("written by a newer version")
	// ErrTruncated: the file is shorter or longer than its header says.
	ErrTruncated = errors.New("file is not as long as it says")
	// ErrChecksum: a checksum does not fit its bytes.
	ErrChecksum = errors.New("checksum does not fit")
	// ErrFormat: the checksums fit, but the content contradicts itself.
	ErrFormat = errors.New("content contradicts itself")
	// ErrLimit: a size is beyond what this package accepts.
	ErrLimit = errors.New("beyond a limit")
	// ErrKey: the key, signature or encryption of the list is not the one that was
	// given.
	ErrKey = errors.New("wrong key")
	// ErrSignature: the signature, though by a trusted key, does not fit.
	ErrSignature = errors.New("signature does not fit")
	// ErrFacesUnencrypted: publishing a list with faces without encryption would
	// reveal their keys. Give the list an EncryptionKey; for an existing list use
	// Rekey.
	ErrFacesUnencrypted = errors.New("faces are published in encrypted snapshots only; set Options.EncryptionKey, with Rekey for a list that is there already")
	// ErrRules: the addresses were made canonical by other rules. The list has to
	// be made anew from its addresses.
	ErrRules = errors.New("addresses follow other canonical rules")
	// ErrRollback: Reload found a snapshot older than the one in use, or one of
	// another list.
	ErrRollback = errors.New("not a successor of the list in use")
	// ErrGap: a delta begins after the last event of the list in use. Changes
	// before it are missing.
	ErrGap = errors.New("changes are missing")
	// ErrPosition: the files of a list do not lead where they must.
	ErrPosition = errors.New("files lead to another position")
	// ErrFork: a list has the same number as another one, or a higher one, but
	// other earlier events. It was restored from an older copy and continued from
	// there, or it was made by another party.
	ErrFork = errors.New("list has another history")
)

// Errors about a list and its journal.
var (
	// ErrLocked: another process, or another List of this one, has the folder
	// open for writing.
	ErrLocked = errors.New("folder is open for writing elsewhere")
	// ErrClosed: the list was closed.
	ErrClosed = errors.New("list is closed")
	// ErrReadOnly: a loaded list takes no events.
	ErrReadOnly = errors.New("list was loaded for reading only")
	// ErrJournal: the journal is damaged, or not the one the snapshots were
	// made from.
	ErrJournal = errors.New("journal is damaged")
	// ErrNotWritten: writing failed, for example because the disk is full, and no
	// event is in the journal. The list continues: append again when there is
	// room.
	ErrNotWritten = errors.New("nothing was written")
	// ErrBroken: writing failed earlier, and the state of the disk is unknown.
	// Close the list and open it again.
	ErrBroken = errors.New("an earlier write failed; open the list again")
	// ErrEvent is wrapped by every *EventError.
	ErrEvent = errors.New("event not accepted")
)

// EventError reports why an event was not accepted. No event of its Append was
// written.
type EventError struct {
	Index int    // of the event among those of the call
	Field string // such as "Rule.Scope"
	Why   string // what is wrong, and what would be accepted
}

func (e *EventError) Error() string {
	return fmt.Sprintf("blocklist: event %d: %s: %s", e.Index, e.Field, e.Why)
}

// Unwrap returns ErrEvent.
func (e *EventError) Unwrap() error { return ErrEvent }
