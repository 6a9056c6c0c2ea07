#include "daemon/wiring.h"

#include "access/gate.h"
#include "access/root_key.h"
#include "access/sessions.h"
#include "aws/dispatcher.h"
#include "aws/gen/lambda.h"
#include "base/json.h"
#include "daemon/api_caller.h"
#include "daemon/mappings_page.h"
#include "daemon/remote_api_caller.h"
#include "daemon/version.h"
#include "event_sources/mappings/mapping_service.h"
#include "event_sources/sqs/sqs_source.h"
#include "execution/runtimes.h"
#include "execution/sandbox_environment.h"
#include "execution/spares.h"
#include "frontdoor/frontdoor.h"
#include "http/server.h"
#include "invoke/async/async_plane.h"
#include "invoke/async/event_pages.h"
#include "invoke/async/function_target.h"
#include "invoke/invoker.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "package/image_sources.h"
#include "package/image_store.h"
#include "package/package_store.h"
#include "scheduler/concurrency.h"
#include "scheduler/scheduler.h"
#include "services/ecr/ecr_service.h"
#include "services/function_urls/function_url_service.h"
#include "services/iam/iam_service.h"
#include "services/lambda/lambda_service.h"
#include "services/logs/logs_service.h"
#include "services/sns/sns_service.h"
#include "services/sqs/sqs_service.h"
#include "services/sts/sts_service.h"
#include "store/blobs.h"
#include "store/database.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/processes.h"
#include "system/random.h"
#include "system/system.h"

namespace lambdad::daemon {

namespace {

constexpr unsigned kWorkerThreads = 2;  // unpacking and hashing

// Everything but Lambda's control plane: 6 MiB payloads and what they are wrapped in.
constexpr std::size_t kOrdinaryRequestBytesMax = 8 * 1024 * 1024;

// Parts of container images go to disk as they come.
bool is_part_of_image(const http::Request& head) {
  return ecr::ArchiveUpload::takes(head) || ecr::Distribution::takes_upload(head);
}

http::ServerLimits front_limits(Random& random) {
  http::ServerLimits limits;
  limits.body_bytes_max = kOrdinaryRequestBytesMax;
  limits.body_limit = [](const http::Request& head) {
    if (is_part_of_image(head)) return std::size_t{ecr::kLayerBytesMax};
    const std::string_view path = head.path();
    if (path.starts_with("/2015-03-31/functions") && !path.ends_with("/invocations")) {
      return lambda::LambdaService::kRequestBytesMax;
    }
    if (path.starts_with("/2018-10-31/layers")) return lambda::LambdaService::kRequestBytesMax;
    return kOrdinaryRequestBytesMax;
  };
  limits.refuse_body = [&random](const http::Request& head) {
    return lambda::LambdaService::refuse_body(head, random.uuid_v4());
  };
  limits.stream_body = is_part_of_image;
  return limits;
}

// Of an execution environment. Source: STS API reference: the longest that a role's session can last.
constexpr Duration kRoleCredentialsValid = 12h;

// The clock's offset of an earlier run: queued retries and timers mean the same moment after a restart.
constexpr std::string_view kClockFile = "/clock.json";

Duration load_clock_offset(Files& files, const std::string& data) {
  auto text = files.read(data + std::string(kClockFile));
  if (!text) return {};
  auto document = json::parse(*text);
  const json::Value* offset = document ? document->find("offset_ns") : nullptr;
  return offset == nullptr ? Duration{} : Duration{std::max<std::int64_t>(0, offset->as_int64().value_or(0))};
}

std::optional<aws::sigv4::Credentials> credentials_of_environment() {
  auto key = environment_variable("AWS_ACCESS_KEY_ID");
  auto secret = environment_variable("AWS_SECRET_ACCESS_KEY");
  if (!key || !secret) return std::nullopt;
  return aws::sigv4::Credentials{.access_key_id = std::move(*key),
                                 .secret_access_key = std::move(*secret),
                                 .session_token = environment_variable("AWS_SESSION_TOKEN").value_or("")};
}

}  // namespace

struct Daemon::Parts {
  Parts(Loop& l, ServeOptions o, sandbox::SandboxFactory::KeeperHandle keeper)
      : loop(l),
        options(std::move(o)),
        log(2, options.log_format, options.log_level),
        activity(loop),
        clock(loop, activity, load_clock_offset(files, options.data)),
        host_clock(loop),
        workers(loop, kWorkerThreads),
        system{loop, clock, host_clock, activity, random, files, workers},
        blobs(files, options.data + "/blobs"),
        sandboxes(loop, log, std::move(keeper),
                  {.isolation = options.isolation, .state_directory = options.data + "/sandboxes"}),
        runtimes(files, processes,
                 {.directory = options.runtimes_directory,
                  .cache_file = options.data + "/runtimes.json",
                  .configured = options.runtimes,
                  .home = home_directory()}),
        packages(system, log, blobs, options.data + "/packages"),
        images(system, log, options.data + "/images"),
        image_sources(system, log, images),
        background(loop) {}

