// Package desk decides about requests to remove pictures, and puts what is decided
// into force.
//
// Requests are types of package request.
//
//	d, err := desk.Open("takedowns/", nil)
//	c, err := d.Submit(ctx, request.ImageOptOut{…})
//	p, err := d.Preview(ctx, c.ID, sample)  // what would disappear
//	err = d.Accept(ctx, c.ID, desk.Grant{…}) // durable and in force when it returns
//	err = d.Publish(ctx, "blocklist.snap")   // for takedown.Load on other machines
//
// # The methods of a Desk
//
// Requests: [Desk.Submit] takes one in, [Desk.Confirm] and [Desk.Resend] are about
// its email address, [Desk.ConfirmFlagger] about who is a trusted flagger.
// [Desk.AskInfo] asks for more, and [Desk.Complete] brings it. [Desk.Case] and
// [Desk.Cases] read.
//
// Review: [Desk.Preview] shows what would disappear, [Desk.AddEvidence] and
// [Desk.Evidence] what the host's own index knows. [Desk.Hold] blocks until it is
// decided, or [Desk.ReleaseHold]; [Desk.Accept] and [Desk.Reject] decide, of replies too;
// [Desk.Amend] replaces the terms of a case in force.
//
// Undoing: [Desk.Withdraw] for the requester, [Desk.Reverse] for the operator,
// [Desk.Restore] after a counter-notice, [Desk.CourtHold] and [Desk.Release] when a
// court has the matter. [Desk.Expire] ends what was granted for a time, and
// [Desk.CloseCase] a case of which nothing is left to do.
//
// Matches: [Desk.Resolve] records what a person says of one, and [Desk.Revert] takes
// that back. [Desk.AddToAllowList], [Desk.RemoveFromAllowList] and [Desk.AllowList] are the
// allow list; [Desk.AddMatchCounts], [Desk.Alarms] and [Desk.SettleAlarms] the
// match budget.
//
// People and clocks: [Desk.Notify] sends what waits to be sent, [Desk.MarkNotified] notes
// what was told without it, [Desk.Due] and [Desk.DueOf] say what is due, and
// [Desk.ExtendDeadline] that the requester knows of a delay.
//
// Papers and personal data: [Desk.Log] and [Desk.VerifyLog], [Desk.ExportCSV] and
// [Desk.ExportJSON], [NewStatementOfReasons] for a statement of reasons. [Desk.Erase] and
// [Desk.LegalHold]; [Desk.Picture] returns a picture that was kept.
//
// The list: [Desk.Enforcer] enforces it here, [Desk.Publish] writes it for others,
// [takedown.Enforcer.Events] says what happened to it.
//
// # Guarantees
//
// What Accept granted survives a crash at any moment, and no rule is without a
// case that explains it. Withdrawing a case restores what no other rule covers,
// with what was learned for it. The methods of Desk are safe for concurrent use.
//
// # Personal data
//
// What a person wrote lies in the case store only, each case sealed under a key
// of its own; rules, journal and snapshots have no names, texts or plain
// addresses, but digests, hashes, features and, sealed, the templates of faces.
// [Desk.Erase] destroys the key of a case and leaves its rules in force, but for
// those about faces. What is kept of a face is sealed under keys of its own,
// which go with its case, here; published snapshots have copies for as long as
// Options.FaceLifetime. Errors can be logged.
//
// docs/requests.md has every kind of request, its states, clocks and papers, and
// docs/faces.md what faces need. None of it is legal advice.
package desk
