package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"orderbridge/shared/lambdaenv"
)

// dynamoConfig points at the DynamoDB of this machine and never at AWS.
func (s *system) dynamoConfig() aws.Config {
	endpoint := s.at.aws
	if s.settings.dynamoEndpoint != "" {
		endpoint = s.settings.dynamoEndpoint
	}
	return aws.Config{
		Region:       s.settings.region,
		BaseEndpoint: &endpoint,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:   lambdaenv.WholeBody(awshttp.NewBuildableClient()),
	}
}

func (s *system) streamClient() *dynamodbstreams.Client {
	return dynamodbstreams.NewFromConfig(s.dynamoConfig())
}
