package desk

import "github.com/staydown/staydown/internal/together"

// If this does not compile, go.mod has different versions of the modules
// github.com/staydown/staydown and github.com/staydown/staydown/takedown/desk.
// Require both at the same version.
const _ = together.V0_0
