// The story of test_sdks.py, told by the AWS SDK for Go v2: main ENDPOINT NAME DIRECTORY. Prints "done".
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

var ctx, cancel = context.WithTimeout(context.Background(), 2*time.Minute)

func check(is bool, what string, seen ...interface{}) {
	if !is {
		panic(fmt.Sprint(what, ": ", seen))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// code is what the service called an error that must have happened.
func code(err error) string {
	var of smithy.APIError
	check(errors.As(err, &of), "an error of the service", err)
	return of.ErrorCode()
}

type story struct {
	client    *lambda.Client
	name      string
	directory string
}

func (s *story) file(name string) []byte { return must(os.ReadFile(filepath.Join(s.directory, name))) }

func (s *story) waitUpdated() {
	quick := func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second
	}
	err := lambda.NewFunctionUpdatedV2Waiter(s.client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &s.name}, time.Minute, quick)
	check(err == nil, "FunctionUpdatedV2", err)
}

func (s *story) invoke(payload string, in lambda.InvokeInput) (map[string]interface{}, *lambda.InvokeOutput) {
	in.FunctionName, in.Payload = &s.name, []byte(payload)
	out := must(s.client.Invoke(ctx, &in))
	var document map[string]interface{}
	if len(out.Payload) != 0 {
		check(json.Unmarshal(out.Payload, &document) == nil, "a document", string(out.Payload))
	}
	return document, out
}

func (s *story) functions() {
	made := must(s.client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &s.name, Runtime: "python3.11", Handler: aws.String("app.handler"), Role: aws.String("arn:aws:iam::000000000000:role/r"),
		Code: &types.FunctionCode{ZipFile: s.file("one.zip")}, Timeout: aws.Int32(10), Tags: map[string]string{"team": "a"},
		Environment: &types.Environment{Variables: map[string]string{"COLOUR": "blue"}}}))
	check(made.State == types.StatePending, "Pending", made.State)
	quick := func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second
	}
	err := lambda.NewFunctionActiveV2Waiter(s.client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &s.name}, time.Minute, quick)
	check(err == nil, "FunctionActiveV2", err)

	document, out := s.invoke(`{"n": 41}`, lambda.InvokeInput{LogType: types.LogTypeTail})
	check(out.StatusCode == 200 && out.FunctionError == nil, "success", out)
	check(document["n"] == 42.0 && document["colour"] == "blue", "the answer", document)
	check(strings.Contains(string(must(base64.StdEncoding.DecodeString(*out.LogResult))), "REPORT RequestId:"), "the log's end")
	_, out = s.invoke(`{"n": "no number"}`, lambda.InvokeInput{})
	check(aws.ToString(out.FunctionError) == "Unhandled", "a function error", out)
	_, out = s.invoke(`{"n": 1}`, lambda.InvokeInput{InvocationType: types.InvocationTypeEvent})
	check(out.StatusCode == 202, "Event", out.StatusCode)
	_, out = s.invoke(`{}`, lambda.InvokeInput{InvocationType: types.InvocationTypeDryRun})
	check(out.StatusCode == 204, "DryRun", out.StatusCode)

	must(s.client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &s.name,
		Environment: &types.Environment{Variables: map[string]string{"COLOUR": "red"}}}))
	s.waitUpdated()
	document, _ = s.invoke(`{"n": 1}`, lambda.InvokeInput{})
	check(document["colour"] == "red", "the new configuration", document)
	tags := must(s.client.ListTags(ctx, &lambda.ListTagsInput{Resource: made.FunctionArn}))
	check(tags.Tags["team"] == "a", "tags", tags)
	config := must(s.client.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &s.name, MaximumRetryAttempts: aws.Int32(0)}))
	check(time.Since(*config.LastModified).Abs() < time.Hour, "a time", config.LastModified)
}

