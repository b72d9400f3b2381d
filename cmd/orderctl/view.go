package main

import (
	"time"

	"orderbridge/shared/order"
)

// orderView is an order as show --json prints it: the attribute names of the
// table. It leaves out nonces, which are of no use to a reader.
type orderView struct {
	ID              string              `json:"sfOrderId"`
	Status          string              `json:"status"`
	State           string              `json:"state"`
	Point           string              `json:"point"`
	Signal          string              `json:"signal"`
	Seq             int64               `json:"seq"`
	Version         int64               `json:"version"`
	Fence           int64               `json:"fence"`
	Lease           string              `json:"lease,omitempty"`
	LeaseUntil      string              `json:"lease_until,omitempty"`
	Plan            *planView           `json:"plan,omitempty"`
	Adds            int                 `json:"adds"`
	AddUntil        string              `json:"add_until,omitempty"`
	AddSettledAt    string              `json:"add_settled_at,omitempty"`
	Accepts         int                 `json:"accepts"`
	AcceptUntil     string              `json:"accept_until,omitempty"`
	AcceptSettledAt string              `json:"accept_settled_at,omitempty"`
	Word            string              `json:"word,omitempty"`
	Attempts        int                 `json:"attempts"`
	OpenedAt        string              `json:"opened_at,omitempty"`
	DueAt           string              `json:"due_at,omitempty"`
	Keys            []string            `json:"keys"`
	AccountID       string              `json:"account_id,omitempty"`
	WHMCSOrderID    string              `json:"whmcs_order_id,omitempty"`
	ServiceIDs      map[string][]string `json:"whmcs_service_ids,omitempty"`
	ErrorCode       string              `json:"error_code,omitempty"`
	ErrorMessage    string              `json:"error_message,omitempty"`
	ErrorAt         string              `json:"error_at,omitempty"`
	Review          bool                `json:"review"`
	History         []entryView         `json:"history"`
	CreatedAt       string              `json:"created_at,omitempty"`
	UpdatedAt       string              `json:"updated_at,omitempty"`
	ExpiresAt       string              `json:"expires_at,omitempty"`
}

type entryView struct {
	At     string `json:"at"`
	Event  string `json:"event"`
	Detail string `json:"detail,omitempty"`
	By     string `json:"by,omitempty"`
}

type planView struct {
	ClientID      int64      `json:"clientId"`
	PaymentMethod string     `json:"paymentMethod"`
	PromoCode     string     `json:"promoCode,omitempty"`
	Lines         []lineView `json:"lines"`
}

type lineView struct {
	ItemID    string `json:"itemId"`
	ProductID int64  `json:"productId"`
	Cycle     string `json:"billingCycle"`
	Quantity  int    `json:"quantity"`
	Services  int    `json:"services"`
	Domain    string `json:"domain,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
}

func view(r order.Record) orderView {
	v := orderView{
		ID:              r.ID.String(),
		Status:          string(r.Status()),
		State:           string(r.State),
		Point:           string(r.RecoveryPoint),
		Signal:          string(r.Signal),
		Seq:             int64(r.Seq),
		Version:         r.Version,
		Fence:           int64(r.Fence),
		Lease:           string(r.Lease),
		LeaseUntil:      stamp(r.LeaseUntil),
		Adds:            r.Add.Count,
		AddUntil:        stamp(r.Add.Until),
		AddSettledAt:    stamp(r.Add.SettledAt),
		Accepts:         r.Accept.Count,
		AcceptUntil:     stamp(r.Accept.Until),
		AcceptSettledAt: stamp(r.Accept.SettledAt),
		Word:            string(r.Word),
		Attempts:        r.Attempts,
		OpenedAt:        stamp(r.OpenedAt),
		DueAt:           stamp(r.DueAt),
		Keys:            append([]string{}, r.Keys...),
		AccountID:       r.AccountID,
		WHMCSOrderID:    r.WHMCSOrderID,
		ServiceIDs:      r.ServiceIDs,
		ErrorCode:       string(r.ErrorCode),
		ErrorMessage:    r.ErrorMessage,
		ErrorAt:         stamp(r.ErrorAt),
		Review:          r.State == order.Failed && r.ErrorCode.Info().Review,
		History:         make([]entryView, 0, len(r.History)),
		CreatedAt:       stamp(r.CreatedAt),
		UpdatedAt:       stamp(r.UpdatedAt),
		ExpiresAt:       stamp(r.ExpiresAt),
	}
	if r.Plan != nil {
		p := planView{ClientID: r.Plan.ClientID, PaymentMethod: r.Plan.PaymentMethod, PromoCode: r.Plan.PromoCode, Lines: make([]lineView, 0, len(r.Plan.Entries))}
		for _, e := range r.Plan.Entries {
			p.Lines = append(p.Lines, lineView{e.ItemID, e.ProductID, string(e.Cycle), e.Quantity, e.Services, e.Domain, e.Hostname})
		}
		v.Plan = &p
	}
	for _, e := range r.History {
		v.History = append(v.History, entryView{stamp(e.At), e.Event, e.Detail, e.By})
	}
	return v
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
