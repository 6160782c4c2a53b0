package desk

import (
	"errors"
	"fmt"
	"strings"
)

// Part is a part of the folder of a desk.
type Part string

// The parts of the folder of a desk.
const (
	PartCases       Part = "cases.db"
	PartKeys        Part = "keys"
	PartOperatorKey Part = "operator.key"
	PartList        Part = "list"
	// PartFolder is the folder as a whole: its parts belong together, and a published
	// file does not.
	PartFolder Part = "folder"
	// PartPublished is a file of Publish. MismatchError.Path is its path.
	PartPublished Part = "published file"
)

// Fault is what is wrong with a Part.
type Fault string

// The faults of a Part.
const (
	FaultMissing Fault = "missing"            // or empty
	FaultOlder   Fault = "older"              // than another part
	FaultFork    Fault = "of another history" // it was restored from a copy and used since
	FaultForeign Fault = "of another desk"    // or sealed under another operator key
	FaultDamaged Fault = "damaged"            // so that it cannot be compared
)

// ErrMismatch is wrapped by every *MismatchError.
var ErrMismatch = errors.New("takedown: the files of the desk do not belong together")

// MismatchError reports that the parts of a folder do not belong together: one is
// missing, was restored from another time, or is of another desk. Open returns it
// before it changes anything. Put the right file back and open the desk again, or
// call [Recover] with a choice.
type MismatchError struct {
	Part  Part
	Fault Fault
	// Than is the part that shows the fault.
	Than Part
	// Has is how far the part goes, and Needs how far it has to: log entries of
	// cases.db, keys made of keys, events of list. Both are 0 if they are not known.
	Has, Needs uint64
	// Path is that of a published file.
	Path string
	// Err is the cause, or nil.
	Err error
}

func (e *MismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "takedown: %s is %s", e.Part, e.Fault)
	if e.Than != "" {
		than := string(e.Than)
		if e.Path != "" {
			than += " " + e.Path
		}
		verb := "as shown by"
		if e.Fault == FaultOlder {
			verb = "than"
		}
		fmt.Fprintf(&b, " %s %s", verb, than)
	}
	if e.Needs != 0 {
		fmt.Fprintf(&b, " (%d %s, %d needed)", e.Has, counted[e.Part], e.Needs)
	}
	fmt.Fprintf(&b, "; %s, or repair it with desk.Recover and the choice %q", e.advice(), e.Choice())
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// counted says what Has and Needs count.
var counted = map[Part]string{PartCases: "log entries", PartKeys: "keys", PartList: "events", PartFolder: "events"}

func (e *MismatchError) advice() string {
	switch {
	case e.Part == PartFolder:
		return "restore the newest backup of the whole folder"
	case e.Part == PartOperatorKey:
		return "give the operator key that the desk was made with"
	case e.Fault == FaultForeign:
		return fmt.Sprintf("put back the %s of this desk", e.Part)
	}
	return fmt.Sprintf("put back the %s that belongs to the other files", e.Part)
}

// Choice returns the choice with which [Recover] repairs the mismatch.
func (e *MismatchError) Choice() Choice {
	switch e.Part {
	case PartOperatorKey:
		return LoseOperatorKey
	case PartKeys:
		return LoseKeys
	case PartCases:
		return LoseCases
	case PartFolder:
		return LoseSince
	}
	return LoseList
}

// Unwrap returns ErrMismatch, the cause, and, for the list, ErrListLost.
func (e *MismatchError) Unwrap() []error {
	errs := []error{ErrMismatch}
	if e.Part == PartList && (e.Fault == FaultOlder || e.Fault == FaultMissing) {
		errs = append(errs, ErrListLost)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}
