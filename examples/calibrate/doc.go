// Package calibrate finds the similarity from which on two face vectors of a
// model are to count as the same person.
//
// It is given vectors of known people, compares each with every other in the
// form in which staydown stores them, and counts: pairs of different people
// that would match (false matches), and pairs of the same person that would not
// (misses), for every threshold. Curve.Recommend then returns the lowest thresholds whose
// false-match rates are below stated ones, with a stated confidence.
//
// # What the bounds mean
//
// Pairs are not independent: one person who looks like many makes many false
// matches. So the bounds are those for a smaller number of independent pairs,
// the number that would vary as much as the data vary when people are left out
// one after the other (the jackknife of Efron and Stein, 1981, with the interval
// of Clopper and Pearson for the effective number of pairs, as Korn and Graubard,
// "Confidence intervals for proportions with small expected number of positive
// counts estimated from survey data", 1998). It is estimated at the rate in question:
// people who look like many matter more where many pairs match.
//
// A small group of people who look like each other is not seen in that way: with
// one of them among the people of the data there is no pair. So no bound is below
// what such a group could make of the pairs that were seen: with n people, and 95 %
// confidence, no rate of false matches below (4.74/n)² is supported, however many
// pairs there are, nor a rate of misses below 3 by the people who have several
// photographs.
//
// The bounds hold for people drawn as those of the data were. A set without children,
// twins, or the users of the service says nothing about them.
//
// Nothing that the package writes names a person or holds a vector.
package calibrate
