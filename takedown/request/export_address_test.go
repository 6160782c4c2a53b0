package request

// SplitAddresses is for the tests outside of the package.
func SplitAddresses(text string) []string { return meant(splitAddresses(text)) }
