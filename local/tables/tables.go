// Package tables makes the tables that a template describes in any DynamoDB.
//
// The rule it keeps: a table that is there already is taken as it is, if it has
// the stream that is needed. It must not change one.
package tables

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/local/samtemplate"
)

// Create makes a table as the template describes it and returns when it can be
// used.
func Create(ctx context.Context, cfg aws.Config, t samtemplate.Table) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	db := dynamodb.NewFromConfig(cfg)
	in := &dynamodb.CreateTableInput{TableName: &t.Name, BillingMode: types.BillingModePayPerRequest, KeySchema: keySchema(t.Key)}
	for _, a := range t.Attributes {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(a.Name), AttributeType: types.ScalarAttributeType(a.Type)})
	}
	for _, i := range t.Indexes {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(i.Name), KeySchema: keySchema(i.Key),
			Projection: &types.Projection{ProjectionType: types.ProjectionType(i.Projection)},
		})
	}
	if t.StreamView != "" {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewType(t.StreamView)}
	}
	_, err := db.CreateTable(ctx, in)
	var there *types.ResourceInUseException
	if err != nil && !errors.As(err, &there) {
		return fmt.Errorf("create table %s: %w", t.Name, err)
	}
	for {
		out, err := db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.Name})
		if err != nil {
			return fmt.Errorf("describe table %s: %w", t.Name, err)
		}
		if out.Table.TableStatus == types.TableStatusActive {
			spec := out.Table.StreamSpecification
			if t.StreamView != "" && (spec == nil || !aws.ToBool(spec.StreamEnabled)) {
				return fmt.Errorf("create table %s: it is there already and has no stream", t.Name)
			}
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("create table %s: %w", t.Name, ctx.Err())
		}
	}
	if t.TTLAttribute == "" {
		return nil
	}
	_, err = db.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: &t.Name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &t.TTLAttribute, Enabled: aws.Bool(true)}})
	if err != nil && !strings.Contains(err.Error(), "already enabled") { // the service has no other sign
		return fmt.Errorf("set ttl of table %s: %w", t.Name, err)
	}
	return nil
}

func keySchema(parts []samtemplate.KeyPart) (out []types.KeySchemaElement) {
	for _, p := range parts {
		out = append(out, types.KeySchemaElement{AttributeName: aws.String(p.Name), KeyType: types.KeyType(p.Kind)})
	}
	return out
}
