package cloudformation_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"

	"orderbridge/local/cloudformation"
)

func TestTheSDKReadsTheOutputsOfTheStack(t *testing.T) {
	server := httptest.NewServer(cloudformation.Stack{
		Name: "trial", ARN: "arn:aws:cloudformation:eu-central-1:000000000000:stack/trial/1", Created: time.Now(), Outputs: map[string]string{"TableName": "orders & more"},
	})
	defer server.Close()
	client := cfn.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
	})
	out, err := client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: aws.String("trial")})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Stacks) != 1 || len(out.Stacks[0].Outputs) != 1 || *out.Stacks[0].Outputs[0].OutputValue != "orders & more" {
		t.Errorf("stacks %+v", out.Stacks)
	}
	_, err = client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: aws.String("another")})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "ValidationError" {
		t.Errorf("another stack: %v", err)
	}
	_, err = client.ListStacks(t.Context(), &cfn.ListStacksInput{})
	if !errors.As(err, &api) || api.ErrorCode() != "InvalidAction" {
		t.Errorf("another action: %v", err)
	}
}
