#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "observe/log.h"
#include "services/ecr/registry.h"
#include "services/ecr/tokens.h"
#include "system/system.h"

namespace lambdad::ecr {

/// Largest layer. Source: ECR User Guide, "Amazon ECR service quotas", maximum layer size 52,000 MiB; what Lambda takes
/// is less.
inline constexpr std::uint64_t kLayerBytesMax = 10ull * 1024 * 1024 * 1024;

/// The registry's data plane under /v2/: what docker, skopeo, podman and crane speak (distribution spec 1.1).
///
/// Every request needs Basic credentials made by GetAuthorizationToken; they say which account and region's
/// repositories are meant. Repositories are not made by pushing, as on ECR. Uploads arrive monolithic, in chunks, or by
/// mounting a layer of another repository; their bytes go to disk as they come. Blobs larger than kPieceBytes are sent
/// as a stream. Not served: deleting blobs (405), referrers (404: clients fall back to tags), byte ranges (ignored).
///
/// Ownership: borrows System, Logger and the registry; owns uploads, which do not survive a restart. Threading: the
/// loop.
class Distribution {
 public:
  Distribution(System& system, Logger& log, Registry& registry);
  ~Distribution();

  static bool is_for_registry(const http::Request& request);
  Async<http::Response> handle(http::Request request);
  /// Whether a request with this head brings part of a layer: its body is to be streamed, up to kLayerBytesMax.
  static bool takes_upload(const http::Request& head);

 private:
  struct Upload;
  class Writing;
  struct Target {
    enum class Kind { kBase, kCatalog, kTags, kManifest, kBlob, kUploads, kUpload, kUnknown } kind = Kind::kUnknown;
    std::string name;
    std::string item;  ///< reference, digest or upload
  };
  static Target target_of(std::string_view path);
  std::optional<Identity> identify(const http::Request& request) const;
  std::shared_ptr<Upload> find_upload(const RepositoryRef& ref, const std::string& id) const;
  void drop_stale_uploads();

  http::Response catalog(const Identity& identity, const http::Request& request) const;
  http::Response tags(const Repository& repository, const http::Request& request) const;
  Async<http::Response> get_manifest(RepositoryRef ref, std::string reference, http::Request request);
  Async<http::Response> put_manifest(RepositoryRef ref, std::string reference, http::Request request);
  Async<http::Response> delete_manifest(RepositoryRef ref, std::string reference);
  Async<http::Response> get_blob(RepositoryRef ref, std::string digest, http::Request request);
  Async<http::Response> begin_upload(RepositoryRef ref, http::Request request);
  Async<http::Response> continue_upload(RepositoryRef ref, std::string id, http::Request request);
  Async<Result<void>> append(std::shared_ptr<Upload> upload, http::Request request);
  Async<Result<void>> append_piece(std::shared_ptr<Upload> upload, std::string piece);
  Async<http::Response> finish_upload(RepositoryRef ref, std::shared_ptr<Upload> upload, std::string digest);

  System& system_;
  Logger& log_;
  Registry& registry_;
  std::map<std::string, std::shared_ptr<Upload>> uploads_;  // by id
};

}  // namespace lambdad::ecr
