package exchange

import "errors"

// isccLine refuses ISCC image codes until the library has that algorithm.
func isccLine(*Entry, string) error { return errors.New("ISCC image codes are not compared") }
