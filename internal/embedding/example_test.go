package embedding_test

import (
	"fmt"
	"math"

	"github.com/staydown/staydown/internal/embedding"
)

// A service's model turns each face into numbers; wave stands for one.
func wave(frequency float64) []float32 {
	x := make([]float32, 128)
	for i := range x {
		x[i] = float32(math.Sin(frequency * float64(i)))
	}
	return x
}

func Example() {
	model := embedding.Model{Name: "example@1", Dimensions: 128}
	registered, err := embedding.New(model, wave(0.5))
	if err != nil {
		fmt.Println(err)
		return
	}
	faces, err := embedding.NewSegment(model, []embedding.Entry{{Vector: registered, ID: 7}})
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, frequency := range []float64{0.503, 0.8} {
		seen, err := embedding.New(model, wave(frequency))
		if err != nil {
			fmt.Println(err)
			return
		}
		blocked := false
		faces.Search(seen, 0.6, func(id uint32, similarity float64) bool {
			fmt.Printf("%v is face %d, similarity %.2f\n", seen, id, similarity)
			blocked = true
			return true
		})
		if !blocked {
			fmt.Printf("%v is nobody registered\n", seen)
		}
	}
	// Output:
	// Vector(example@1, 128 dimensions) is face 7, similarity 0.98
	// Vector(example@1, 128 dimensions) is nobody registered
}
