// Package cases holds the library to the right answers for small inputs that it
// once answered wrongly: files that browsers show, other people's documents, and
// registrations that must not take effect on other people's pictures. Its tests
// are all it has.
//
//	go test -v ./internal/tools/cases
//
// prints a table of all answers. The inputs are testdata/cases of the shared test
// material. A row of an expect.tsv there is a case; four more cases are functions
// here. Three files say what the tests expect beyond the right answers:
//
//   - known.tsv: the cases that fail today, the answer they get, and the issue that
//     will mend them. A case that fails and is not in the file is an error. So is
//     a case in the file that passes: delete its line, or run with -update. The
//     file only gets shorter.
//   - risks.tsv: the risks of which one must be named where a case may pass by a
//     warning, to the reviewer or to the requester. Another warning does not
//     count.
//   - ordinary.txt: photographs of which no risk may be named.
package cases