  store::Durability durability() const {
    return options.ephemeral ? store::Durability::kEphemeral : store::Durability::kFull;
  }
  Result<std::unique_ptr<store::Database>> open(const char* name, std::span<const store::Migration> migrations) {
    return store::Database::open(loop, options.data + "/" + name, migrations, {.durability = durability()});
  }
  Result<void> make_gate();
  std::string resource_policy(const Arn& resource) const;
  ports::RoleCredentials credentials_of(const ports::FunctionVersion& function);
  Async<void> prepare_runtimes();
  Async<Result<void>> look_at_isolation();
  Async<void> warn_of_missing_isolation();
  Async<Result<execution::CodeDirectory>> code_directory(ports::FunctionVersionPtr function);
  Async<Result<std::shared_ptr<execution::Environment>>> make_environment(ports::FunctionVersionPtr function);

  Loop& loop;
  ServeOptions options;

  // The outside world.
  RealFiles files;
  RealProcesses processes;
  KernelRandom random;
  Logger log;
  Metrics metrics;
  Activity activity;
  AdjustableClock clock;
  RealClock host_clock;
  WorkerPool workers;
  System system;

  // Stores.
  store::Blobs blobs;
  std::unique_ptr<store::Database> lambda_database;
  std::unique_ptr<store::Database> iam_database;
  std::unique_ptr<store::Database> ecr_database;

  // What runs functions.
  std::unique_ptr<logs::LogsService> logs;
  sandbox::SandboxFactory sandboxes;
  execution::RuntimeCatalog runtimes;
  scheduler::ConcurrencyLedger ledger{options.account_concurrency};
  std::unique_ptr<execution::OtlpExporter> otlp;
  std::unique_ptr<execution::EnvironmentDeps> environment_deps;
  std::unique_ptr<execution::SparePool> spares;
  std::unique_ptr<scheduler::Scheduler> scheduler;
  std::unique_ptr<invoke::Invoker> invoker;
  std::unique_ptr<invoke::FunctionTarget> function_target;
  ports::Targets targets;  // by service: what destinations and dead-letter queues name
  std::unique_ptr<invoke::AsyncPlane> async_plane;
  std::unique_ptr<invoke::EventPages> event_pages;

  // The AWS services, and who may use them.
  std::unique_ptr<access::Sessions> sessions;
  std::unique_ptr<access::Gate> gate;
  std::unique_ptr<aws::Dispatcher> dispatcher;
  std::unique_ptr<LocalApiCaller> api_caller;
  std::unique_ptr<RemoteApiCaller> source_api;  // of event sources
  package::PackageStore packages;
  package::ImageStore images;
  package::ImageSources image_sources;
  std::unique_ptr<lambda::LambdaService> lambda;
  std::unique_ptr<sqs::SqsService> sqs;
  std::unique_ptr<sns::SnsService> sns;
  std::unique_ptr<iam::IamService> iam;
  std::unique_ptr<ecr::EcrService> ecr;
  std::unique_ptr<sts::StsService> sts;
  std::unique_ptr<event_sources::MappingService> mappings;
  std::unique_ptr<function_urls::FunctionUrlService> function_urls;

