// PublishVersion, ListVersionsByFunction
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/paging.h"

namespace lambdad::lambda {

VersionPtr publish(Lambda& lambda, Function& function, std::optional<std::string> description) {
  return add_version(function, NewVersion{.description = std::move(description),
                                          .snapshot_id = lambda.system.random.uuid_v4(),
                                          .revision_id = lambda.functions.new_revision()});
}

Reply<api::FunctionConfiguration> publish_version(Lambda* lambda, aws::RequestContext* context,
                                                  api::PublishVersionRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Function function = **found;
  if (auto changeable = check_changeable(function, in.revision_id); !changeable) {
    co_return std::unexpected(std::move(changeable.error()));
  }
  // What is shown must be what would be published.
  if (function.state == State::kFailed || function.update_status == UpdateStatus::kFailed) {
    co_return std::unexpected(api::resource_conflict(
        "The operation cannot be performed at this time. The function is currently in the following state: Failed"));
  }
  const std::string present = *to_configuration(function, nullptr, "").code_sha256;
  if (in.code_sha256 && !in.code_sha256->empty() && *in.code_sha256 != present) {
    co_return std::unexpected(api::invalid_parameter_value(
        fmt::format("CodeSHA256 ({}) is different from current CodeSHA256 in $LATEST ({}). Please try again with the "
                    "CodeSHA256 in $LATEST.",
                    *in.code_sha256, present)));
  }
  if (in.description && in.description->empty()) in.description.reset();
  const int before = function.last_version;
  const VersionPtr version = publish(*lambda, function, std::move(in.description));
  auto answer = to_configuration(function, version.get(), std::to_string(version->number));
  if (function.last_version != before) {
    function.revision_id = lambda->functions.new_revision();  // recorded: publishing is a change of $LATEST too
    if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
      co_return std::unexpected(std::move(done.error()));
    }
  }
  co_return answer;
}

Reply<api::ListVersionsByFunctionResponse> list_versions_by_function(Lambda* lambda, aws::RequestContext* context,
                                                                     api::ListVersionsByFunctionRequest in) {
  auto ref = function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  const Function& function = **found;
  Page<api::FunctionConfiguration> page(page_size(in.max_items, kFunctionsPerPageMax));
  bool room = true;
  if (after->empty()) {
    room = page.add(to_configuration(function, nullptr, "$LATEST", Detail::kListEntry), "0");
  }
  auto place = function.versions.upper_bound(after->empty() ? 0 : std::atoi(after->c_str()));
  for (; room && place != function.versions.end(); ++place) {
    const std::string number = std::to_string(place->first);
    room = page.add(to_configuration(function, place->second.get(), number, Detail::kListEntry), number);
  }
  api::ListVersionsByFunctionResponse out;
  out.next_marker = page.next_marker();
  out.versions = page.take_items();
  co_return out;
}

}  // namespace lambdad::lambda
