#include "services/ecr/archive_upload.h"

#include "base/encoding.h"
#include "base/json.h"
#include "package/image_archive.h"
#include "services/ecr/body.h"
#include "services/ecr/distribution.h"

namespace lambdad::ecr {
namespace {

http::Response answer(int status, json::Object body) {
  return http::Response::json(status, json::serialize_pretty(json::Value(std::move(body))) + "\n");
}
http::Response refuse(int status, std::string_view message) { return answer(status, {{"message", message}}); }

bool is_account(std::string_view text) {
  return text.size() == 12 && text.find_first_not_of("0123456789") == std::string_view::npos;
}
bool is_region(std::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace

ArchiveUpload::ArchiveUpload(System& system, Logger& log, Registry& registry, Options options)
    : system_(system), log_(log), registry_(registry), options_(std::move(options)) {}

bool ArchiveUpload::takes(const http::Request& head) {
  return head.path() == kPath && (head.method == "PUT" || head.method == "POST");
}

Async<Result<ArchiveUpload::Writer>> ArchiveUpload::store_body(http::Request request) {
  LD_CO_TRY(Writer writer, co_await registry_.workers().run([blobs = &registry_.blobs()] { return blobs->begin(); }));
  LD_CO_TRY_VOID(co_await take_body(std::move(request), [this, writer](std::string piece) -> Async<Result<void>> {
    return registry_.workers().run([writer, piece = std::move(piece)] { return writer->append(piece); });
  }));
  co_return writer;
}

Async<http::Response> ArchiveUpload::handle(http::Request request) {
  if (!takes(request)) {
    auto response = refuse(405, "this page takes PUT and POST");
    response.headers.set("Allow", "PUT, POST");
    co_return response;
  }
  RepositoryRef ref{options_.account, options_.region, ""};
  std::string name;
  const auto fields = http::parse_form(request.query());
  if (!fields) co_return refuse(400, "the query string is not well-formed");
  for (const auto& [key, value] : *fields) {
    if (key == "name") {
      name = value;
    } else if (key == "account" && is_account(value)) {
      ref.account = value;
    } else if (key == "region" && is_region(value)) {
      ref.region = value;
    } else {
      co_return refuse(400, fmt::format("\"{}\": use name=REPOSITORY:TAG, account=, region=", escape_control(key)));
    }
  }
  const std::size_t colon = name.find(':');
  ref.name = name.substr(0, colon);
  const std::string tag = colon == std::string::npos ? "latest" : name.substr(colon + 1);
  if (!package::is_repository_name(ref.name) || ref.name.size() < 2 || !package::is_image_tag(tag)) {
    co_return refuse(400, "say how the image is to be called: name=REPOSITORY:TAG");
  }
  auto body = co_await store_body(std::move(request));
  if (!body) {
    switch (body.error().code) {
      case Errc::kTooLarge: co_return refuse(413, fmt::format("an archive has at most {} bytes", kLayerBytesMax));
      case Errc::kInvalid:
      case Errc::kClosed:
      case Errc::kTimedOut: co_return refuse(400, body.error().detail);
      default: break;
    }
    log_.error("image_upload_failed", {{"error", body.error().detail}});
    co_return refuse(500, "the archive could not be stored");
  }
  auto activity = system_.activity.begin();
  auto image = co_await system_.workers.run(
      [blobs = &registry_.blobs(), writer = *body] { return package::read_image_archive(*blobs, writer->path()); });
  body->reset();
  if (!image) {
    registry_.collect_later();
    switch (image.error().code) {
      case Errc::kInvalid:
      case Errc::kCorrupt: co_return refuse(400, image.error().detail);
      case Errc::kTooLarge: co_return refuse(413, image.error().detail);
      default: break;
    }
    log_.error("image_upload_failed", {{"error", image.error().detail}});
    co_return refuse(500, "the archive could not be read");
  }
  auto failed = [this](const Error& error) {
    if (error.code == Errc::kConflict) return refuse(409, error.detail);
    if (error.code == Errc::kInvalid || error.code == Errc::kTooLarge) return refuse(400, error.detail);
    log_.error("image_upload_failed", {{"error", error.detail}});
    return refuse(500, "the image could not be stored");
  };
  if (registry_.find(ref) == nullptr) {
    auto created = co_await registry_.create(
        {.ref = ref, .created = std::chrono::floor<std::chrono::milliseconds>(system_.clock.wall())});
    if (!created && created.error().code != Errc::kConflict) co_return failed(created.error());
  }
  for (auto& blob : image->blobs) {
    if (auto added = co_await registry_.add_layer(ref, std::move(blob)); !added) co_return failed(added.error());
  }
  // Not everything in an archive is part of the image.
  registry_.collect_later();
  auto put = co_await registry_.put_manifest(ref, std::move(image->manifest), "", tag);
  if (!put) co_return failed(put.error());
  co_return answer(
      201, {{"repository", ref.name},
            {"tag", tag},
            {"digest", put->digest},
            {"imageUri", fmt::format("{}.dkr.ecr.{}.amazonaws.com/{}:{}", ref.account, ref.region, ref.name, tag)}});
}

}  // namespace lambdad::ecr
