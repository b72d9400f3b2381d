package order

import (
	"maps"
	"slices"
	"time"
)

// Normal returns r as a table gives it back: times in UTC, to the ms (the
// retention to the second), rounded down; texts cut; nil for every empty list
// or map; and nothing shared with r.
func (r Record) Normal() Record {
	for _, t := range []*time.Time{
		&r.LeaseUntil, &r.Add.Until, &r.Add.SettledAt, &r.Accept.Until, &r.Accept.SettledAt, &r.FirstAddAt, &r.AcceptedAt,
		&r.OpenedAt, &r.DueAt, &r.ErrorAt, &r.CreatedAt, &r.UpdatedAt, &r.Refusal.Since, &r.Refusal.Next, &r.Told.NextTry,
	} {
		*t = ms(*t)
	}
	r.ExpiresAt = ms(r.ExpiresAt).Truncate(time.Second)
	r.ErrorMessage = Cut(r.ErrorMessage, MaxMessage)
	r.Marks, r.Keys, r.History, r.Nonces = list(r.Marks), list(r.Keys), list(r.History), table(r.Nonces)
	r.ServiceIDs = table(r.ServiceIDs)
	for item, ids := range r.ServiceIDs {
		r.ServiceIDs[item] = list(ids)
	}
	if r.Plan != nil {
		p := *r.Plan
		p.Entries = list(p.Entries)
		for i := range p.Entries {
			e := &p.Entries[i]
			e.CustomFields, e.ConfigOptions = table(e.CustomFields), table(e.ConfigOptions)
		}
		r.Plan = &p
	}
	if r.Search != nil {
		r.Search = r.Search.normal()
	}
	return r
}

// ms brings a time to what a table keeps of it: UTC, to the ms, rounded down.
func ms(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

func list[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func table[K comparable, V any](m map[K]V) map[K]V {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}