  std::unique_ptr<frontdoor::FrontDoor> front_door;
  std::unique_ptr<http::Server> server;
  TaskGroup background;
};

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Daemon::~Daemon() = default;
std::string Daemon::address() const { return parts_->server->address(); }
Logger& Daemon::log() { return parts_->log; }

Result<std::unique_ptr<Daemon>> Daemon::make(Loop& loop, ServeOptions options,
                                             sandbox::SandboxFactory::KeeperHandle keeper) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::make_unique<Parts>(loop, std::move(options), std::move(keeper))));
  if (auto connected = daemon->connect(); !connected) {
    // The keeper lives already, and so do the stores that could be opened.
    asio::co_spawn(loop, daemon->stop(Duration::zero()), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
    loop.run();
    return std::unexpected(connected.error());
  }
  return daemon;
}

Result<void> Daemon::Parts::make_gate() {
  LD_TRY(auto key, access::Sessions::load_key(files, random, options.data + "/session.key"));
  sessions = std::make_unique<access::Sessions>(random, std::move(key));
  access::Gate::Options made{.mode = options.auth,
                             .default_account = options.account,
                             .root = std::nullopt,
                             .resource_policy = [this](const Arn& resource) { return resource_policy(resource); },
                             .role_of_function =
                                 [this](const ports::FunctionRef& function) {
                                   auto found = lambda->catalog().resolve(function);
                                   return found ? (*found)->role : std::string();
                                 }};
  if (options.auth != access::Mode::kOff) {
    LD_TRY(made.root, access::load_root_key(files, random, root_key_path(options.data)));
  }
  gate = std::make_unique<access::Gate>(system, log, *sessions, std::move(made));
  return {};
}

std::string Daemon::Parts::resource_policy(const Arn& resource) const {
  if (resource.service == "lambda") return lambda->resource_policy(resource);
  if (resource.service == "sqs") return sqs->resource_policy(resource);
  if (resource.service == "sns") return sns->resource_policy(resource);
  return {};
}

ports::RoleCredentials Daemon::Parts::credentials_of(const ports::FunctionVersion& function) {
  auto made = gate->issue_for_role(function.role, function.account, function.name, kRoleCredentialsValid);
  return {.access_key_id = std::move(made.access_key_id),
          .secret_access_key = std::move(made.secret_access_key),
          .session_token = std::move(made.session_token),
          .expiration = made.expiration};
}

