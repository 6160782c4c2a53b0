package features

// Record returns what a segment keeps of f: of a segment of more than LeanFrom if
// lean. A segment that is made of records keeps the same as one of the sets. Only
// segments, and Record again, take a record.
func (f Features) Record(lean bool) Features {
	var k work
	if f.b == nil {
		return f
	}
	return Features{k.appendRecord(nil, f, lean)}
}

// OpenRecord reads the encoded form of a record.
func OpenRecord(b []byte) (Features, error) { return checkRecord(b) }
