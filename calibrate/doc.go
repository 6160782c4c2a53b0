// Package calibrate finds the similarity from which on two face vectors of a
// model are to count as the same person.
//
// It is given vectors of known people, compares each with every other in the
// form in which staydown stores them, and counts: pairs of different people
// that would match (false matches), and pairs of the same person that would not
// (misses), for every threshold. Choose then returns the lowest threshold whose
// false-match rate is below a stated one, with a stated confidence.
//
// # What the bounds mean
//
// Pairs are not independent: one person who looks like many makes many false
// matches. So the bounds are those for a smaller number of independent pairs,
// the number that would vary as much as the data vary when people are left out
// one after the other (the jackknife of Efron and Stein, 1981, with the interval
// of Clopper and Pearson for the effective number of pairs, as Korn and Graubard,
// "Confidence intervals for proportions with small expected number of positive
// counts estimated from survey data", 1998).
//
// They hold for people drawn as those of the data were. A set without children,
// twins, or whoever uses the service says nothing about them.
//
// Nothing that the package writes names a person or holds a vector.
package calibrate
