package takedown

// Doors for the tests outside of the package.
var (
	SplitAddresses = splitAddresses
	EncodeKeyFile  = func(path string, operator [32]byte, ids ...CaseID) error {
		k, err := openKeyFile(path, operator)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := k.create(id); err != nil {
				return err
			}
		}
		return k.close()
	}
	DecodeKeyFile = func(path string, operator [32]byte) (n int, err error) {
		k, err := openKeyFile(path, operator)
		if err != nil {
			return 0, err
		}
		defer k.close()
		for _, id := range k.f.IDs() {
			if _, err := k.get(id); err == nil {
				n++
			}
		}
		_, err = k.create(CaseID{1})
		return n, err
	}
)

// DocumentedNames are the names that docs/requests.md has to explain.
func DocumentedNames() (names []string) {
	for _, t := range requestTypes {
		names = append(names, t.name)
	}
	for from, tos := range moves {
		names = append(names, string(from))
		for _, to := range tos {
			names = append(names, string(to))
		}
	}
	for _, d := range Deadlines {
		names = append(names, d.Name)
	}
	for _, m := range messageTypes {
		names = append(names, string(m))
	}
	for _, c := range codes {
		names = append(names, string(c))
	}
	return names
}