func (s *story) versions() {
	first := must(s.client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &s.name, Description: aws.String("first")}))
	check(*first.Version == "1", "version 1", *first.Version)
	must(s.client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &s.name, ZipFile: s.file("two.zip")}))
	s.waitUpdated()
	must(s.client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &s.name}))
	alias := must(s.client.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &s.name, Name: aws.String("live"), FunctionVersion: aws.String("1"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 1}}}))
	check(alias.RoutingConfig.AdditionalVersionWeights["2"] == 1, "weights", alias)
	document, out := s.invoke(`{"n": 1}`, lambda.InvokeInput{Qualifier: aws.String("live")})
	check(*out.ExecutedVersion == "2" && document["n"] == 101.0, "routed to version 2", document)
	must(s.client.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &s.name, Name: aws.String("live"), RevisionId: alias.RevisionId,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}}))
	_, out = s.invoke(`{"n": 1}`, lambda.InvokeInput{Qualifier: aws.String("live")})
	check(*out.ExecutedVersion == "1", "version 1", *out.ExecutedVersion)
	_, err := s.client.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &s.name, Name: aws.String("live"), RevisionId: alias.RevisionId})
	var precondition *types.PreconditionFailedException
	check(errors.As(err, &precondition), "an old revision", err)

	pages := lambda.NewListVersionsByFunctionPaginator(s.client, &lambda.ListVersionsByFunctionInput{FunctionName: &s.name, MaxItems: aws.Int32(1)})
	var numbers []string
	for pages.HasMorePages() {
		for _, version := range must(pages.NextPage(ctx)).Versions {
			numbers = append(numbers, *version.Version)
		}
	}
	check(strings.Join(numbers, " ") == "$LATEST 1 2", "pages of versions", numbers)
}

func (s *story) layers() {
	layer := must(s.client.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{LayerName: &s.name,
		Content: &types.LayerVersionContentInput{ZipFile: s.file("layer.zip")}, CompatibleRuntimes: []types.Runtime{"python3.11"}}))
	must(s.client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &s.name, Layers: []string{*layer.LayerVersionArn}}))
	s.waitUpdated()
	document, _ := s.invoke(`{"n": 1}`, lambda.InvokeInput{})
	check(document["layer"] == "from the layer", "a layer", document)
	same := must(s.client.GetLayerVersionByArn(ctx, &lambda.GetLayerVersionByArnInput{Arn: layer.LayerVersionArn}))
	check(*same.Content.CodeSha256 == *layer.Content.CodeSha256, "the layer by its ARN")
	must(s.client.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: &s.name, VersionNumber: aws.Int64(layer.Version)}))
}

func (s *story) policies() {
	must(s.client.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: &s.name, StatementId: aws.String("s3"),
		Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("s3.amazonaws.com"), SourceArn: aws.String("arn:aws:s3:::bucket")}))
	policy := must(s.client.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &s.name}))
	check(strings.Contains(*policy.Policy, `"Sid":"s3"`), "the policy", *policy.Policy)
	must(s.client.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: &s.name, StatementId: aws.String("s3"), RevisionId: policy.RevisionId}))
	_, err := s.client.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &s.name})
	var missing *types.ResourceNotFoundException
	check(errors.As(err, &missing), "no policy", err)
}

func (s *story) refusals() {
	_, err := s.client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("no-such")})
	var missing *types.ResourceNotFoundException
	check(errors.As(err, &missing) && *missing.Message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:no-such", "missing", err)
	check(aws.ToString(missing.Type) == "User", "whose fault", missing)
	_, err = s.client.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &s.name, Name: aws.String("live"), FunctionVersion: aws.String("1")})
	var conflict *types.ResourceConflictException
	check(errors.As(err, &conflict), "there already", err)
	_, err = s.client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &s.name, MemorySize: aws.Int32(1)})
	check(code(err) == "ValidationException", "too little memory", err)
	must(s.client.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &s.name, ReservedConcurrentExecutions: aws.Int32(0)}))
	_, err = s.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &s.name})
	var throttled *types.TooManyRequestsException
	check(errors.As(err, &throttled) && throttled.Reason == types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded, "throttled", err)
	check(aws.ToString(throttled.RetryAfterSeconds) != "", "when to come again", throttled)
	must(s.client.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: &s.name}))
}

func (s *story) stream() {
	out := must(s.client.InvokeWithResponseStream(ctx, &lambda.InvokeWithResponseStreamInput{FunctionName: &s.name, Payload: []byte(`{"n": 1}`)}))
	var payload bytes.Buffer
	complete := false
	for event := range out.GetStream().Events() {
		switch of := event.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			payload.Write(of.Value.Payload)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			complete = of.Value.ErrorCode == nil
		}
	}
	check(out.GetStream().Err() == nil && complete, "a whole stream", out.GetStream().Err())
	check(strings.Contains(payload.String(), `"n": 101`), "what was streamed", payload.String())
}

func main() {
	defer cancel()
	s := story{name: os.Args[2], directory: os.Args[3], client: lambda.New(lambda.Options{
		Region: "us-east-1", BaseEndpoint: &os.Args[1], Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})}
	s.functions()
	s.versions()
	s.layers()
	s.policies()
	s.refusals()
	s.stream()
	must(s.client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &s.name}))
	fmt.Println("done")
}
