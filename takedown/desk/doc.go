// Package desk decides requests to remove pictures and enforces the decisions.
//
// The requests are types of package request.
//
//	d, err := desk.Open("takedowns/", nil)
//	c, err := d.Submit(ctx, request.ImageOptOut{…})
//	p, err := d.Preview(ctx, c.ID, sample)  // what would disappear
//	err = d.Accept(ctx, c.ID, desk.Grant{…}) // durable and in force when it returns
//	err = d.Publish(ctx, "blocklist.snap")   // for takedown.Load on other machines
//
// # The methods of a Desk
//
// Requests: [Desk.Submit] opens a case. [Desk.Confirm] and [Desk.Resend] confirm
// its email address. [Desk.ConfirmFlagger] confirms a trusted flagger.
// [Desk.AskInfo] asks the requester for more, and [Desk.Complete] stores the
// answer. [Desk.Case] and [Desk.Cases] read cases.
//
// Review: [Desk.Preview] shows which images would disappear. [Desk.AddEvidence]
// and [Desk.Evidence] keep what the operator's index knows of an image.
// [Desk.Hold] blocks before the decision, and [Desk.ReleaseHold] ends that.
// [Desk.Accept] and [Desk.Reject] decide requests and replies. [Desk.Amend]
// replaces the terms of a case in force.
//
// Undoing: [Desk.Withdraw] is for the requester, [Desk.Reverse] for the operator,
// [Desk.Restore] for a counter-notice. [Desk.CourtHold] and [Desk.Release] are for
// cases before a court. [Desk.Expire] ends cases whose granted time is over.
// [Desk.CloseCase] closes a case with no work left.
//
// Matches: [Desk.Resolve] records a reviewer's answer to a match, and
// [Desk.Revert] takes it back. [Desk.AddToAllowList], [Desk.RemoveFromAllowList]
// and [Desk.AllowList] manage the allow list. [Desk.AddMatchCounts], [Desk.Alarms]
// and [Desk.SettleAlarms] manage the match budget.
//
// Cases: [Desk.Find] and [Desk.Count] select cases by state, deadline, person,
// address or picture, from an index.
//
// People and clocks: the desk passes messages to the [Notifier] in the background;
// [Desk.Notify] does it at once. [Desk.MarkNotified]
// records a message that was sent without it. [Desk.Due] and [Desk.DueOf] list
// deadlines. [Desk.ExtendDeadline] records that the requester knows of a delay.
//
// Documents and personal data: [Desk.Log] and [Desk.VerifyLog] read and verify the
// log. [Desk.ExportCSV] and [Desk.ExportJSON] export cases.
// [NewStatementOfReasons] makes a statement of reasons. [Desk.Erase] destroys
// personal data, and [Desk.LegalHold] forbids that. [Desk.Picture] returns a
// picture that was kept.
//
// The list: [Desk.Enforcer] enforces it in this process. [Desk.Publish] writes it
// for other processes. [takedown.Enforcer.Events] lists what happened to it.
//
// # Guarantees
//
// A granted request survives a crash at any moment after Accept has returned.
// Every rule belongs to a case that explains it. Withdrawing a case restores
// everything that no other rule covers, including the keys that were derived for
// it. The methods of Desk are safe for concurrent use.
//
// # Personal data
//
// The texts that a person wrote are in the case store only. Each case is sealed
// under its own key. Rules, journal and snapshots have no names, texts or plain
// addresses. They have digests, hashes, features and sealed templates of faces.
//
// [Desk.Erase] destroys the key of a case. Its rules stay in force, except rules
// about faces. Face data is sealed under separate keys, which are destroyed with
// the case on this desk. Published snapshots have copies of the face data and
// of its keys for as long as Options.FaceLifetime. Errors can be logged.
//
// docs/requests.md describes every kind of request, its states, clocks and
// documents. docs/faces.md describes what faces need. Neither is legal advice.
package desk
