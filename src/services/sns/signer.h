/// The key that vouches for messages, and its certificate.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"

namespace lambdad::sns {

/// An RSA key of 2048 bits with a certificate for sns.amazonaws.com that it signed itself. Thread-safe.
class Signer {
 public:
  /// Takes a few hundred milliseconds of computing. `now` begins the certificate's validity of thirty years.
  static Result<std::shared_ptr<const Signer>> make(WallTime now);
  /// kCorrupt when these are not a key and its certificate.
  static Result<std::shared_ptr<const Signer>> load(std::string_view key_pem, std::string_view certificate_pem);
  ~Signer();
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;

  /// Base64 of the PKCS #1 v1.5 signature, with SHA-1 for version "1" and SHA-256 for "2". About half a millisecond.
  std::string sign(std::string_view text, std::string_view version) const;
  const std::string& key_pem() const { return key_pem_; }
  const std::string& certificate_pem() const { return certificate_pem_; }
  /// "/SimpleNotificationService-HASH.pem": where the certificate is served; the hash is of the certificate.
  const std::string& certificate_path() const { return certificate_path_; }

 private:
  Signer(void* key, std::string key_pem, std::string certificate_pem);
  void* key_;
  std::string key_pem_;
  std::string certificate_pem_;
  std::string certificate_path_;
};

}  // namespace lambdad::sns
