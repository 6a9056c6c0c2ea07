/// Digests as raw bytes. Backed by OpenSSL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lambdad {

std::string sha256(std::string_view bytes);
std::string md5(std::string_view bytes);  // for SQS's MD5 members only
std::string hmac_sha256(std::string_view key, std::string_view bytes);
std::uint32_t crc32(std::string_view bytes);
/// Compares in time that depends on the lengths only.
bool equal_constant_time(std::string_view a, std::string_view b);

/// Digest of bytes that arrive in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::string_view bytes);
  std::string finish();  // once

 private:
  void* context_;
};

}  // namespace lambdad
