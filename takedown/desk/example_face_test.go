package desk_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// vector stands for what a service's own face model makes of a photograph: those
// of one person lie near each other.
func vector(person, photo uint64) []float32 {
	p, q := rand.New(rand.NewPCG(person, 0)), rand.New(rand.NewPCG(person, photo))
	v := make([]float32, 512)
	for i := range v {
		v[i] = float32(p.NormFloat64() + 0.3*q.NormFloat64())
	}
	return v
}

// Somebody asks that no picture of their face is shown. Vectors are those of the
// service's own model, and so are the thresholds: docs/faces.md says how to find
// them.
func Example_faceOptOut() {
	dir, err := os.MkdirTemp("", "takedowns")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const model = "our-model@4"
	dk, err := desk.Open(dir, &desk.Options{
		FaceModels:  []desk.FaceModel{{Name: model, Dimensions: 512, Block: 0.8, Review: 0.6}},
		OneReviewer: true, // two are the default
		// The vectors come from our own code, not from the sender.
		TrustFaceVectors: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()

	face := func(person, photo uint64) takedown.Face {
		f, err := takedown.NewFace(model, vector(person, photo))
		if err != nil {
			log.Fatal(err)
		}
		return f
	}
	ctx := context.Background()
	c, err := dk.Submit(ctx, request.FaceOptOut{
		Requester: request.Requester{Name: "A. Person", Email: "person@example.org"},
		Faces:     []takedown.Face{face(1, 1), face(1, 2)}, // or Images, with desk.Options.FaceEmbedder
		Biometric: request.Statement{Text: "You may make a template of my face, only to enforce this.", Accepted: time.Now()},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := dk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "reviewer-1"}}); err != nil {
		log.Fatal(err)
	}

	// A crawler meets another photograph of the person, in company, and one of
	// somebody else.
	d := dk.Enforcer().Check(takedown.Candidate{Faces: []takedown.Face{face(2, 9), face(1, 9)}})
	fmt.Printf("%v by %v: face %d, similar by %.1f\n", d.Verdict, d.Why, d.Face, d.Similarity)
	d = dk.Enforcer().Check(takedown.Candidate{Faces: []takedown.Face{face(2, 9)}})
	fmt.Printf("%v (checked %v)\n", d.Verdict, d.Checked)

	if err := dk.Withdraw(ctx, c.ID, desk.Actor{}); err != nil {
		log.Fatal(err)
	}
	d = dk.Enforcer().Check(takedown.Candidate{Faces: []takedown.Face{face(1, 9)}})
	fmt.Println("withdrawn:", d.Verdict)
	// Output:
	// block by face: face 1, similar by 0.9
	// allow (checked face)
	// withdrawn: allow
}
