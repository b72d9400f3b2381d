// Command deploycheck is the Lambda function that CodeDeploy invokes before it
// gives traffic to a new version of a function: the version is asked to check
// itself with its own settings, and one that cannot work stops the deployment.
//
// The rule it keeps: it changes nothing but the state of that deployment, and
// says why it refused. It must not know what a function needs: the function
// does.
package main

import (
	"context"
	"io"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	lambdaapi "github.com/aws/aws-sdk-go-v2/service/lambda"

	"orderbridge/shared/config"
	"orderbridge/shared/lambdaenv"
)

func main() { lambda.Start(lambdaenv.Must("deploycheck", wire).Handle) }

func wire(_ context.Context, getenv func(string) string, out io.Writer) (*Handler, error) {
	c, err := config.LoadDeployCheck(getenv)
	if err != nil {
		return nil, err
	}
	env, err := lambdaenv.New("deploycheck", c.LogLevel, getenv, out)
	if err != nil {
		return nil, err
	}
	// A version is waited for longer than an AWS service is, and is asked again
	// by the handler.
	functions := lambdaapi.NewFromConfig(env.AWS, func(o *lambdaapi.Options) {
		o.HTTPClient = lambdaenv.WholeBody(awshttp.NewBuildableClient().WithTimeout(invokeTime))
		o.APIOptions, o.Retryer = nil, aws.NopRetryer{}
	})
	return &Handler{
		Versions: c.Versions, Functions: functions, Deployments: codedeploy.NewFromConfig(env.AWS), Log: env.Log, Sleep: env.Clock.Sleep,
	}, nil
}
