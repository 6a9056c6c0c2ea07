import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.waiters.WaiterOverrideConfiguration;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.lambda.LambdaAsyncClient;
import software.amazon.awssdk.services.lambda.LambdaClient;
import software.amazon.awssdk.services.lambda.model.*;

/** The story of test_sdks.py, told by the AWS SDK for Java v2: Client ENDPOINT NAME DIRECTORY. Prints "done". */
final class Client {
  private final LambdaClient client;
  private final URI endpoint;
  private final String name;
  private final Path directory;

  private static final StaticCredentialsProvider CREDENTIALS = StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));

  private Client(String endpoint, String name, Path directory) {
    this.endpoint = URI.create(endpoint);
    this.name = name;
    this.directory = directory;
    client = LambdaClient.builder().endpointOverride(this.endpoint).region(Region.US_EAST_1).credentialsProvider(CREDENTIALS)
        .overrideConfiguration(o -> o.retryStrategy(DefaultRetryStrategy.doNotRetry())).build();
  }

  private static void check(boolean is, String what, Object seen) {
    if (!is) throw new AssertionError(what + ": " + seen);
  }

  private interface Call {
    void run();
  }

  private static <T extends Throwable> T refused(Class<T> type, Call call) {
    try {
      call.run();
    } catch (Throwable e) {
      check(type.isInstance(e), type.getSimpleName(), e);
      return type.cast(e);
    }
    throw new AssertionError(type.getSimpleName() + " did not happen");
  }

  private SdkBytes file(String file) throws Exception {
    return SdkBytes.fromByteArray(Files.readAllBytes(directory.resolve(file)));
  }

  private static void quick(WaiterOverrideConfiguration.Builder waiter) {
    waiter.maxAttempts(600).waitTimeout(Duration.ofMinutes(1))
        .backoffStrategyV2(BackoffStrategy.fixedDelayWithoutJitter(Duration.ofMillis(20)));
  }

  private void waitUpdated() {
    client.waiter().waitUntilFunctionUpdatedV2(r -> r.functionName(name), Client::quick);
  }

  private InvokeResponse invoke(String payload, String qualifier) {
    return client.invoke(r -> r.functionName(name).payload(SdkBytes.fromUtf8String(payload)).qualifier(qualifier));
  }

  private void functions() throws Exception {
    SdkBytes zip = file("one.zip");
    CreateFunctionResponse made = client.createFunction(r -> r.functionName(name).runtime("python3.11").handler("app.handler")
        .role("arn:aws:iam::000000000000:role/r").code(c -> c.zipFile(zip)).timeout(10).tags(Map.of("team", "a"))
        .environment(e -> e.variables(Map.of("COLOUR", "blue"))));
    check(made.state() == State.PENDING, "Pending", made);
    client.waiter().waitUntilFunctionActiveV2(r -> r.functionName(name), Client::quick);

    InvokeResponse answer = client.invoke(r -> r.functionName(name).payload(SdkBytes.fromUtf8String("{\"n\": 41}")).logType(LogType.TAIL));
    check(answer.statusCode() == 200 && answer.functionError() == null, "success", answer);
    String text = answer.payload().asUtf8String();
    check(text.contains("\"n\": 42") && text.contains("\"colour\": \"blue\""), "the answer", text);
    check(new String(Base64.getDecoder().decode(answer.logResult())).contains("REPORT RequestId:"), "the log's end", answer);
    check("Unhandled".equals(invoke("{\"n\": \"no number\"}", null).functionError()), "a function error", name);
    check(client.invoke(r -> r.functionName(name).invocationType(InvocationType.EVENT).payload(SdkBytes.fromUtf8String("{\"n\": 1}")))
        .statusCode() == 202, "Event", name);
    check(client.invoke(r -> r.functionName(name).invocationType(InvocationType.DRY_RUN)).statusCode() == 204, "DryRun", name);

    client.updateFunctionConfiguration(r -> r.functionName(name).environment(e -> e.variables(Map.of("COLOUR", "red"))));
    waitUpdated();
    text = invoke("{\"n\": 1}", null).payload().asUtf8String();
    check(text.contains("\"colour\": \"red\""), "the new configuration", text);
    check("a".equals(client.listTags(r -> r.resource(made.functionArn())).tags().get("team")), "tags", name);
    Instant modified = client.putFunctionEventInvokeConfig(r -> r.functionName(name).maximumRetryAttempts(0)).lastModified();
    check(Duration.between(modified, Instant.now()).abs().toHours() < 1, "a time", modified);
  }

  private void versions() throws Exception {
    check("1".equals(client.publishVersion(r -> r.functionName(name).description("first")).version()), "version 1", name);
    SdkBytes zip = file("two.zip");
    client.updateFunctionCode(r -> r.functionName(name).zipFile(zip));
    waitUpdated();
    client.publishVersion(r -> r.functionName(name));
    CreateAliasResponse alias = client.createAlias(r -> r.functionName(name).name("live").functionVersion("1")
        .routingConfig(c -> c.additionalVersionWeights(Map.of("2", 1.0))));
    check(alias.routingConfig().additionalVersionWeights().get("2") == 1.0, "weights", alias);
    InvokeResponse answer = invoke("{\"n\": 1}", "live");
    check("2".equals(answer.executedVersion()) && answer.payload().asUtf8String().contains("\"n\": 101"), "routed to version 2", answer);
    client.updateAlias(r -> r.functionName(name).name("live").revisionId(alias.revisionId())
        .routingConfig(c -> c.additionalVersionWeights(Map.of())));
    check("1".equals(invoke("{\"n\": 1}", "live").executedVersion()), "version 1", name);
    refused(PreconditionFailedException.class,
        () -> client.updateAlias(r -> r.functionName(name).name("live").revisionId(alias.revisionId())));
    List<String> numbers = new ArrayList<>();
    client.listVersionsByFunctionPaginator(r -> r.functionName(name).maxItems(1)).versions().forEach(v -> numbers.add(v.version()));
    check(numbers.equals(List.of("$LATEST", "1", "2")), "pages of versions", numbers);
  }

  private void layers() throws Exception {
    SdkBytes zip = file("layer.zip");
    PublishLayerVersionResponse layer = client.publishLayerVersion(r -> r.layerName(name).content(c -> c.zipFile(zip))
        .compatibleRuntimesWithStrings("python3.11"));
    client.updateFunctionConfiguration(r -> r.functionName(name).layers(layer.layerVersionArn()));
    waitUpdated();
    String text = invoke("{\"n\": 1}", null).payload().asUtf8String();
    check(text.contains("from the layer"), "a layer", text);
    GetLayerVersionByArnResponse same = client.getLayerVersionByArn(r -> r.arn(layer.layerVersionArn()));
    check(same.content().codeSha256().equals(layer.content().codeSha256()), "the layer by its ARN", same);
    client.deleteLayerVersion(r -> r.layerName(name).versionNumber(layer.version()));
  }

  private void policies() {
    client.addPermission(r -> r.functionName(name).statementId("s3").action("lambda:InvokeFunction").principal("s3.amazonaws.com")
        .sourceArn("arn:aws:s3:::bucket"));
    GetPolicyResponse policy = client.getPolicy(r -> r.functionName(name));
    check(policy.policy().contains("\"Sid\":\"s3\""), "the policy", policy);
    client.removePermission(r -> r.functionName(name).statementId("s3").revisionId(policy.revisionId()));
    refused(ResourceNotFoundException.class, () -> client.getPolicy(r -> r.functionName(name)));
  }

  private void refusals() {
    ResourceNotFoundException missing = refused(ResourceNotFoundException.class, () -> client.getFunction(r -> r.functionName("no-such")));
    check(missing.awsErrorDetails().errorMessage().equals("Function not found: arn:aws:lambda:us-east-1:000000000000:function:no-such"),
        "missing", missing);
    check("User".equals(missing.type()) && missing.statusCode() == 404, "whose fault", missing);
    refused(ResourceConflictException.class, () -> client.createAlias(r -> r.functionName(name).name("live").functionVersion("1")));
    LambdaException invalid = refused(LambdaException.class, () -> client.updateFunctionConfiguration(r -> r.functionName(name).memorySize(1)));
    check("ValidationException".equals(invalid.awsErrorDetails().errorCode()), "too little memory", invalid);
    client.putFunctionConcurrency(r -> r.functionName(name).reservedConcurrentExecutions(0));
    TooManyRequestsException throttled = refused(TooManyRequestsException.class, () -> client.invoke(r -> r.functionName(name)));
    check(throttled.reason() == ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED, "throttled", throttled);
    check(throttled.retryAfterSeconds() != null, "when to come again", throttled);
    client.deleteFunctionConcurrency(r -> r.functionName(name));
  }

  private void stream() throws Exception {
    ByteArrayOutputStream payload = new ByteArrayOutputStream();
    AtomicReference<InvokeWithResponseStreamCompleteEvent> complete = new AtomicReference<>();
    try (LambdaAsyncClient streaming = LambdaAsyncClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1)
             .credentialsProvider(CREDENTIALS).build()) {
      InvokeWithResponseStreamResponseHandler handler = InvokeWithResponseStreamResponseHandler.builder()
          .subscriber(InvokeWithResponseStreamResponseHandler.Visitor.builder()
              .onPayloadChunk(chunk -> payload.writeBytes(chunk.payload().asByteArray())).onInvokeComplete(complete::set).build())
          .build();
      streaming.invokeWithResponseStream(r -> r.functionName(name).payload(SdkBytes.fromUtf8String("{\"n\": 1}")), handler)
          .get(60, TimeUnit.SECONDS);
    }
    check(complete.get() != null && complete.get().errorCode() == null, "a whole stream", complete.get());
    check(payload.toString().contains("\"n\": 101"), "what was streamed", payload);
  }

  public static void main(String[] arguments) throws Exception {
    Client story = new Client(arguments[0], arguments[1], Path.of(arguments[2]));
    story.functions();
    story.versions();
    story.layers();
    story.policies();
    story.refusals();
    story.stream();
    story.client.deleteFunction(r -> r.functionName(story.name));
    System.out.println("done");
    System.exit(0);
  }
}
