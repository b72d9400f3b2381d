package provisiontest

import (
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// steps are all steps: those that callouts, workers' leases and operators make,
// and those of the engine.
func steps() (byPerson, byWorker []step) {
	byPerson = []step{
		{"created", nil, order.SignalQueued, []string{"callout"}, func(c change) string {
			r := c.to
			return when(c.base.ID.IsZero() && r.State == order.Queued && r.RecoveryPoint == order.PointNone && r.Fence == 0 && r.Attempts == 0 &&
				r.Add == order.Sent{} && r.Accept == order.Sent{} && len(r.Nonces) == 1 && len(r.Keys) == 1, "not as a new order is")
		}, func(want *order.Record, c change) {
			r := c.to
			want.ID, want.State, want.RecoveryPoint, want.Keys, want.Nonces, want.AccountID = r.ID, r.State, r.RecoveryPoint, r.Keys, r.Nonces, r.AccountID
			want.CorrelationID = r.CorrelationID
			want.OpenedAt, want.DueAt, want.CreatedAt, want.UpdatedAt = r.UpdatedAt, r.UpdatedAt.Add(order.HintFirst), r.UpdatedAt, r.UpdatedAt
		}},
		{"callout", nil, order.SignalNote, []string{"callout"}, func(c change) string {
			if c.base.State != order.Provisioned && !c.base.State.Open() {
				return "neither open nor provisioned"
			}
			return called(c, true)
		}, func(want *order.Record, c change) {
			want.Keys, want.Nonces = c.to.Keys, c.to.Nonces
			if want.AccountID == "" {
				want.AccountID = c.to.AccountID
			}
		}},
		{"stored failure", nil, order.SignalStatus, []string{""}, func(c change) string {
			if c.base.State != order.Failed {
				return "not failed"
			}
			return called(c, false)
		}, func(want *order.Record, c change) { want.Nonces = c.to.Nonces }},
		{"reopened", nil, order.SignalQueued, []string{"reopened"}, func(c change) string {
			if c.base.State != order.Failed {
				return "not failed"
			}
			if n := len(c.to.Keys); n == 0 || slices.Contains(c.base.Keys, c.to.Keys[n-1]) {
				return "by a key that was seen"
			}
			return called(c, true)
		}, func(want *order.Record, c change) {
			again(want, c)
			want.Keys, want.Nonces, want.CorrelationID = c.to.Keys, c.to.Nonces, c.to.CorrelationID
			if want.AccountID == "" {
				want.AccountID = c.to.AccountID
			}
		}},
		{"retried", nil, order.SignalQueued, []string{"retried"}, func(c change) string {
			return when(c.base.State == order.Failed, "not failed")
		}, again},
		{"lease", nil, order.SignalLease, []string{""}, func(c change) string {
			kept := c.base.State == order.Queued && c.to.DueAt.Equal(c.base.DueAt) // the clock comes early, and again
			return when(c.base.State.Open() && c.to.Fence == c.base.Fence+1 && c.to.Lease != "" && (kept || !c.to.DueAt.Before(c.to.LeaseUntil)) &&
				c.to.LeaseUntil.After(c.base.LeaseUntil), "no lease")
		}, func(want *order.Record, c change) {
			want.Aborted = 0
			if c.base.State == order.Working {
				want.Aborted = c.base.Aborted + 1
			}
			want.State, want.Lease, want.LeaseUntil, want.DueAt = order.Working, c.to.Lease, c.to.LeaseUntil, c.to.DueAt
			want.Fence++
			want.Attempts++
		}},
		{"resolve adopt", nil, order.SignalQueued, []string{"resolved_adopt"}, func(c change) string {
			return when(c.base.State == order.Failed && c.to.WHMCSOrderID != "", "not failed, or no WHMCS order")
		}, func(want *order.Record, c change) {
			reopened(want, c)
			if c.to.WHMCSOrderID != c.base.WHMCSOrderID {
				want.RecoveryPoint, want.ServiceIDs = order.PointAdded, nil
				if c.base.Accept.Count > 0 {
					want.RecoveryPoint = order.PointAccepting
				}
			} else if at := c.base.RecoveryPoint; at != order.PointAccepting && at != order.PointAccepted {
				want.RecoveryPoint = order.PointAdded
			}
			want.WHMCSOrderID, want.Word, want.AcceptedAt = c.to.WHMCSOrderID, order.WordNamed, time.Time{}
			if c.to.Word == order.WordNamedAnyClient {
				want.Word = order.WordNamedAnyClient
			}
		}},
		{"resolve undo", nil, order.SignalQueued, []string{"adoption_undone"}, func(c change) string {
			return when((c.base.State == order.Failed || c.base.State == order.Provisioned) && c.base.Word.Named(), "no order was named, or it is open")
		}, func(want *order.Record, c change) {
			reopened(want, c)
			want.RecoveryPoint, want.WHMCSOrderID, want.ServiceIDs, want.Word, want.AcceptedAt = order.PointAdding, "", nil, order.WordNone, time.Time{}
			if want.Add.Count == 0 {
				want.Plan = nil
			}
		}},
		{"resolve none", nil, order.SignalQueued, []string{"resolved_none"}, func(c change) string {
			return when(c.base.State == order.Failed && over(c.base.Add, c.to.UpdatedAt), "not failed, or AddOrder may be running")
		}, func(want *order.Record, c change) {
			reopened(want, c)
			want.RecoveryPoint, want.Add.Count, want.Plan, want.ServiceIDs = order.PointNone, 0, nil, nil
			want.Word, want.AcceptedAt = order.WordAbsent, time.Time{}
		}},
		{"resolve stop", nil, order.SignalStatus, []string{"resolved_stop"}, func(c change) string {
			return when(c.base.State == order.Failed, "not failed")
		}, func(want *order.Record, c change) {
			want.ErrorCode, want.ErrorMessage = c.base.Stopped()
			want.ErrorAt, want.UpdatedAt = c.to.UpdatedAt, c.to.UpdatedAt
		}},
		{"refusal", nil, order.SignalNote, []string{"status_push_failed", ""}, func(c change) string {
			was, is := c.base.Refusal, c.to.Refusal
			return when(is.Seq == c.base.Seq && is.Next.After(is.Since) && (is.Seq != was.Seq && is.Tries == 1 || is.Tries == was.Tries+1) &&
				is.Letter == (c.line.Event != "" || is.Seq == was.Seq && was.Letter), "not one more refusal of what is to be shown")
		}, func(want *order.Record, c change) { want.Refusal = c.to.Refusal }},
		{"shown", nil, order.SignalNote, []string{"status_shown", ""}, func(c change) string {
			return when(c.base.Refusal.Seq != 0 && c.to.Refusal == order.Refusal{} && c.base.Refusal.Letter == (c.line.Event != ""), "nothing was refused")
		}, func(want *order.Record, c change) { want.Refusal = order.Refusal{} }},
		{"note", nil, order.SignalNote, nil, func(c change) string {
			return when(c.line.Event != "", "no line in the history")
		}, func(*order.Record, change) {}},
		{"bump", nil, order.SignalStatus, nil, func(change) string { return "" }, func(*order.Record, change) {}},
	}
	byWorker = []step{
		{repeated, nil, order.SignalLease, nil, func(c change) string {
			return when(c.to.State == order.Working && (c.line.Event == "" || slices.Contains(c.base.History, c.line)), "not what was written before")
		}, func(*order.Record, change) {}}, // the answer was lost
		{"look first", []string{"none/look-before", "none/word-absent", "none/salesforce-holds-id", "none/shown-before"}, order.SignalLease, []string{"look_first"}, func(c change) string {
			return when(c.base.RecoveryPoint == order.PointNone && c.to.State == order.Working, "not at none")
		}, func(want *order.Record, c change) {
			planned(want, c)
			want.RecoveryPoint, want.Add = order.PointAdding, order.Sent{}
		}},
		{stampAdd, []string{"none/send", "adding/absent"}, order.SignalLease, []string{"add_sending", ""}, func(c change) string {
			if c.base.RecoveryPoint != order.PointNone && c.base.RecoveryPoint != order.PointAdding || c.to.State != order.Working {
				return "neither at none nor at adding"
			}
			return stamped(c.base.Add, c.to.Add, c)
		}, func(want *order.Record, c change) {
			planned(want, c)
			want.RecoveryPoint, want.Add, want.LeaseUntil, want.Word = order.PointAdding, c.to.Add, c.to.LeaseUntil, want.Word.WithoutAbsent()
			want.WHMCSOrderID, want.Accept = "", order.Sent{}
			if want.FirstAddAt.IsZero() {
				want.FirstAddAt, want.FirstAddAfter = c.to.UpdatedAt, c.to.FirstAddAfter
			}
		}},
		{"found", []string{"adding/found"}, order.SignalLease, []string{"adopted"}, func(c change) string {
			return when(c.base.RecoveryPoint == order.PointAdding && c.to.State == order.Working && over(c.base.Add, c.to.UpdatedAt) &&
				c.to.WHMCSOrderID != "" && c.to.Plan != nil, "no search that has settled found an order as planned")
		}, func(want *order.Record, c change) {
			planned(want, c)
			want.RecoveryPoint, want.WHMCSOrderID, want.Word = order.PointAdded, c.to.WHMCSOrderID, want.Word.WithoutAbsent()
			if want.Accept.Count > 0 {
				want.RecoveryPoint = order.PointAccepting
			}
		}},
		{stampAccept, []string{"added/send", "accepting/consent"}, order.SignalLease, []string{"accept_sending", ""}, func(c change) string {
			switch at := c.base.RecoveryPoint; {
			case at != order.PointAdded && at != order.PointAccepting || c.to.State != order.Working:
				return "neither at added nor at accepting"
			case at == order.PointAccepting && !c.base.Word.Rerun() && !c.mayRunTwice():
				return "no consent to a second AcceptOrder"
			}
			if why := lacks(c.to); why != "" {
				return why
			}
			return stamped(c.base.Accept, c.to.Accept, c)
		}, func(want *order.Record, c change) {
			planned(want, c)
			want.RecoveryPoint, want.Accept, want.LeaseUntil, want.Word = order.PointAccepting, c.to.Accept, c.to.LeaseUntil, want.Word.WithoutRerun()
			if !want.Word.Named() {
				want.Add = order.Sent{Count: want.Add.Count}
			}
		}},
		{renewal, []string{"any/renew"}, order.SignalLease, []string{""}, func(c change) string {
			return when(c.to.State == order.Working && !c.to.LeaseUntil.Before(c.base.LeaseUntil), "the lease does not grow")
		}, func(want *order.Record, c change) {
			planned(want, c)
			searching(want, c)
			want.LeaseUntil = c.to.LeaseUntil
		}},
		{"wait", []string{"adding/unsettled", "accepting/unsettled", "accepted/not-yet", "sent/held-back", "sent/unsure", "sent/not-pending",
			"any/blocked", "none/salesforce-blocked", "any/no-time", "any/config", "any/retry"}, order.SignalLease, []string{"waiting", ""}, waits, waited},
		{"wait that Salesforce is told of", nil, order.SignalStatus, []string{"waiting", ""}, func(c change) string {
			switch {
			case c.base.ErrorAt.IsZero() || c.base.ErrorAt.Before(c.base.OpenedAt):
				return "the first wait for a fault"
			case c.to.Told.Code == c.base.Told.Code || c.to.Told != order.Wait{Code: c.to.ErrorCode, Message: c.to.ErrorMessage, NextTry: c.to.DueAt}:
				return "not a new reason"
			}
			return waits(c)
		}, func(want *order.Record, c change) {
			waited(want, c)
			want.Told = c.to.Told
		}},
		{"failed", []string{"adding/unstable", "adding/several", "adding/dead", "adding/suspect", "adding/unknown", "adding/held-absent",
			"adding/held-foreign", "adding/known-lives", "adding/differs", "added/marker-missing", "past/foreign", "past/other-client", "added/differs", "past/cancelled", "accepting/differs",
			"accepting/unknown", "accepted/module-queue", "accepted/not-verified", "accepted/marker-missing",
			"accepted/several", "accepted/suspect", "sent/module-failed", "sent/refused", "any/permanent", "any/exhausted", "any/aborted"}, order.SignalStatus, []string{"failed"}, failed,
			func(want *order.Record, c change) {
				planned(want, c)
				shown(want, c)
				want.Told = order.Wait{}
				want.State, want.DueAt, want.LeaseUntil, want.ExpiresAt, want.Word = order.Failed, time.Time{}, time.Time{}, c.to.ExpiresAt, want.Word.WithoutRerun()
				switch at := c.base.RecoveryPoint; {
				case at == order.PointAdding:
					want.Add = order.Sent{Count: want.Add.Count}
					if c.to.ErrorCode == fault.WHMCSOrderCancelled {
						want.WHMCSOrderID = c.to.WHMCSOrderID
					}
				case at == order.PointAccepting && c.to.ErrorCode == fault.ModuleFailed:
					want.Accept = order.Sent{Count: want.Accept.Count} // the module has answered
				}
			}},
		{"provisioned", []string{"accepted/verified"}, order.SignalStatus, []string{"provisioned"}, func(c change) string {
			if c.base.RecoveryPoint != order.PointAccepted || c.to.State != order.Provisioned {
				return "not accepted"
			}
			return lacks(c.to)
		}, func(want *order.Record, c change) {
			planned(want, c)
			want.State, want.DueAt, want.LeaseUntil, want.ExpiresAt, want.ServiceIDs = order.Provisioned, time.Time{}, time.Time{}, c.to.ExpiresAt, c.to.ServiceIDs
			want.ErrorCode, want.ErrorMessage, want.ErrorAt, want.Told = "", "", time.Time{}, order.Wait{}
			want.Accept, want.AcceptedAt = order.Sent{Count: want.Accept.Count}, time.Time{}
			if !want.Word.Named() {
				want.FirstAddAfter = 0
			}
		}},
	}
	return byPerson, byWorker
}

// Rows are the rows of the engine's table that the steps cover.
func Rows() (rows []string) {
	_, byWorker := steps()
	for _, s := range byWorker {
		rows = append(rows, s.rows...)
	}
	return rows
}

// The steps after which an effect may be out, and those that say nothing of it.
const (
	repeated    = "repeated write"
	stampAdd    = "stamp of AddOrder"
	stampAccept = "stamp of AcceptOrder"
	renewal     = "renewal"
)

// reopened makes of want a failed order that is queued again.
func reopened(want *order.Record, c change) {
	now := c.to.UpdatedAt
	want.State, want.OpenedAt, want.DueAt, want.UpdatedAt, want.Attempts = order.Queued, now, now.Add(order.HintFirst), now, 0
	want.LeaseUntil, want.ExpiresAt, want.Told = time.Time{}, time.Time{}, order.Wait{}
}

// again is reopened, by a person who consents to one more run of a failed module.
func again(want *order.Record, c change) {
	reopened(want, c)
	if want.ErrorCode == fault.ModuleFailed && want.RecoveryPoint == order.PointAccepting {
		want.Word = want.Word.WithRerun()
	}
}

// shown gives want the error of the write.
func shown(want *order.Record, c change) {
	want.ErrorCode, want.ErrorMessage, want.ErrorAt = c.to.ErrorCode, c.to.ErrorMessage, c.to.ErrorAt
}

// mayRunTwice reports whether every product of the plan may.
func (c change) mayRunTwice() bool {
	return c.base.Plan != nil && len(c.idempotent) > 0 && !slices.ContainsFunc(c.base.Plan.Entries, func(e order.PlanEntry) bool {
		return !slices.Contains(c.idempotent, e.ProductID)
	})
}

// waits says what is wrong with a wait.
func waits(c change) string {
	switch {
	case c.to.State != order.Waiting:
		return "not waiting"
	case c.to.Attempts != c.base.Attempts && c.to.Attempts != max(c.base.Attempts-1, 0):
		return "attempts"
	case c.base.RecoveryPoint == order.PointAdding && !over(c.base.Add, c.to.UpdatedAt) && !over(c.base.Add, c.to.DueAt):
		return "due before AddOrder has settled"
	case !c.to.ErrorAt.Equal(c.base.ErrorAt) && (!c.to.ErrorCode.Listed() || !c.to.ErrorAt.Equal(c.to.UpdatedAt)):
		return "a code that is not listed"
	}
	return ""
}

// waited makes of want an order that waits.
func waited(want *order.Record, c change) {
	planned(want, c)
	searching(want, c)
	want.State, want.DueAt, want.LeaseUntil, want.Attempts = order.Waiting, c.to.DueAt, time.Time{}, c.to.Attempts
	if !c.to.ErrorAt.Equal(c.base.ErrorAt) {
		shown(want, c)
	}
}
