package calibrate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/staydown/staydown/internal/embedding"
)

// ErrInput is wrapped by errors about data that cannot be read or used.
var ErrInput = errors.New("unusable labelled vectors")

// Bounds on what is read, which cap the memory that is used.
const (
	MaxVectors = 100_000
	maxLine    = 1 << 20 // bytes
)

// Face is a vector with a label.
type Face struct {
	Person string
	// File is the photograph, if known. Vectors of the same one, as of altered
	// copies, are not compared: they say nothing about other photographs.
	File   string
	Vector embedding.Vector
}

// Read reads labelled vectors, one on each line, either as JSON
//
//	{"person": "a", "vector": [0.1, -0.2, …], "model": "arcface-r100@2", "file": "1.jpg"}
//
// where model and file may be absent and other members are ignored, or as the
// person, a tab, and the numbers, separated by tabs, spaces or commas. Empty
// lines and lines that begin with # are skipped. The model is that of the data;
// if the data name none, it is the one given. All vectors must be of one model
// and length. Errors wrap ErrInput and name the line, never the person.
func Read(r io.Reader, model string) ([]Face, error) {
	var faces []Face
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimRight(lines.Bytes(), " \t\r")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		face, err := readLine(line, model)
		if err != nil {
			return nil, fmt.Errorf("calibrate: line %d: %w: %w", n, err, ErrInput)
		}
		if len(faces) > 0 && face.Vector.Model() != faces[0].Vector.Model() {
			return nil, fmt.Errorf("calibrate: line %d: %v after %v: %w: %w", n, face.Vector, faces[0].Vector, embedding.ErrModel, ErrInput)
		}
		if faces = append(faces, face); len(faces) > MaxVectors {
			return nil, fmt.Errorf("calibrate: more than %d vectors: %w", MaxVectors, ErrInput)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("calibrate: line %d: %w: %w", n+1, err, ErrInput)
	}
	return faces, nil
}

func readLine(line []byte, model string) (Face, error) {
	var in struct {
		Person string    `json:"person"`
		File   string    `json:"file"`
		Model  string    `json:"model"`
		Vector []float32 `json:"vector"`
	}
	if bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
		if err := json.Unmarshal(line, &in); err != nil {
			// The decoder's own text may quote what it read.
			return Face{}, errors.New("not a JSON object with the members person and vector")
		}
	} else {
		person, numbers, _ := strings.Cut(string(line), "\t")
		in.Person = strings.TrimSpace(person)
		for i, s := range strings.FieldsFunc(numbers, func(r rune) bool { return strings.ContainsRune("\t ,", r) }) {
			f, err := strconv.ParseFloat(s, 32)
			if err != nil {
				return Face{}, fmt.Errorf("component %d is not a number of 32 bits", i)
			}
			in.Vector = append(in.Vector, float32(f))
		}
	}
	if in.Person == "" {
		return Face{}, errors.New("no person")
	}
	if in.Model == "" {
		in.Model = model
	}
	v, err := embedding.New(embedding.Model{Name: in.Model, Dimensions: len(in.Vector)}, in.Vector)
	return Face{in.Person, in.File, v}, err
}
