#include "services/ecr/distribution.h"

#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "services/ecr/body.h"

namespace lambdad::ecr {
namespace {

using package::ImageBlobs;

constexpr std::size_t kPieceBytes = 1024 * 1024;
constexpr std::size_t kUploadsMax = 256;
constexpr Duration kUploadIdleMax = std::chrono::hours(1);
constexpr std::size_t kPageMax = 1000;

/// Error codes of the distribution spec, section "Error codes".
http::Response refuse(int status, std::string_view code, std::string_view message) {
  const json::Object error{{"code", code}, {"message", message}};
  return http::Response::json(status, json::serialize(json::Object{{"errors", json::Array{error}}}));
}

http::Response unknown_repository(const RepositoryRef& ref) {
  return refuse(
      404, "NAME_UNKNOWN",
      fmt::format("The repository with name '{}' does not exist in the registry with id '{}'", ref.name, ref.account));
}

http::Response refuse_for(const Error& error, Logger& log) {
  switch (error.code) {
    case Errc::kInvalid: return refuse(400, "MANIFEST_INVALID", error.detail);
    case Errc::kTooLarge: return refuse(413, "SIZE_INVALID", error.detail);
    case Errc::kConflict: return refuse(400, "TAG_INVALID", error.detail);
    case Errc::kNotFound: return refuse(404, "MANIFEST_UNKNOWN", error.detail);
    default: break;
  }
  log.error("registry_request_failed", {{"error", error.detail}});
  return refuse(500, "UNKNOWN", "the registry cannot do this now");
}

http::Response refuse_body(const Error& error, Logger& log) {
  switch (error.code) {
    case Errc::kTooLarge: return refuse(413, "SIZE_INVALID", error.detail);
    case Errc::kInvalid:
    case Errc::kClosed:
    case Errc::kTimedOut: return refuse(400, "BLOB_UPLOAD_INVALID", error.detail);
    default: break;
  }
  return refuse_for(error, log);
}

std::string parameter(const http::Request& request, std::string_view name) {
  const auto fields = http::parse_form(request.query());
  if (!fields) return {};
  for (const auto& [key, value] : *fields) {
    if (key == name) return value;
  }
  return {};
}

/// Whether the Content-Range, if there is one, begins where the upload ends.
bool continues(const http::Request& request, std::uint64_t size) {
  const std::string range = request.headers.get_or("Content-Range", "");
  std::uint64_t begin = size;
  std::from_chars(range.data(), range.data() + range.size(), begin);
  return begin == size;
}

std::size_t page_size(const http::Request& request) {
  std::size_t count = kPageMax;
  const std::string text = parameter(request, "n");
  std::from_chars(text.data(), text.data() + text.size(), count);
  return std::min(count, kPageMax);
}

/// Names after `last`, with a Link to the next page.
http::Response page(const http::Request& request, std::string_view member, const std::vector<std::string>& names,
                    json::Object body) {
  const std::string last = parameter(request, "last");
  const std::size_t count = page_size(request);
  json::Array shown;
  std::string end;
  bool more = false;
  for (const std::string& name : names) {
    if (!last.empty() && name <= last) continue;
    if (shown.size() == count) {
      more = true;
      break;
    }
    shown.emplace_back(name);
    end = name;
  }
  body.append(std::string(member), std::move(shown));
  auto response = http::Response::json(200, json::serialize(json::Value(std::move(body))));
  if (more && count > 0) {
    response.headers.set("Link",
                         fmt::format("<{}?n={}&last={}>; rel=\"next\"", request.path(), count, percent_encode(end)));
  }
  return response;
}

}  // namespace

/// A blob on its way in. Its writer is used by one request at a time.
struct Distribution::Upload {
  RepositoryRef ref;
  std::string id;
  std::unique_ptr<ImageBlobs::Writer> writer;
  std::uint64_t size = 0;
  MonoTime touched{};
  bool busy = false;
  bool broken = false;  ///< a write has failed: lost
};

/// While a request writes an upload.
class Distribution::Writing {
 public:
  explicit Writing(std::shared_ptr<Upload> upload) : upload_(std::move(upload)) { upload_->busy = true; }
  ~Writing() { upload_->busy = false; }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;

