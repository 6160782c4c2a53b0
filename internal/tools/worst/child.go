package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

var decoders = map[phash.Format]phash.Decoder{phash.FormatAVIF: avif.Decode}

// child measures one call about a file.
func child(how, name string) {
	file, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	what, isLate := strings.CutSuffix(how, "-late")
	var m measurement
	if bytes.Contains(file[:min(len(file), 64)], []byte("ftypavif")) {
		warm()
	}
	if isLate {
		m.Late = late(what, file)
	} else {
		before, start := peak(), cpu()
		m.Looked, err = call(context.Background(), what, file)
		m.CPU, m.Peak = cpu()-start, peak()-before
		if err != nil {
			m.Err = strings.ReplaceAll(err.Error(), "\n", " ")
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(m); err != nil {
		log.Fatal(err)
	}
}

// late ends contexts at several times while a call runs, and returns for how long it
// ran on at most.
func late(what string, file []byte) (longest time.Duration) {
	start := time.Now()
	call(context.Background(), what, file)
	whole := time.Since(start)
	for part := range 5 {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan time.Duration, 1)
		time.AfterFunc(whole*time.Duration(2*part+1)/10, func() {
			ended <- cpu()
			cancel()
		})
		call(ctx, what, file)
		done := cpu()
		select {
		case at := <-ended:
			longest = max(longest, done-at)
		default: // it was faster this time
		}
		cancel()
	}
	return longest
}

func call(ctx context.Context, what string, file []byte) (looked bool, err error) {
	switch what {
	case "inspect":
		c, err := takedown.InspectContext(ctx, bytes.NewReader(file), takedown.Source{}, &takedown.InspectOptions{Decode: &phash.DecodeOptions{Decoders: decoders}})
		return len(c.Hashes) > 0, err
	case "submit":
		c := request.Check(ctx, request.ImageOptOut{
			Requester: request.Requester{Name: "A Person", Email: "a@example.org"}, Claim: request.ClaimOwner,
			Images: []request.File{request.FromBytes(file)},
		}, &request.CheckOptions{Decoders: decoders})
		if c.Failed != nil {
			return false, c.Failed
		}
		return len(c.Pictures) > 0, c.Err()
	}
	return false, fmt.Errorf("no mode %q", what)
}

// warm compiles the decoder of AVIF, as a program does once.
func warm() { avif.Decode(nil, 1) }