Result<void> Daemon::connect() {
  Parts& p = *parts_;
  LD_TRY_VOID(p.make_gate());
  p.dispatcher = std::make_unique<aws::Dispatcher>(
      p.system, p.log, p.metrics,
      aws::Dispatcher::Options{
          .default_account = p.options.account, .default_region = p.options.region, .access = p.gate.get()});
  p.api_caller = std::make_unique<LocalApiCaller>(p.system, *p.dispatcher);
  LD_TRY(p.lambda_database, p.open("lambda.db", lambda::LambdaService::migrations()));
  LD_TRY(p.iam_database, p.open("iam.db", iam::IamService::migrations()));
  LD_TRY(p.ecr_database, p.open("ecr.db", ecr::EcrService::migrations()));
  LD_TRY(p.sqs, sqs::SqsService::open(p.system, p.log, p.metrics,
                                      {.directory = p.options.data, .durability = p.durability()}));
  LD_TRY(p.logs, logs::LogsService::open(p.system, p.log, p.metrics,
                                         {.directory = p.options.data, .durability = p.durability()}));

  // Functions: their records, their environments, the one invoker, the asynchronous plane.
  p.lambda = std::make_unique<lambda::LambdaService>(
      p.system, p.log, *p.lambda_database, p.packages,
      lambda::LambdaService::Options{
          .runtime_check = [&p](const std::string& runtime) -> Result<void> {
            LD_TRY([[maybe_unused]] auto found, p.runtimes.find(runtime));
            return {};
          },
          .role_check =
              [&p](const std::string& role) { return p.gate->service_may_assume(role, "lambda.amazonaws.com"); },
          .account_concurrency = p.ledger.account_limit(),
          .limit_control_rates = p.options.aws_api_rates});
  if (!p.options.otlp_endpoint.empty()) {
    LD_TRY(p.otlp, execution::OtlpExporter::make(p.system, p.log, p.metrics, p.options.otlp_endpoint));
  }
  p.environment_deps.reset(new execution::EnvironmentDeps{
      .system = p.system,
      .log = p.log,
      .logs = p.logs->sink(),
      .make_sandbox = [&p](sandbox::SandboxSpec spec) { return p.sandboxes.create(std::move(spec)); },
      .runtimes = p.runtimes,
      .code_directory = [&p](ports::FunctionVersionPtr function) { return p.code_directory(std::move(function)); },
      .aws_endpoint = [&p](http::Request request) { return p.dispatcher->handle(std::move(request)); },
      .credentials = [&p](const ports::FunctionVersion& function) { return p.credentials_of(function); },
      .traces = p.otlp ? std::function([&p](execution::InvocationTrace trace) { p.otlp->record(std::move(trace)); })
                       : std::function<void(execution::InvocationTrace)>(),
      .endpoint_port = [&p] { return p.server->port(); },
      .network = p.options.network,
      .limit_cpu = p.options.limit_cpu,
  });
  const bool with_spares = p.options.isolation == sandbox::Isolation::kNamespaces &&
                           p.options.network != sandbox::NetworkPolicy::kInternet && p.options.spares > 0;
  if (with_spares) {
    p.spares = std::make_unique<execution::SparePool>(
        execution::SparePool::Deps{
            .system = p.system,
            .log = p.log,
            .metrics = p.metrics,
            .make_sandbox = [&p](sandbox::SandboxSpec spec) { return p.sandboxes.create(std::move(spec)); },
            .runtimes = p.runtimes,
            .sandbox_spec =
                [&p](const std::string& runtime, const execution::Interpreter& interpreter) {
                  return execution::runtime_sandbox_spec(*p.environment_deps, runtime, interpreter);
                }},
        execution::SparePool::Options{.per_runtime = p.options.spares});
    p.environment_deps->spares = p.spares.get();
  }
  p.scheduler = std::make_unique<scheduler::Scheduler>(
      p.system, p.log, p.metrics,
      [&p](ports::FunctionVersionPtr function) { return p.make_environment(std::move(function)); });
  p.invoker =
      std::make_unique<invoke::Invoker>(p.system, p.log, p.metrics, p.lambda->catalog(), p.ledger, *p.scheduler);
  if (p.options.aws_stream_pace) p.invoker->set_stream_pace(invoke::kAwsStreamPace);
  LD_TRY(auto events, invoke::EventStore::open(p.loop, p.options.data + "/async.db", {.durability = p.durability()}));
  p.async_plane = std::make_unique<invoke::AsyncPlane>(p.system, p.log, p.metrics, std::move(events), *p.invoker,
                                                       p.lambda->catalog(), p.targets, invoke::AsyncPlane::Limits{});
  p.event_pages = std::make_unique<invoke::EventPages>(
      *p.async_plane, invoke::EventPages::Options{.account = p.options.account, .region = p.options.region});
  p.function_target = std::make_unique<invoke::FunctionTarget>(p.system, *p.invoker, p.lambda->catalog());
  p.targets.add("sqs", p.sqs->target());
  p.targets.add("lambda", *p.function_target);
  p.invoker->set_enqueue([&p](ports::InvocationRequest request) { return p.async_plane->accept(std::move(request)); });
  p.lambda->set_invoker(*p.invoker);
  p.lambda->set_stream_invoker(*p.invoker);
  p.lambda->set_images(p.image_sources);
  p.lambda->set_targets(p.targets);
  p.lambda->catalog().on_change([&p](const ports::FunctionRef& function) {
    p.scheduler->retire_others(function, p.lambda->catalog().snapshots(function));
    if (!p.spares) return;
    if (const auto version = p.lambda->catalog().resolve(function)) p.spares->want((*version)->runtime);
  });

  LD_TRY(p.sns, sns::SnsService::open(p.system, p.log, p.metrics,
                                      {.directory = p.options.data,
                                       .durability = p.durability(),
                                       .invoker = *p.invoker,
                                       .catalog = p.lambda->catalog(),
                                       .api = *p.api_caller,
                                       .base_url = [&p] { return "http://" + p.server->address(); }}));
  p.targets.add("sns", p.sns->target());

  // The AWS APIs.
  p.iam = std::make_unique<iam::IamService>(
      p.system, p.log, *p.iam_database,
      iam::IamService::Options{.known_policies_only = p.options.auth == access::Mode::kEnforce});
  p.gate->set_identities(p.iam->identities());
  p.sts = std::make_unique<sts::StsService>(p.system, *p.gate, *p.sessions, p.iam->identities());
  p.ecr = std::make_unique<ecr::EcrService>(p.system, p.log, *p.ecr_database, p.images,
                                            ecr::ArchiveUpload::Options{p.options.account, p.options.region});
  p.image_sources.set_embedded(&p.ecr->registry());
  p.lambda->serve(*p.dispatcher);
  p.sqs->register_operations(*p.dispatcher);
  p.sns->register_operations(*p.dispatcher);
  p.logs->register_operations(*p.dispatcher);
  p.iam->serve(*p.dispatcher);
  p.sts->serve(*p.dispatcher);
  p.ecr->serve(*p.dispatcher);

  // Event source mappings.
  std::map<std::string, RemoteEndpoint> remote;
  for (const auto& [account, url] : p.options.remote_accounts) {
    LD_TRY(remote[account], RemoteEndpoint::parse(url));
  }
  p.source_api =
      std::make_unique<RemoteApiCaller>(p.system, *p.api_caller, std::move(remote), credentials_of_environment());
  p.mappings = std::make_unique<event_sources::MappingService>(
      p.system, p.log, p.metrics,
      event_sources::MappingService::Options{.data_directory = p.options.data, .durability = p.durability()},
      *p.invoker, p.lambda->catalog(), *p.source_api);
  p.mappings->add_source(std::make_unique<event_sources::SqsSource>(p.mappings->context()));
  p.mappings->register_operations(*p.dispatcher);
  p.lambda->set_tagged_resources(*p.mappings);

  p.function_urls = std::make_unique<function_urls::FunctionUrlService>(
      p.system, p.log, p.metrics,
      function_urls::FunctionUrlService::Options{
          .data_directory = p.options.data,
          .durability = p.durability(),
          .admit = [&p](const http::Request& request, const aws::sigv4::Signature* signature,
                        const ports::FunctionRef& function) { return p.gate->admit_url(request, signature, function); },
          .default_account = p.options.account,
          .domain = p.options.url_domain},
      p.lambda->catalog(), *p.invoker, *p.invoker);
  p.function_urls->register_operations(*p.dispatcher);

  p.front_door = std::make_unique<frontdoor::FrontDoor>(
      p.system, p.clock, *p.dispatcher, p.metrics,
      frontdoor::FrontDoor::Options{
          .version = kVersion,
          .services = {"ecr", "iam", "lambda", "logs", "sns", "sqs", "sts"},
          .allowed_hosts = p.options.allowed_hosts,
          .own_pages_from_anywhere = p.options.auth == access::Mode::kOff,
          .clock_moved = [&p](Duration offset) {
            json::Object document;
            document.append("offset_ns", json::Value(static_cast<std::int64_t>(offset.count())));
            auto written = p.files.write_durably(p.options.data + std::string(kClockFile),
                                                 json::serialize(json::Value(std::move(document))));
            if (!written) p.log.error("clock_not_stored", {{"reason", written.error().detail}});
          }});
  open_sites_and_pages();
  add_health_checks();

  p.server = std::make_unique<http::Server>(p.loop, p.host_clock, front_limits(p.random), [&p](http::Request request) {
    return p.front_door->handle(std::move(request));
  });
  return {};
}

