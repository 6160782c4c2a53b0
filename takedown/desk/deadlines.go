package desk

import (
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

func kinds(list ...takedown.Kind) []takedown.Kind { return list }

// optOuts are the kinds of opt-outs, and depicted those by which somebody asks about
// their own data.
var (
	optOuts  = kinds(request.KindImageOptOut, request.KindOpenOptOut, request.KindFaceOptOut, request.KindHashEntry)
	depicted = append(kinds(request.KindGDPRRequest), optOuts...)
)

// Deadlines are the deadlines that the library knows. They are an engineer's
// reading, not legal advice. Rows without a day in Verified rest on reports about a
// law, not on its text.
var Deadlines = []Deadline{
	{Regime: request.RegimeDSA, Name: "confirm_receipt", Start: MilestoneReceived, Done: []Milestone{MilestoneReceiptTold, MilestoneDecided, MilestoneEnded}, Basis: "DSA Art. 16(4): without undue delay", Verified: "2026-11-21"},
	{Regime: request.RegimeDSA, Name: "decide", Start: MilestoneReceived, Done: []Milestone{MilestoneDecided, MilestoneEnded}, Basis: "DSA Art. 16(5), (6): timely, without undue delay", Verified: "2026-11-21"},
	{Regime: request.RegimeDSA, Name: "answer_complaint", Kinds: kinds(request.KindComplaint), Start: MilestoneReceived, Done: []Milestone{MilestoneDecided, MilestoneEnded}, Basis: "DSA Art. 20(4), (5): timely, without undue delay", Verified: "2026-11-21"},
	{Regime: request.RegimeDSA, Name: "complaint_window", Start: MilestoneInformed, Done: []Milestone{MilestoneClosed}, NotBefore: Span{6, UnitMonths}, Basis: "DSA Art. 20(1): at least six months from when the decision is told", Verified: "2026-11-21"},
	{Regime: request.RegimeDMCA, Name: "take_down", Start: MilestoneReceived, Done: []Milestone{MilestoneDecided, MilestoneEnded}, Basis: "17 U.S.C. 512(c)(1)(C): expeditiously", Verified: "2026-11-21"},
	{Regime: request.RegimeDMCA, Name: "pass_on", Kinds: kinds(request.KindCounterNotice), Start: MilestoneReceived, Done: []Milestone{MilestoneDecided, MilestoneEnded}, Basis: "17 U.S.C. 512(g)(2)(B): promptly", Verified: "2026-11-21"},
	{Regime: request.RegimeDMCA, Name: "restore", Kinds: kinds(request.KindCounterNotice), Start: MilestoneCounterReceived, Done: []Milestone{MilestoneCourtNotice, MilestoneEnded}, NotBefore: Span{10, UnitBusinessDays}, NotAfter: Span{14, UnitBusinessDays}, Calendar: "us", Basis: "17 U.S.C. 512(g)(2)(C)", Verified: "2026-11-21"},
	{Regime: request.RegimeGDPR, Name: "inform", Start: MilestoneReceived, Done: []Milestone{MilestoneInformed, MilestoneExtended}, NotAfter: Span{1, UnitMonths}, Basis: "GDPR Art. 12(3), (4)", Verified: "2026-11-21"},
	{Regime: request.RegimeGDPR, Name: "inform_extended", Start: MilestoneReceived, If: MilestoneExtended, Done: []Milestone{MilestoneInformed}, NotAfter: Span{3, UnitMonths}, Basis: "GDPR Art. 12(3): two further months, told within the first", Verified: "2026-11-21"},
	{Regime: request.RegimeUKGDPR, Name: "inform", Start: MilestoneReceived, Done: []Milestone{MilestoneInformed, MilestoneExtended}, NotAfter: Span{1, UnitMonths}, Calendar: "uk", Pausable: true, Basis: "UK GDPR Art. 12A", Verified: "2026-11-21"},
	{Regime: request.RegimeUKGDPR, Name: "inform_extended", Start: MilestoneReceived, If: MilestoneExtended, Done: []Milestone{MilestoneInformed}, NotAfter: Span{3, UnitMonths}, Calendar: "uk", Pausable: true, Basis: "UK GDPR Art. 12A", Verified: "2026-11-21"},
	{Regime: request.RegimeTakeItDown, Name: "remove", Start: MilestoneReceived, Done: []Milestone{MilestoneEnforced, MilestoneDecided, MilestoneEnded}, NotAfter: Span{48, UnitHours}, Basis: "47 U.S.C. 223a(a)(3)", Verified: "2026-11-21"},
	{Regime: request.RegimeOrder, Name: "report_effect", Start: MilestoneReceived, Done: []Milestone{MilestoneInformed}, Basis: "DSA Art. 9(1): without undue delay", Verified: "2026-11-21"},
	{Regime: request.RegimeGDPR, Name: "inform_opt_out", Kinds: optOuts, Claim: request.ClaimDepicted, Countries: []string{"EEA30"}, Start: MilestoneReceived, Done: []Milestone{MilestoneInformed, MilestoneExtended}, NotAfter: Span{1, UnitMonths}, Basis: "GDPR Art. 12(3), 17, 21: an opt-out of who is shown is in substance such a request", Verified: "2026-11-21"},
	{Regime: request.RegimeGDPR, Name: "inform_opt_out_extended", Kinds: optOuts, Claim: request.ClaimDepicted, Countries: []string{"EEA30"}, Start: MilestoneReceived, If: MilestoneExtended, Done: []Milestone{MilestoneInformed}, NotAfter: Span{3, UnitMonths}, Basis: "GDPR Art. 12(3)", Verified: "2026-11-21"},
	{Regime: request.RegimeUKGDPR, Name: "inform_opt_out", Kinds: optOuts, Claim: request.ClaimDepicted, Countries: []string{"GB"}, Start: MilestoneReceived, Done: []Milestone{MilestoneInformed, MilestoneExtended}, NotAfter: Span{1, UnitMonths}, Calendar: "uk", Pausable: true, Basis: "UK GDPR Art. 12A", Verified: "2026-11-21"},
	{Regime: request.RegimeUKGDPR, Name: "inform_opt_out_extended", Kinds: optOuts, Claim: request.ClaimDepicted, Countries: []string{"GB"}, Start: MilestoneReceived, If: MilestoneExtended, Done: []Milestone{MilestoneInformed}, NotAfter: Span{3, UnitMonths}, Calendar: "uk", Pausable: true, Basis: "UK GDPR Art. 12A", Verified: "2026-11-21"},
	{Regime: request.RegimePDPA, Name: "erase", Kinds: depicted, Countries: []string{"TH"}, Start: MilestoneReceived, Done: []Milestone{MilestoneInformed}, NotAfter: Span{90, UnitDays}, Basis: "PDPA s. 33 and the notification of the PDPC in force since 11 November 2024, by reports: without delay, at most 90 days"},
	{Regime: request.RegimeThaiCCA, Name: "suspend", Start: MilestoneReceived, Done: []Milestone{MilestoneEnforced, MilestoneDecided, MilestoneEnded}, NotAfter: Span{24, UnitHours}, Basis: "notification of the MDES B.E. 2565 under s. 15 of the Computer Crime Act, by reports: the shortest time; it differs by offence"},
	{Regime: request.RegimeUKOSA, Name: "remove_uk", Kinds: kinds(request.KindIntimateImage), Countries: []string{"GB"}, Start: MilestoneReceived, Done: []Milestone{MilestoneEnforced, MilestoneDecided, MilestoneEnded}, NotAfter: Span{48, UnitHours}, Basis: "Online Safety Act 2023 s. 27 as amended by the Crime and Policing Act 2026: commencement not seen"},
	{Regime: request.RegimeIndia, Name: "remove_india", Kinds: kinds(request.KindIntimateImage), Countries: []string{"IN"}, Start: MilestoneReceived, Done: []Milestone{MilestoneEnforced, MilestoneDecided, MilestoneEnded}, NotAfter: Span{2, UnitHours}, Basis: "IT Rules as amended on 10 February 2026, by reports"},
	{Regime: request.RegimeIndia, Name: "comply_india", Kinds: kinds(request.KindAuthorityOrder), Countries: []string{"IN"}, Start: MilestoneReceived, Done: []Milestone{MilestoneEnforced, MilestoneDecided, MilestoneEnded}, NotAfter: Span{3, UnitHours}, Basis: "IT Rules as amended on 10 February 2026, by reports"},
	{Regime: request.RegimeIndia, Name: "answer_india", Kinds: append(kinds(request.KindDSANotice, request.KindGDPRRequest), optOuts...), Countries: []string{"IN"}, Start: MilestoneReceived, Done: []Milestone{MilestoneDecided, MilestoneEnded}, NotAfter: Span{7, UnitDays}, Basis: "IT Rules as amended on 10 February 2026, by reports: grievances"},
	{Regime: request.RegimeOperator, Name: "promise", Kinds: append(kinds(request.KindWithdrawal, request.KindPreference, request.KindThaiNotice), optOuts...), Start: MilestoneReceived, Done: []Milestone{MilestoneDecided, MilestoneEnded}, NotAfter: Span{1, UnitBusinessDays}, Pausable: true, Basis: "the operator's own promise: one working day"},
	{Regime: request.RegimeOperator, Name: "answer_objection", Kinds: kinds(request.KindObjection), Start: MilestoneReceived, Done: []Milestone{MilestoneDecided, MilestoneEnded}, Basis: "the operator's own promise: without delay"},
}
