package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// When things happen in a run with a restore, as shares of the time in which
// orders come. What is recorded between markAt and backAt is forgotten by the
// table; what reached WHMCS from awayAt on is not even known to Salesforce.
const (
	markAt = 0.35
	awayAt = 0.5
	backAt = 0.75
)

// manyTimes is a fault that lasts until it is taken away.
const manyTimes = 1_000_000

// backup takes the table as it is, sets it back later under load, and leaves it
// as a restored table is found: old items, the name of another table in its
// switch, no worker that knew it before. Orders go on coming.
func (r *run) backup(ctx context.Context) error {
	feed := time.Duration(float64(r.o.orders) / r.o.rate * float64(time.Second))
	at := func(share, since float64) bool {
		return wait(ctx, time.Duration((share-since)*float64(feed)))
	}
	if !at(markAt, 0) {
		return nil
	}
	ctl, err := r.rawControl(ctx)
	if err != nil {
		return err
	}
	if err := r.ask(ctx, "POST", r.sys.API+"/_local/dynamo", map[string]any{"mark": true}, nil); err != nil {
		return err
	}
	r.say("the backup is of this moment")
	if !at(awayAt, markAt) {
		return nil
	}
	for _, b := range []struct {
		url string
		breakage
	}{
		{r.sys.Salesforce, breakage{Action: "update", Fault: "http-500", Times: manyTimes}},
		{r.sys.WHMCS, breakage{Action: "AddOrder", Fault: "commit-then-drop", Times: max(1, r.o.orders/20)}},
	} {
		if err := r.ask(ctx, "POST", b.url+"/_sim/faults", b.breakage, nil); err != nil {
			return err
		}
	}
	if !at(backAt, awayAt) {
		return nil
	}
	// What was begun here is ended, even when the last order has come meanwhile.
	return r.setBack(context.WithoutCancel(ctx), ctl)
}

// setBack is the restore. While the items are exchanged no worker reads any, and
// every worker that read some before is killed: those of a real stack are
// replaced when its table is.
func (r *run) setBack(ctx context.Context, ctl map[string]types.AttributeValue) error {
	dynamo := r.sys.API + "/_local/dynamo"
	throttle := func(times int) error {
		for _, op := range []string{"GetItem", "Query"} {
			if err := r.ask(ctx, "POST", dynamo, map[string]any{"throttle": map[string]any{"op": op, "times": times}}, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if err := throttle(manyTimes); err != nil {
		return err
	}
	for _, function := range []string{"provision", "statuspush"} {
		if err := r.ask(ctx, "POST", r.sys.API+"/_local/kill", map[string]any{"function": function}, nil); err != nil {
			return err
		}
	}
	if err := r.ask(ctx, "POST", dynamo, map[string]any{"back": true}, nil); err != nil {
		return err
	}
	ctl["table"] = &types.AttributeValueMemberS{Value: "orders-before-the-restore"}
	if _, err := dynamodb.NewFromConfig(r.sys.AWSConfig()).PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(r.sys.Exports["TABLE_NAME"]), Item: ctl}); err != nil {
		return fmt.Errorf("name the table of the backup: %w", err)
	}
	if err := throttle(0); err != nil {
		return err
	}
	r.say("the table is set back to the backup; orders go on coming")
	return r.ask(ctx, "DELETE", r.sys.Salesforce+"/_sim/faults", nil, nil)
}

// rawControl is the switch of WHMCS as the table holds it.
func (r *run) rawControl(ctx context.Context) (map[string]types.AttributeValue, error) {
	out, err := dynamodb.NewFromConfig(r.sys.AWSConfig()).GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(r.sys.Exports["TABLE_NAME"]), ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "control#whmcs"}},
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the switch: %w", err)
	case len(out.Item) == 0:
		return nil, errors.New("no worker has made the switch of WHMCS")
	}
	return out.Item, nil
}

// comeBack is what docs/operations.md tells a person to do after a restore, from
// the check to the resume.
func (r *run) comeBack(ctx context.Context) error {
	if err := r.until(ctx, restLimit, func(ctx context.Context) (string, error) {
		c, err := r.table.Control(ctx, order.SideWHMCS)
		if fault.CodeOf(err) == fault.StoreUnavailable || err == nil && !c.Paused {
			return "no worker has noticed the restore", nil
		}
		return "", err
	}); err != nil {
		return err
	}
	before, err := r.journal(ctx)
	if err != nil {
		return err
	}
	said, err := r.orderctl(ctx, "restore-check")
	if err != nil {
		return err
	}
	r.say("restore-check:\n%s", said)
	if r.o.blind {
		if _, err := r.orderctl(ctx, "look-before", "--end", "--by", "chaos"); err != nil {
			return err
		}
	}
	// The table does not know the clicks that came after the backup.
	r.say("every order of Salesforce is clicked once more")
	rng := r.random("once more")
	for _, s := range r.sales {
		s.consents.Add(1)
		if err := r.click(ctx, s, "restored-"+s.id.String(), rng); err != nil {
			return err
		}
	}
	after, err := r.journal(ctx)
	if err != nil {
		return err
	}
	if after.added != before.added {
		r.found(order.ID{}, "%d AddOrder left while the restored table was paused", after.added-before.added)
	}
	r.say("resumed: %d orders are in WHMCS", after.added)
	_, err = r.orderctl(ctx, "resume", "--by", "chaos", "--all")
	return err
}
