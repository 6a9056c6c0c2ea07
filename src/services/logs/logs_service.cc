#include "services/logs/logs_service.h"

#include <utility>

#include "services/logs/function_lines.h"
#include "services/logs/handlers/handlers.h"
#include "services/logs/live_tail.h"
#include "services/logs/store.h"

namespace lambdad::logs {

LogsService::LogsService(System& system, Logger& log, Metrics& metrics, std::unique_ptr<Store> store, Options options)
    : system_(system),
      log_(log),
      store_(std::move(store)),
      tail_(std::make_unique<LiveTail>(system)),
      lines_(
          std::make_unique<FunctionLines>(system, log, metrics, *store_, *tail_,
                                          FunctionLines::Options{.buffered_bytes_max = options.buffered_bytes_max})) {}
LogsService::~LogsService() = default;

Result<std::unique_ptr<LogsService>> LogsService::open(System& system, Logger& log, Metrics& metrics, Options options) {
  LD_TRY(auto store, Store::open(system.loop, options.directory + "/logs.db",
                                 {.durability = options.durability, .group_bytes_max = options.group_bytes_max}));
  return std::unique_ptr<LogsService>(new LogsService(system, log, metrics, std::move(store), std::move(options)));
}

void LogsService::register_operations(aws::Dispatcher& dispatcher) {
  dispatcher.add(aws::logs::service());
  const auto serve = [&]<class Op>(Async<Outcome<typename Op::Output>> (*handler)(Call, typename Op::Input)) {
    dispatcher.serve<Op>([this, handler](aws::RequestContext& context, typename Op::Input input) {
      return handler({&system_, &log_, store_.get(), lines_.get(), tail_.get(), &context}, std::move(input));
    });
  };
  namespace api = aws::logs;
  serve.operator()<api::CreateLogGroup>(create_log_group);
  serve.operator()<api::DeleteLogGroup>(delete_log_group);
  serve.operator()<api::DescribeLogGroups>(describe_log_groups);
  serve.operator()<api::PutRetentionPolicy>(put_retention_policy);
  serve.operator()<api::DeleteRetentionPolicy>(delete_retention_policy);
  serve.operator()<api::CreateLogStream>(create_log_stream);
  serve.operator()<api::DeleteLogStream>(delete_log_stream);
  serve.operator()<api::DescribeLogStreams>(describe_log_streams);
  serve.operator()<api::PutLogEvents>(put_log_events);
  serve.operator()<api::GetLogEvents>(get_log_events);
  serve.operator()<api::FilterLogEvents>(filter_log_events);
  serve.operator()<api::StartLiveTail>(start_live_tail);
  serve.operator()<api::TagResource>(tag_resource);
  serve.operator()<api::UntagResource>(untag_resource);
  serve.operator()<api::ListTagsForResource>(list_tags_for_resource);
  serve.operator()<api::TagLogGroup>(tag_log_group);
  serve.operator()<api::UntagLogGroup>(untag_log_group);
  serve.operator()<api::ListTagsLogGroup>(list_tags_log_group);
}

ports::FunctionLogSink& LogsService::sink() { return *lines_; }
void LogsService::close_sessions() { tail_->close_sessions(); }
bool LogsService::healthy() const { return store_->healthy(); }

Async<void> LogsService::stop() {
  co_await lines_->stop();
  co_await tail_->stop();
  store_->close();
}

}  // namespace lambdad::logs
