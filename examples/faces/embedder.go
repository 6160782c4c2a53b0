package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/staydown/staydown/takedown"
)

// Limits of the talk with the child.
const (
	maxPixels    = 50_000_000
	maxAnswer    = 1 << 20 // bytes of a line: some hundred faces
	startTimeout = time.Minute
	faceTimeout  = 30 * time.Second // for one picture
)

// Embedder asks a child process for the faces of pictures: here
// examples/calibrate/descriptors/serve.js, which describes what they say to each other. A
// service would talk to its model server in the same way, or call it directly.
//
// One picture is asked about at a time. A child that does not answer in time, or
// answers something else, is killed, and the Embedder broken from then on. A Pool starts
// another one.
type Embedder struct {
	Model      string
	Dimensions int

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	turn   chan struct{} // holds one token
	broken error
}

// errNotInstalled says what is missing on this machine.
var errNotInstalled = errors.New("the face model is not installed")

// startModel starts the public model in the folder examples/calibrate/descriptors.
func startModel(ctx context.Context, folder string) (*Embedder, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("%w: there is no node; run ./scripts/setup faces", errNotInstalled)
	}
	for _, needed := range []string{"serve.js", "node_modules/@vladmandic/face-api/package.json"} {
		if _, err := os.Stat(filepath.Join(folder, needed)); err != nil {
			return nil, fmt.Errorf("%w: there is no %s; run ./scripts/setup faces", errNotInstalled, filepath.Join(folder, needed))
		}
	}
	cmd := exec.Command(node, "serve.js")
	cmd.Dir = folder
	return start(ctx, cmd)
}

// start starts a child and waits until it is ready.
func start(ctx context.Context, cmd *exec.Cmd) (*Embedder, error) {
	e := &Embedder{cmd: cmd, turn: make(chan struct{}, 1)}
	var err error
	if e.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.out = bufio.NewReader(out)
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the face model: %w", err)
	}
	e.turn <- struct{}{}
	var hello struct {
		Model      string
		Dimensions int
	}
	if err := e.talk(ctx, startTimeout, nil, &hello); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.Model, e.Dimensions = hello.Model, hello.Dimensions
	return e, nil
}

// Close ends the child.
func (e *Embedder) Close() error {
	<-e.turn
	defer func() { e.turn <- struct{}{} }()
	if e.broken == nil {
		e.broken = errors.New("the face model is closed")
	}
	e.in.Close()
	stop := time.AfterFunc(5*time.Second, func() { e.cmd.Process.Kill() })
	defer stop.Stop()
	err := e.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // that it ended, and not how, is what was wanted
	}
	return err
}

// isBroken reports whether the child is of no more use.
func (e *Embedder) isBroken() bool {
	<-e.turn
	defer func() { e.turn <- struct{}{} }()
	return e.broken != nil
}

// EmbedFaces implements takedown.FaceEmbedder.
func (e *Embedder) EmbedFaces(ctx context.Context, picture image.Image) ([]takedown.FoundFace, error) {
	b := picture.Bounds()
	if int64(b.Dx())*int64(b.Dy()) > maxPixels {
		return nil, fmt.Errorf("a picture of %d × %d pixels; at most %d pixels are described", b.Dx(), b.Dy(), maxPixels)
	}
	var answer struct {
		Error string
		Faces []struct {
			Box     [4]int
			Vector  []float32
			Quality float64
		}
	}
	if err := e.talk(ctx, faceTimeout, pixels(picture), &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("the face model: %s", answer.Error)
	}
	found := make([]takedown.FoundFace, len(answer.Faces))
	for i, f := range answer.Faces {
		face, err := takedown.NewFace(e.Model, f.Vector)
		if err != nil {
			return nil, err
		}
		found[i] = takedown.FoundFace{Face: face, Box: image.Rect(f.Box[0], f.Box[1], f.Box[2], f.Box[3]).Add(b.Min), Quality: f.Quality}
	}
	return found, nil
}

// pixels is a question: the size of a picture, and its pixels over white, three
// bytes each.
func pixels(picture image.Image) []byte {
	b := picture.Bounds()
	rgba := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(rgba, rgba.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(rgba, rgba.Bounds(), picture, b.Min, draw.Over)
	q := fmt.Appendf(make([]byte, 0, 64+3*b.Dx()*b.Dy()), "{\"width\": %d, \"height\": %d}\n", b.Dx(), b.Dy())
	for i := 0; i < len(rgba.Pix); i += 4 {
		q = append(q, rgba.Pix[i], rgba.Pix[i+1], rgba.Pix[i+2])
	}
	return q
}

// talk sends a question and reads the answer, a line of JSON.
func (e *Embedder) talk(ctx context.Context, timeout time.Duration, question []byte, answer any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-e.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { e.turn <- struct{}{} }()
	if e.broken != nil {
		return e.broken
	}
	// A pipe knows no deadline: whoever gives up ends the child, and with it the
	// reading and writing.
	stop := context.AfterFunc(ctx, func() { e.cmd.Process.Kill() })
	defer func() {
		if !stop() {
			err = ctx.Err()
		}
		if err != nil {
			e.broken = fmt.Errorf("the face model does not answer: %w", err)
			e.cmd.Process.Kill()
			err = e.broken
		}
	}()
	if _, err := e.in.Write(question); err != nil {
		return err
	}
	line, err := readLine(e.out)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, answer); err != nil {
		return fmt.Errorf("no line of JSON: %w", err)
	}
	return nil
}

// readLine reads a line of at most maxAnswer bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line bytes.Buffer
	for {
		part, err := r.ReadSlice('\n')
		if line.Write(part); line.Len() > maxAnswer {
			return nil, fmt.Errorf("a line of more than %d bytes", maxAnswer)
		}
		if err == nil {
			return line.Bytes(), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}