static Async<http::Response> answered(http::Response response) { co_return response; }

// What answers on the main listener beside the AWS API.
void Daemon::open_sites_and_pages() {
  Parts& p = *parts_;
  frontdoor::FrontDoor& door = *p.front_door;
  using http::Request;
  door.add_site(
      [](const Request& r) {
        return function_urls::FunctionUrlService::is_url_host(r.headers.get("Host").value_or(""));
      },
      [&p](Request request) { return p.function_urls->handle(std::move(request)); });
  door.add_site(ecr::Distribution::is_for_registry,
                [&p](Request request) { return p.ecr->distribution().handle(std::move(request)); });
  // A token in the path is the permission.
  door.add_site([](const Request& r) { return r.method == "GET" && r.path().starts_with("/_lambdad/code/"); },
                [&p](Request request) { return p.lambda->code_download(std::move(request)); });
  door.add_site([](const Request& r) { return r.method == "GET" && sns::SnsService::is_certificate_path(r.path()); },
                [&p](Request request) { return p.sns->certificate(std::move(request)); });
  door.add_page("/_lambdad/events", [&p](Request request) { return p.event_pages->handle(std::move(request)); });
  door.add_page("/_lambdad/images",
                [&p](Request request) { return p.ecr->archive_upload().handle(std::move(request)); });
  door.add_page("/_aws/sqs/messages",
                [&p](Request request) { return answered(p.sqs->messages_page(std::move(request))); });
  door.add_page("/_lambdad/mappings", [&p](Request request) { return mappings_page(*p.mappings, std::move(request)); });
  door.add_page("/_lambdad/mail", [&p](Request request) { return p.sns->mail(std::move(request)); });
}

