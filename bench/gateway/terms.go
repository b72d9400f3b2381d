package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// terms prints what an order costs in the units that AWS, WHMCS and Salesforce
// count by: docs/operations.md multiplies them. Orders came one after the other,
// so that Salesforce's batches are as small as they get.
func (b *bench) terms(out io.Writer, orders int) error {
	if err := b.shown(orders); err != nil {
		return err
	}
	var table struct {
		Consumed map[string]struct {
			ReadUnits  float64 `json:"readUnits"`
			WriteUnits float64 `json:"writeUnits"`
			Indexes    map[string]struct {
				WriteUnits float64 `json:"writeUnits"`
			} `json:"indexes"`
		} `json:"consumed"`
	}
	if _, err := call("GET", b.API+"/_local/dynamo", nil, nil, &table); err != nil {
		return err
	}
	var whmcs, salesforce []struct {
		Action string `json:"action"`
	}
	if _, err := call("GET", b.WHMCS+"/_sim/journal", nil, nil, &whmcs); err != nil {
		return err
	}
	if _, err := call("GET", b.Salesforce+"/_sim/journal", nil, nil, &salesforce); err != nil {
		return err
	}
	updates := 0
	for _, c := range salesforce {
		if c.Action == "update" {
			updates++
		}
	}
	lines, bytes := functionLines(b.Logs())
	fmt.Fprintf(out, "\nwhat one of these orders takes, without the questions of its portal (1 read unit each)\n\n")
	row := func(what string, n float64) { fmt.Fprintf(out, "%-44s %10.2f\n", what, n/float64(orders)) }
	for _, t := range table.Consumed { // the system has one table
		index := 0.0
		for _, x := range t.Indexes {
			index += x.WriteUnits
		}
		row("write units of the table", t.WriteUnits)
		row("  of these for its indexes", index)
		row("read units of the table, ticks among them", t.ReadUnits-float64(b.asked))
	}
	row("calls of WHMCS", float64(len(whmcs)))
	row("calls of Salesforce", float64(len(salesforce)))
	row("  of these updates", float64(updates))
	row("log lines, metrics among them", float64(lines))
	row("log bytes", float64(bytes))
	return nil
}

// shown waits until Salesforce shows that every order is provisioned.
func (b *bench) shown(orders int) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(throttled) {
		var books struct {
			Salesforce []struct {
				Order struct {
					Fields struct {
						Status string `json:"Provisioning_Status__c"`
					} `json:"fields"`
				} `json:"order"`
			} `json:"salesforce"`
		}
		if _, err := call("GET", b.API+"/_local/orders", nil, nil, &books); err != nil {
			return err
		}
		shown := 0
		for _, o := range books.Salesforce {
			if order.Status(o.Order.Fields.Status) == order.StatusProvisioned {
				shown++
			}
		}
		if shown >= orders {
			return nil
		}
	}
	return errors.New("not every order was shown in Salesforce within a minute")
}

// functionLines counts what the functions wrote: with SCREEN=json each line has
// the name of its function before a bar.
func functionLines(log string) (lines, bytes int) {
	for line := range strings.Lines(log) {
		name, rest, ok := strings.Cut(line, " | ")
		if ok && slices.Contains([]string{"fulfill", "provision", "status", "statuspush"}, strings.TrimSpace(name)) {
			lines, bytes = lines+1, bytes+len(rest)
		}
	}
	return lines, bytes
}
