package takedown_test

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"log"
	"os"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// Codes of countries are checked once, at the border of a program: a code that is none
// would count as every country.
func ExampleParseCountry() {
	for _, code := range []string{"de", "UK", "GERMANY"} {
		country, err := takedown.ParseCountry(code)
		fmt.Println(country, err != nil)
	}
	// Output:
	// DE false
	// GB false
	//  true
}

// The names of kinds and the ids of cases are read back from a database.
func ExampleParseCaseID() {
	id, err := takedown.ParseCaseID("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	if err != nil {
		log.Fatal(err)
	}
	kind, err := takedown.ParseKind("dsa_notice")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(id == takedown.CaseID{}, kind)
	// Output:
	// true dsa_notice
}

// A photograph may be shown, and must not train a model: rules about a single use count
// only where that use is asked for.
func ExampleEnforcer_For() {
	enforcer, err := takedown.Load("testdata/blocklist.snap", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()
	training := enforcer.For(takedown.PurposeTrain)
	fmt.Println(training.FilterURL("https://elsewhere.example/a.jpg").Verdict)
	fmt.Println(enforcer.FilterPage("https://elsewhere.example/").Verdict)
	// Output:
	// allow
	// allow
}

// What to watch: the age of each list, and its errors.
func ExampleEnforcer_Info() {
	enforcer, err := takedown.Load("testdata/blocklist.snap", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()
	for _, list := range enforcer.Info() {
		fmt.Println(list.Counts.Rules, "rule, closed:", list.Closed, "failures:", len(list.Failing))
	}
	// Output:
	// 1 rule, closed: false failures: 0
}

// A node sends a match to the desk as JSON. It has the same verdict there, and no face
// in it.
func ExampleMatch() {
	enforcer, err := takedown.Load("testdata/blocklist.snap", nil) // blocks all copies of testdata/picture.jpg
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()
	file, err := os.Open("testdata/picture.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	candidate, err := takedown.InspectContext(context.Background(), file, takedown.Source{ImageURL: "https://elsewhere.example/a.jpg"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	sent, err := json.Marshal(takedown.Match{Candidate: candidate, Decision: enforcer.Check(candidate)})
	if err != nil {
		log.Fatal(err)
	}
	var m takedown.Match
	if err := json.Unmarshal(sent, &m); err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Decision == enforcer.Check(m.Candidate), m.Decision.Verdict)
	for range enforcer.Matches(m.Candidate) { // every rule, not only the strongest
		fmt.Println("a match")
	}
	fmt.Println(len(enforcer.MatchCounts()), "report for the match budget")
	// Output:
	// true block
	// a match
	// 1 report for the match budget
}

// Faces leave a process only where they are asked for, and sealed.
func ExampleCandidate_MarshalSealed() {
	face, err := takedown.NewFace("our-model@4", make512(1))
	if err != nil {
		log.Fatal(err)
	}
	key := blocklist.EncryptionKey{1} // use 32 random bytes
	sealed, err := takedown.Candidate{Faces: []takedown.Face{face}}.MarshalSealed(&key)
	if err != nil {
		log.Fatal(err)
	}
	var c takedown.Candidate
	if err := c.UnmarshalSealed(&key, sealed); err != nil {
		log.Fatal(err)
	}
	similarity, ok := c.Faces[0].Similarity(face)
	fmt.Println(similarity, ok, c.Faces[0]) // prints no vector
	// Output:
	// 1 true Face(our-model@4, 512 dimensions)
}

// A detector misses faces that fill the frame or are turned. FaceSearch shows it the
// picture in several ways.
func ExampleFaceSearch() {
	detector := takedown.FaceEmbedderFunc(func(_ context.Context, m image.Image) ([]takedown.FoundFace, error) {
		if m.Bounds().Dx() > m.Bounds().Dy() {
			return nil, nil // this one finds upright pictures only
		}
		face, err := takedown.NewFace("our-model@4", make512(1))
		return []takedown.FoundFace{{Face: face, Box: m.Bounds(), Quality: 0.9}}, err
	})
	search := &takedown.FaceSearch{Embedder: detector, Looks: takedown.FaceLooks()}
	found, err := takedown.EmbedFaces(context.Background(), search, image.NewGray(image.Rect(0, 0, 200, 100)))
	fmt.Println(len(found), err)
	// Output:
	// 1 <nil>
}

// make512 stands for what a service's own face model returns.
func make512(person int) []float32 {
	v := make([]float32, 512)
	for i := range v {
		v[i] = float32((i*37+person*101)%23) - 11
	}
	return v
}