void Daemon::add_health_checks() {
  Parts& p = *parts_;
  auto commits = [](const store::Database& database) {
    return [&database] { return database.healthy() ? std::string() : std::string("the store cannot commit"); };
  };
  p.front_door->add_health_check("lambda", commits(*p.lambda_database));
  p.front_door->add_health_check("iam", commits(*p.iam_database));
  p.front_door->add_health_check("ecr", commits(*p.ecr_database));
  p.front_door->add_health_check(
      "sqs", [&p] { return p.sqs->healthy() ? std::string() : std::string("the store cannot commit"); });
  p.front_door->add_health_check(
      "sns", [&p] { return p.sns->healthy() ? std::string() : std::string("the store cannot commit"); });
  p.front_door->add_health_check(
      "logs", [&p] { return p.logs->healthy() ? std::string() : std::string("the store cannot commit"); });
  p.front_door->add_health_check("function_urls", [&p] {
    return p.function_urls->healthy() ? std::string() : std::string("the store cannot commit");
  });
  p.front_door->add_health_check(
      "async", [&p] { return p.async_plane->healthy() ? std::string() : std::string("the store cannot commit"); });
}

Async<Result<void>> Daemon::start() {
  Parts& p = *parts_;
  if (p.options.require_isolation) LD_CO_TRY_VOID(co_await p.look_at_isolation());
  LD_CO_TRY_VOID(co_await p.iam->start());
  LD_CO_TRY_VOID(co_await p.images.start());
  LD_CO_TRY_VOID(co_await p.ecr->start());
  LD_CO_TRY_VOID(co_await p.lambda->start());
  LD_CO_TRY_VOID(co_await p.function_urls->start());
  p.images.collect_later();
  // Functions may call back as soon as they run: listen before unfinished events are taken up.
  LD_CO_TRY_VOID(p.server->listen(p.options.listen));
  p.ecr->registry().set_port(p.server->port());
  p.api_caller->set_base_url("http://" + p.server->address());
  p.lambda->set_provisioner(*p.scheduler);
  LD_CO_TRY_VOID(p.async_plane->start());
  p.sns->start();
  LD_CO_TRY_VOID(p.mappings->start());
  p.background.spawn("prepare runtimes", p.prepare_runtimes());
  if (p.spares) p.spares->start();
  if (!p.options.require_isolation) p.background.spawn("look at isolation", p.warn_of_missing_isolation());
  co_return Result<void>();
}

