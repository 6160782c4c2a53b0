// Staydown checks pictures and addresses against lists of what must stay down,
// and makes, imports, verifies and serves such lists.
//
//	staydown check --list blocklist.snap https://example.com/a.jpg picture.jpg
//
// `staydown --help` describes the commands and the exit codes, and
// `staydown COMMAND --help` each command.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/posener/complete"
	"github.com/willabides/kongplete"

	"github.com/staydown/staydown/cmd/staydown/internal/exchange"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif"
	"github.com/staydown/staydown/takedown"
)

// Exit codes. The text of exitHelp is the contract.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitFound   = 3
	exitDoubt   = 4
	exitUnknown = 5
)

const exitHelp = `
Exit codes:
  0  the command succeeded, and nothing is blocked, held or different
  1  the command failed: a file, a list or a line of input could not be used
  2  the command was called wrongly
  3  at least one target is blocked; for diff: the lists differ
  4  nothing is blocked, but at least one target is held for review, or is
     blocked in some countries only
  5  no answer: a list is too old, not signed by a trusted key, or another one
If several apply, the first of 1, 3, 5, 4 is returned.

A list is a file that a desk published (a snapshot), a folder of a list, or the
folder of a desk. A folder that a running program has open cannot be read: use
the file that it publishes.`

// cli is the command line.
type cli struct {
	JSON  bool `help:"Print one JSON object on each line instead of text." short:"j"`
	Quiet bool `help:"Print no progress bar." short:"q"`

	Hash    hashCmd    `cmd:"" help:"Print the hashes of pictures." group:"Pictures"`
	Compare compareCmd `cmd:"" help:"Compare two pictures as a list would, tier by tier." group:"Pictures"`

	Check checkCmd `cmd:"" help:"Tell whether addresses, pictures and hashes are blocked, by which case, since when." group:"Answers"`
	Serve serveCmd `cmd:"" help:"Answer over HTTP, for programs in other languages." group:"Answers"`
	Sweep sweepCmd `cmd:"" help:"Find everything in a folder or a table of an index that must go." group:"Answers"`

	Inspect inspectCmd `cmd:"" help:"Show what a list is: its number, age, size, signature, or one of its rules." group:"Lists"`
	Verify  verifyCmd  `cmd:"" help:"Verify that a list is genuine, whole and fresh." group:"Lists"`
	Diff    diffCmd    `cmd:"" help:"Compare two lists, rule by rule." group:"Lists"`
	Dump    dumpCmd    `cmd:"" help:"Write all events of a list as JSON Lines, without loss." group:"Lists"`
	Load    loadCmd    `cmd:"" help:"Make a list from what dump wrote." group:"Lists"`
	Import  importCmds `cmd:"" help:"Import the list of another organisation, or withdraw it." group:"Lists"`
	Export  exportCmd  `cmd:"" help:"Write hashes, feedback or notices in the form of another organisation." group:"Lists"`
	Keygen  keygenCmd  `cmd:"" help:"Make a key for signing or encrypting lists." group:"Lists"`
	Sign    signCmd    `cmd:"" help:"Publish a list as a signed file for other machines." group:"Lists"`

	Desk deskCmds `cmd:"" help:"Work with a desk: queue, case, accept, reject, due, expire, backup, recover, report." group:"Desk"`
	Feed feedCmds `cmd:"" help:"Publish a list as a feed, or follow one." group:"Lists"`

	Completion kongplete.InstallCompletions `cmd:"" help:"Print the commands that switch on completion in a shell: source <(staydown completion)." group:"Other"`
}

// app is what every command works with.
type app struct {
	*cli
	ctx    context.Context
	in     io.Reader
	out    io.Writer
	errOut io.Writer
	// tally collects the outcome of the command.
	failed, found, unknown, doubt bool
}

// code is the exit code for everything that was noted.
func (a *app) code() int {
	switch {
	case a.failed:
		return exitFailed
	case a.found:
		return exitFound
	case a.unknown:
		return exitUnknown
	case a.doubt:
		return exitDoubt
	}
	return exitOK
}

// fail reports a problem that does not end the command.
func (a *app) fail(format string, args ...any) {
	a.failed = true
	fmt.Fprintf(a.errOut, "staydown: "+format+"\n", args...)
}

// note takes the verdict of a decision into the exit code.
func (a *app) note(v takedown.Verdict) {
	switch v {
	case takedown.Block:
		a.found = true
	case takedown.Unknown:
		a.unknown = true
	case takedown.Review, takedown.Restricted:
		a.doubt = true
	}
}

// print writes an object as a line of JSON, or text.
func (a *app) print(v any, text string) {
	if !a.JSON {
		fmt.Fprintln(a.out, text)
		return
	}
	line, err := json.Marshal(v)
	if err != nil {
		a.fail("%v", err)
		return
	}
	fmt.Fprintf(a.out, "%s\n", line)
}

// usageError is a mistake in the call, found by a command.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// unknownError ends a command without an answer.
type unknownError struct{ err error }

func (e *unknownError) Error() string { return e.err.Error() }
func (e *unknownError) Unwrap() error { return e.err }

// decoding returns the options of decoding, with AVIF.
func decoding() *phash.DecodeOptions {
	return &phash.DecodeOptions{Decoders: map[phash.Format]phash.Decoder{phash.FormatAVIF: avif.Decode}}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exited carries the exit code of kong's own help and version out of Parse.
type exited int

// run is the program, with everything that it touches, so that tests can call it.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) (code int) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exited:
			code = int(e)
		default:
			panic(e)
		}
	}()
	a := &app{cli: new(cli), ctx: ctx, in: in, out: out, errOut: errOut}
	parser := kong.Must(a.cli,
		kong.Name("staydown"),
		kong.Description("Checks pictures and addresses against lists of what must stay down, and makes, imports, verifies and serves such lists.\n"+exitHelp),
		kong.Writers(out, errOut),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Vars{"lists": listHelp, "formats": strings.Join(exchange.Names(), ",")},
	)
	if os.Getenv("COMP_LINE") != "" {
		kongplete.Complete(parser, kongplete.WithPredictor("file", complete.PredictFiles("*")))
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errOut, "staydown: %v\nTry: staydown --help\n", err)
		return exitUsage
	}
	switch err := k.Run(a); {
	case err == nil:
	case errors.As(err, new(*usageError)):
		fmt.Fprintf(errOut, "staydown %s: %v\nTry: staydown %[1]s --help\n", strings.Fields(k.Command())[0], err)
		return exitUsage
	case errors.As(err, new(*unknownError)):
		fmt.Fprintf(errOut, "staydown: %v\n", err)
		a.unknown = true
	default:
		a.fail("%v", err)
	}
	return a.code()
}
