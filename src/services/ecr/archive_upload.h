#pragma once

#include <memory>
#include <string>

#include "http/message.h"
#include "observe/log.h"
#include "services/ecr/registry.h"
#include "system/system.h"

namespace lambdad::ecr {

/// PUT or POST /_lambdad/images?name=REPOSITORY:TAG[&account=&region=] with an archive of `docker save`, or the tar of
/// an OCI layout, as its body: the shortest way from an image on this machine into the registry, without logging in.
/// Makes the repository when it is not there. Answers what may stand in a function's Code.ImageUri.
///
/// The body goes to disk as it comes. Ownership: borrows everything. Threading: the loop.
class ArchiveUpload {
 public:
  static constexpr std::string_view kPath = "/_lambdad/images";
  struct Options {
    std::string account;  ///< when the request names none
    std::string region;
  };
  ArchiveUpload(System& system, Logger& log, Registry& registry, Options options);

  /// Whether a request with this head brings an archive: its body is to be streamed, up to kLayerBytesMax.
  static bool takes(const http::Request& head);
  Async<http::Response> handle(http::Request request);

 private:
  using Writer = std::shared_ptr<package::ImageBlobs::Writer>;
  /// The body on disk, gone with the writer.
  Async<Result<Writer>> store_body(http::Request request);

  System& system_;
  Logger& log_;
  Registry& registry_;
  Options options_;
};

}  // namespace lambdad::ecr