// Says what this host cannot enforce; an error when the operator requires all of it.
Async<Result<void>> Daemon::Parts::look_at_isolation() {
  auto capabilities = co_await sandboxes.capabilities();
  if (!capabilities) co_return fail_with(capabilities.error(), "asking what this host can isolate");
  for (const auto& missing : capabilities->missing) log.warn("isolation_missing", {{"what", missing}});
  if (options.require_isolation && !capabilities->missing.empty()) {
    co_return fail(Errc::kDenied, "--require-isolation: {}", fmt::join(capabilities->missing, "; "));
  }
  co_return Result<void>();
}

Async<void> Daemon::Parts::warn_of_missing_isolation() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (auto looked = co_await look_at_isolation(); !looked) {
    log.error("isolation_unknown", {{"reason", looked.error().detail}});
  }
}

Async<Result<execution::CodeDirectory>> Daemon::Parts::code_directory(ports::FunctionVersionPtr function) {
  if (function->image) {
    auto image = co_await images.unpacked(package::digest_from_hex(function->code_sha256));
    if (!image) co_return std::unexpected(image.error());
    co_return execution::CodeDirectory{
        .path = image->directory,
        .opt_path = {},
        .image = execution::ImageProcess{.entry_point = std::move(image->config.entrypoint),
                                         .command = std::move(image->config.command),
                                         .environment = std::move(image->config.environment),
                                         .working_directory = std::move(image->config.working_directory),
                                         .extensions = std::move(image->extensions)},
        .hold = std::move(image->image)};
  }
  auto unpacked = co_await packages.unpacked(function->code_sha256);
  if (!unpacked) co_return std::unexpected(unpacked.error());
  execution::CodeDirectory code{
      .path = unpacked->directory, .opt_path = {}, .image = std::nullopt, .hold = unpacked->package};
  if (function->layers.empty()) co_return code;
  auto merged = co_await packages.merged(function->layers);
  if (!merged) co_return std::unexpected(merged.error());
  code.opt_path = merged->directory;
  code.hold = std::make_shared<const std::pair<package::PackageStore::Ref, package::PackageStore::Ref>>(
      unpacked->package, merged->package);
  co_return code;
}

Async<Result<std::shared_ptr<execution::Environment>>> Daemon::Parts::make_environment(
    ports::FunctionVersionPtr function) {
  co_return co_await execution::SandboxEnvironment::create(*environment_deps, std::move(function));
}

Async<void> Daemon::Parts::prepare_runtimes() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await runtimes.prepare(workers);
}

Async<void> Daemon::stop(Duration grace) {
  Parts& p = *parts_;
  // Of a daemon that could not be made, the later parts are absent.
  if (p.logs) p.logs->close_sessions();
  if (p.server) co_await p.server->stop(grace);
  co_await p.background.stop();
  if (p.mappings) co_await p.mappings->stop();
  if (p.sns) co_await p.sns->stop();
  if (p.async_plane) co_await p.async_plane->stop();
  if (p.scheduler) co_await p.scheduler->stop();
  if (p.spares) co_await p.spares->stop();
  if (p.invoker) co_await p.invoker->stop();
  if (p.function_urls) co_await p.function_urls->stop();
  if (p.otlp) co_await p.otlp->stop();
  if (p.lambda) co_await p.lambda->stop();
  co_await p.packages.stop();
  co_await p.image_sources.stop();
  co_await p.images.stop();
  if (p.sqs) co_await p.sqs->stop();
  co_await p.sandboxes.stop();
  // After the sandboxes: until here functions may print.
  if (p.logs) co_await p.logs->stop();
  if (p.iam_database) p.iam_database->close();
  if (p.ecr_database) p.ecr_database->close();
  if (p.lambda_database) p.lambda_database->close();
}

}  // namespace lambdad::daemon