 private:
  const std::shared_ptr<Upload> upload_;
};

Distribution::Distribution(System& system, Logger& log, Registry& registry)
    : system_(system), log_(log), registry_(registry) {}
Distribution::~Distribution() = default;

bool Distribution::is_for_registry(const http::Request& request) {
  const std::string_view path = request.path();
  // Requests of AWS APIs are signed; some of theirs begin with /v2/ too.
  return (path == "/v2" || path.starts_with("/v2/")) &&
         !request.headers.get_or("Authorization", "").starts_with("AWS4-");
}

Distribution::Target Distribution::target_of(std::string_view path) {
  using Kind = Target::Kind;
  if (path == "/v2" || path == "/v2/") return {Kind::kBase, "", ""};
  if (path == "/v2/_catalog") return {Kind::kCatalog, "", ""};
  path.remove_prefix(std::string_view("/v2/").size());
  // The last one counts: a repository may be called "blobs" or "tags".
  auto split = [&](std::string_view mark, Kind kind) -> std::optional<Target> {
    const std::size_t at = path.rfind(mark);
    if (at == std::string_view::npos || at == 0) return std::nullopt;
    const std::string_view item = path.substr(at + mark.size());
    if (item.find('/') != std::string_view::npos) return std::nullopt;
    return Target{kind, std::string(path.substr(0, at)), std::string(item)};
  };
  if (path.ends_with("/tags/list")) {
    return {Kind::kTags, std::string(path.substr(0, path.size() - std::string_view("/tags/list").size())), ""};
  }
  if (path.ends_with("/blobs/uploads")) {
    return {Kind::kUploads, std::string(path.substr(0, path.size() - std::string_view("/blobs/uploads").size())), ""};
  }
  if (auto found = split("/blobs/uploads/", Kind::kUpload)) {
    if (found->item.empty()) found->kind = Kind::kUploads;
    return *found;
  }
  if (auto found = split("/manifests/", Kind::kManifest)) return *found;
  if (auto found = split("/blobs/", Kind::kBlob)) return *found;
  return {};
}

std::optional<Identity> Distribution::identify(const http::Request& request) const {
  return check_authorization(request.headers.get_or("Authorization", ""), system_.clock.wall(), registry_.secret());
}

Async<http::Response> Distribution::handle(http::Request request) {
  using Kind = Target::Kind;
  const auto identity = identify(request);
  if (!identity) {
    auto response = refuse(401, "UNAUTHORIZED", "log in as user AWS with the password of ecr get-login-password");
    response.headers.set("WWW-Authenticate", fmt::format("Basic realm=\"http://{}/\",service=\"ecr.amazonaws.com\"",
                                                         request.headers.get_or("Host", "localhost")));
    response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
    co_return response;
  }
  const Target target = target_of(request.path());
  const RepositoryRef ref{identity->account, identity->region, target.name};
  const std::string method = request.method;
  const bool reads = method == "GET" || method == "HEAD";
  http::Response response;
  const bool has_repository = target.kind != Kind::kBase && target.kind != Kind::kCatalog;
  if (target.kind == Kind::kUnknown) {
    response = refuse(404, "UNSUPPORTED", "the distribution API has no such path, or lambdad does not serve it");
  } else if (has_repository && !package::is_repository_name(target.name)) {
    response = refuse(400, "NAME_INVALID", "the repository's name is not well-formed");
  } else if (has_repository && registry_.find(ref) == nullptr) {
    response = unknown_repository(ref);
  } else if (target.kind == Kind::kBase && reads) {
    response = http::Response::json(200, "{}");
  } else if (target.kind == Kind::kCatalog && reads) {
    response = catalog(*identity, request);
  } else if (target.kind == Kind::kTags && reads) {
    response = tags(*registry_.find(ref), request);
  } else if (target.kind == Kind::kManifest && reads) {
    response = co_await get_manifest(ref, target.item, std::move(request));
  } else if (target.kind == Kind::kManifest && method == "PUT") {
    response = co_await put_manifest(ref, target.item, std::move(request));
  } else if (target.kind == Kind::kManifest && method == "DELETE") {
    response = co_await delete_manifest(ref, target.item);
  } else if (target.kind == Kind::kBlob && reads) {
    response = co_await get_blob(ref, target.item, std::move(request));
  } else if (target.kind == Kind::kUploads && method == "POST") {
    response = co_await begin_upload(ref, std::move(request));
  } else if (target.kind == Kind::kUpload) {
    response = co_await continue_upload(ref, target.item, std::move(request));
  } else {
    response = refuse(405, "UNSUPPORTED", "the distribution API has no such operation, or lambdad does not serve it");
  }
  response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
  co_return response;
}

http::Response Distribution::catalog(const Identity& identity, const http::Request& request) const {
  std::vector<std::string> names;
  for (const Repository* repository : registry_.list(identity.account, identity.region)) {
    names.push_back(repository->ref.name);
  }
  return page(request, "repositories", names, {});
}

http::Response Distribution::tags(const Repository& repository, const http::Request& request) const {
  std::vector<std::string> names;
  for (const auto& [tag, digest] : repository.tags) names.push_back(tag);
  return page(request, "tags", names, {{"name", repository.ref.name}});
}

// --- manifests ------------------------------------------------------------------------------------------------------

Async<http::Response> Distribution::get_manifest(RepositoryRef ref, std::string reference, http::Request request) {
  const StoredImage* found = Registry::image_of(*registry_.find(ref), reference);
  if (found == nullptr) {
    co_return refuse(404, "MANIFEST_UNKNOWN",
                     fmt::format("the repository {} has no image {}", ref.name, escape_control(reference)));
  }
  const StoredImage image = *found;
  auto bytes = co_await system_.workers.run(
      [blobs = &registry_.blobs(), digest = image.digest] { return blobs->read(digest, package::kManifestBytesMax); });
  if (!bytes) co_return refuse_for(Error{Errc::kInternal, bytes.error().detail}, log_);
  http::Response response;
  response.headers.set("Content-Type", image.media_type);
  response.headers.set("Docker-Content-Digest", image.digest);
  if (request.method == "HEAD") {
    response.headers.set("Content-Length", std::to_string(bytes->size()));
  } else {
    response.body = std::move(*bytes);
  }
  co_return response;
}

Async<http::Response> Distribution::put_manifest(RepositoryRef ref, std::string reference, http::Request request) {
  const bool by_digest = package::is_image_digest(reference);
  if (request.body.size() > package::kManifestBytesMax) {
    co_return refuse(413, "SIZE_INVALID", "a manifest has at most 4 MiB");
  }
  if (by_digest && package::image_digest_of(request.body) != reference) {
    co_return refuse(400, "DIGEST_INVALID", "the manifest has another digest");
  }
  if (!by_digest && !package::is_image_tag(reference)) {
    co_return refuse(400, "TAG_INVALID", "the tag is not well-formed");
  }
  auto put = co_await registry_.put_manifest(ref, std::move(request.body), request.headers.get_or("Content-Type", ""),
                                             by_digest ? "" : reference);
  if (!put) {
    if (put.error().code == Errc::kNotFound) {
      co_return put.error().detail == "repository"
          ? unknown_repository(ref)
          : refuse(404, "MANIFEST_BLOB_UNKNOWN", fmt::format("the repository has no {}", put.error().detail));
    }
    co_return refuse_for(put.error(), log_);
  }
  http::Response response;
  response.status = 201;
  response.headers.set("Location", fmt::format("/v2/{}/manifests/{}", ref.name, put->digest));
  response.headers.set("Docker-Content-Digest", put->digest);
  co_return response;
}

Async<http::Response> Distribution::delete_manifest(RepositoryRef ref, std::string reference) {
  auto removed = co_await registry_.remove_image(ref, reference);
  if (!removed && removed.error().code == Errc::kConflict) co_return refuse(405, "UNSUPPORTED", removed.error().detail);
  if (!removed) co_return refuse_for(removed.error(), log_);
  http::Response response;
  response.status = 202;
  co_return response;
}

// --- blobs ----------------------------------------------------------------------------------------------------------

Async<http::Response> Distribution::get_blob(RepositoryRef ref, std::string digest, http::Request request) {
  if (!package::is_image_digest(digest)) co_return refuse(400, "DIGEST_INVALID", "the digest is not served");
  const Repository& repository = *registry_.find(ref);
  const auto layer = repository.layers.find(digest);
  if (layer == repository.layers.end()) {
    co_return refuse(404, "BLOB_UNKNOWN", fmt::format("the repository {} has no blob {}", ref.name, digest));
  }
  const std::uint64_t size = layer->second.size;
  http::Response response;
  response.headers.set("Content-Type", "application/octet-stream");
  response.headers.set("Docker-Content-Digest", digest);
  if (request.method == "HEAD") {
    response.headers.set("Content-Length", std::to_string(size));
    co_return response;
  }
  auto first = co_await system_.workers.run(
      [blobs = &registry_.blobs(), digest] { return blobs->read_at(digest, 0, kPieceBytes); });
  if (!first) co_return refuse_for(Error{Errc::kInternal, first.error().detail}, log_);
  if (size <= kPieceBytes) {
    response.body = std::move(*first);
    co_return response;
  }
  struct Stream {
    std::string digest;
    std::string piece;
    std::uint64_t offset = 0;
    std::uint64_t left = 0;
    ImageBlobs::Hold hold;
    static Async<Result<std::optional<std::string>>> next(std::shared_ptr<Stream> stream, ImageBlobs* blobs,
                                                          WorkerPool* workers) {
      if (stream->left == 0) co_return std::nullopt;
      std::string piece = std::exchange(stream->piece, {});
      if (piece.empty()) {
        LD_CO_TRY(piece, co_await workers->run([blobs, digest = stream->digest, offset = stream->offset] {
          return blobs->read_at(digest, offset, kPieceBytes);
        }));
      }
      if (piece.empty() || piece.size() > stream->left) co_return fail(Errc::kCorrupt, "a blob has another size");
      stream->offset += piece.size();
      stream->left -= piece.size();
      co_return piece;
    }
  };
  auto stream = std::make_shared<Stream>(
      Stream{.digest = digest, .piece = std::move(*first), .left = size, .hold = registry_.blobs().hold(digest)});
  response.stream = [stream, blobs = &registry_.blobs(), workers = &system_.workers] {
    return Stream::next(stream, blobs, workers);
  };
  co_return response;
}

// --- uploads --------------------------------------------------------------------------------------------------------

std::shared_ptr<Distribution::Upload> Distribution::find_upload(const RepositoryRef& ref, const std::string& id) const {
  const auto place = uploads_.find(id);
  return place != uploads_.end() && place->second->ref == ref ? place->second : nullptr;
}

void Distribution::drop_stale_uploads() {
  const MonoTime now = system_.host_clock.mono();
  std::erase_if(uploads_, [now](const auto& entry) {
    return !entry.second->busy && now - entry.second->touched > kUploadIdleMax;
  });
}

bool Distribution::takes_upload(const http::Request& head) {
  if (!is_for_registry(head)) return false;
  const Target target = target_of(head.path());
  return (target.kind == Target::Kind::kUpload && (head.method == "PATCH" || head.method == "PUT")) ||
         (target.kind == Target::Kind::kUploads && head.method == "POST");
}

Async<Result<void>> Distribution::append(std::shared_ptr<Upload> upload, http::Request request) {
  const Writing writing(upload);
  // What came before the sender went away stays: it may ask how far it got and go on from there.
  auto appended = co_await take_body(std::move(request), [this, upload](std::string piece) -> Async<Result<void>> {
    return append_piece(upload, std::move(piece));
  });
  upload->touched = system_.host_clock.mono();
  co_return appended;
}

Async<Result<void>> Distribution::append_piece(std::shared_ptr<Upload> upload, std::string piece) {
  if (upload->size + piece.size() > kLayerBytesMax) {
    upload->broken = true;
    co_return fail(Errc::kTooLarge, "a layer has at most {} bytes", kLayerBytesMax);
  }
  upload->size += piece.size();
  auto written =
      co_await system_.workers.run([upload, piece = std::move(piece)] { return upload->writer->append(piece); });
  if (!written) {
    upload->broken = true;
    co_return fail(Errc::kInternal, "{}", written.error().detail);
  }
  co_return Result<void>();
}

Async<http::Response> Distribution::begin_upload(RepositoryRef ref, http::Request request) {
  auto accepted = [&ref](const std::string& digest) {
    http::Response response;
    response.status = 201;
    response.headers.set("Location", fmt::format("/v2/{}/blobs/{}", ref.name, digest));
    response.headers.set("Docker-Content-Digest", digest);
    return response;
  };
  if (const std::string mount = parameter(request, "mount"); package::is_image_digest(mount)) {
    const Repository* from = registry_.find({ref.account, ref.region, parameter(request, "from")});
    if (from != nullptr && from->layers.contains(mount)) {
      ImageBlobs::Stored blob{
          .digest = mount, .size = from->layers.at(mount).size, .hold = registry_.blobs().hold(mount)};
      auto added = co_await registry_.add_layer(ref, std::move(blob));
      if (!added) co_return refuse_for(Error{Errc::kInternal, added.error().detail}, log_);
      co_return accepted(mount);
    }
    // Not there: an ordinary upload begins, as the spec says.
  }
  drop_stale_uploads();
  if (uploads_.size() >= kUploadsMax) co_return refuse(429, "TOOMANYREQUESTS", "too many uploads at a time");
  auto writer = co_await system_.workers.run([blobs = &registry_.blobs()] { return blobs->begin(); });
  if (!writer) co_return refuse_for(Error{Errc::kInternal, writer.error().detail}, log_);
  auto upload = std::make_shared<Upload>(Upload{
      .ref = ref, .id = system_.random.uuid_v4(), .writer = std::move(*writer), .touched = system_.host_clock.mono()});
  if (const std::string digest = parameter(request, "digest"); !digest.empty()) {
    if (auto written = co_await append(upload, std::move(request)); !written)
      co_return refuse_body(written.error(), log_);
    co_return co_await finish_upload(ref, upload, digest);
  }
  uploads_.emplace(upload->id, upload);
  http::Response response;
  response.status = 202;
  response.headers.set("Location", fmt::format("/v2/{}/blobs/uploads/{}", ref.name, upload->id));
  response.headers.set("Docker-Upload-UUID", upload->id);
  response.headers.set("Range", "0-0");
  co_return response;
}

Async<http::Response> Distribution::continue_upload(RepositoryRef ref, std::string id, http::Request request) {
  const auto upload = find_upload(ref, id);
  if (upload == nullptr) co_return refuse(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload");
  auto progress = [&upload](int status) {
    http::Response response;
    response.status = status;
    response.headers.set("Location", fmt::format("/v2/{}/blobs/uploads/{}", upload->ref.name, upload->id));
    response.headers.set("Docker-Upload-UUID", upload->id);
    response.headers.set("Range", fmt::format("0-{}", upload->size == 0 ? 0 : upload->size - 1));
    return response;
  };
  if (request.method == "GET") co_return progress(204);
  if (request.method == "DELETE" && !upload->busy) {
    uploads_.erase(id);
    co_return progress(204);
  }
  if (request.method != "PATCH" && request.method != "PUT") {
    co_return refuse(405, "UNSUPPORTED", "an upload takes GET, PATCH, PUT and DELETE");
  }
  if (upload->busy) co_return refuse(409, "BLOB_UPLOAD_INVALID", "another request writes this upload");
  if (!continues(request, upload->size)) co_return progress(416);
  const bool last = request.method == "PUT";
  const std::string digest = parameter(request, "digest");
  if (auto written = co_await append(upload, std::move(request)); !written) {
    if (upload->broken) uploads_.erase(id);
    co_return refuse_body(written.error(), log_);
  }
  if (!last) co_return progress(202);
  uploads_.erase(id);
  co_return co_await finish_upload(ref, upload, digest);
}

Async<http::Response> Distribution::finish_upload(RepositoryRef ref, std::shared_ptr<Upload> upload,
                                                  std::string digest) {
  if (!package::is_image_digest(digest)) co_return refuse(400, "DIGEST_INVALID", "the digest is not served");
  auto stored = co_await system_.workers.run([upload, digest] { return upload->writer->finish(digest); });
  if (!stored && stored.error().code == Errc::kConflict) {
    co_return refuse(400, "DIGEST_INVALID", stored.error().detail);
  }
  if (!stored) co_return refuse_for(Error{Errc::kInternal, stored.error().detail}, log_);
  auto added = co_await registry_.add_layer(ref, std::move(*stored));
  if (!added && added.error().code == Errc::kNotFound) co_return unknown_repository(ref);
  if (!added) co_return refuse_for(Error{Errc::kInternal, added.error().detail}, log_);
  http::Response response;
  response.status = 201;
  response.headers.set("Location", fmt::format("/v2/{}/blobs/{}", ref.name, digest));
  response.headers.set("Docker-Content-Digest", digest);
  co_return response;
}

}  // namespace lambdad::ecr
