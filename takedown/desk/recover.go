package desk

// Choice is what an operator accepts to lose in [Recover].
type Choice string

// The choices of Recover.
const (
	LoseOperatorKey Choice = "lose operator key"
	LoseKeys        Choice = "lose keys"
	LoseCases       Choice = "lose cases"
	LoseList        Choice = "lose list"
	LoseSince       Choice = "lose since"
)
