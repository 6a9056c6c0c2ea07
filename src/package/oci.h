/// What container images say of themselves, as values: digests, references, manifests, configurations. Both forms are
/// read: OCI (image-spec 1.1) and Docker (schema 2). Nothing here does I/O; every parser takes bytes of strangers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace lambdad::package {

inline constexpr std::size_t kManifestBytesMax = 4 * 1024 * 1024;     ///< the distribution spec's own limit
inline constexpr std::size_t kImageConfigBytesMax = 4 * 1024 * 1024;  ///< our choice; real ones have a few KB
inline constexpr std::size_t kImageLayersMax = 127;                   ///< Docker's limit, and ECR's

/// "sha256:" and 64 lower-case hex digits; no other algorithm is served.
bool is_image_digest(std::string_view text);
std::string image_digest_of(std::string_view bytes);
/// The 64 digits.
std::string digest_hex(std::string_view digest);
std::string digest_from_hex(std::string_view hex);

/// The grammar of repository names and tags. Source: distribution spec 1.1, "Pulling manifests"; ECR's 2..256.
bool is_repository_name(std::string_view name);
bool is_image_tag(std::string_view tag);

/// "registry.example:5000/team/app:1.2@sha256:…": a tag, a digest, or both; the digest then decides.
struct ImageReference {
  std::string registry;    ///< host, or host:port
  std::string repository;  ///< "team/app"
  std::string tag;         ///< empty: none
  std::string digest;      ///< empty: none
  /// kInvalid when a part is missing (the registry too: there is no default one) or against its grammar.
  static Result<ImageReference> parse(std::string_view uri);
  std::string str() const;
  /// The same image by its digest: "registry/repository@sha256:…".
  std::string resolved(std::string_view digest) const;
};

namespace media_type {
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
}  // namespace media_type

struct Descriptor {
  std::string media_type;
  std::string digest;
  std::uint64_t size = 0;
  std::string os;            ///< of an index entry; empty when it does not say
  std::string architecture;  ///< "amd64", "arm64"
};

/// A manifest, or an index of manifests.
struct Manifest {
  std::string media_type;
  Descriptor config;                  ///< of a manifest
  std::vector<Descriptor> layers;     ///< of a manifest, lowest first
  std::vector<Descriptor> manifests;  ///< of an index
  std::optional<Descriptor> subject;  ///< what an artifact (a signature, an attestation) is about
  bool is_index() const;
  /// Everything it names that must be there to serve it; not the subject.
  std::vector<std::string> references() const;
};

/// `declared` is the Content-Type or descriptor's media type; empty when unknown, then the document says it. kInvalid
/// for what is no manifest, for schema 1, for a document that contradicts `declared`, and for digests of other
/// algorithms; kTooLarge for more than kImageLayersMax layers.
Result<Manifest> parse_manifest(std::string_view bytes, std::string_view declared = {});

/// "amd64" or "arm64": this machine, in the words of images.
std::string_view host_image_architecture();
/// The entry for Linux on this machine. kInvalid, naming what there is, when no entry fits.
Result<Descriptor> choose_platform(const Manifest& index);

/// How an image wants to be run.
struct ImageConfig {
  std::string os;
  std::string architecture;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory;      ///< empty: none given
  std::string user;                   ///< kept and not followed, as on AWS
  std::vector<std::string> diff_ids;  ///< digests of the layers' uncompressed tars, lowest first
};
Result<ImageConfig> parse_image_config(std::string_view bytes);

/// Whether a manifest's config and layers are those of a container image. kInvalid names the first that is not.
Result<void> check_media_types(const Manifest& manifest);
/// Whether config and manifest belong together and this machine can run the image. kInvalid with the reason.
Result<void> check_runnable(const Manifest& manifest, const ImageConfig& config);

}  // namespace lambdad::package
