package main

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Fail string `json:"fail"`
	N    int    `json:"n"`
}

func handle(ctx context.Context, in event) (map[string]any, error) {
	if in.Fail != "" {
		return nil, errors.New(in.Fail)
	}
	println("seen")
	c, _ := lambdacontext.FromContext(ctx)
	_, hasDeadline := ctx.Deadline()
	return map[string]any{"n": in.N, "arn": c.InvokedFunctionArn, "id": c.AwsRequestID, "name": lambdacontext.FunctionName,
		"deadline": hasDeadline}, nil
}

func main() { lambda.Start(handle) }
