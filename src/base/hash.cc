#include "base/hash.h"

#include <array>
#include <bit>
#include <cstring>
#include <memory>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/error.h"

namespace lambdad {

namespace {

// Fetching an algorithm walks OpenSSL's providers under a lock, so each is fetched once and kept.
const EVP_MD* fetch_digest(const char* name) {
  const EVP_MD* digest = EVP_MD_fetch(nullptr, name, nullptr);
  LD_CHECK(digest != nullptr, "this OpenSSL has no {}", name);
  return digest;
}
const EVP_MD* sha256_digest() {
  static const EVP_MD* const digest = fetch_digest("SHA256");
  return digest;
}
const EVP_MD* md5_digest() {
  static const EVP_MD* const digest = fetch_digest("MD5");
  return digest;
}

struct FreeDigestContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct FreeMacContext {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

std::string finish_digest(EVP_MD_CTX* context) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  LD_CHECK(EVP_DigestFinal_ex(context, out.data(), &size) == 1);
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::string digest_of(const EVP_MD* digest, std::string_view bytes) {
  thread_local const std::unique_ptr<EVP_MD_CTX, FreeDigestContext> context(EVP_MD_CTX_new());
  LD_CHECK(context != nullptr);
  LD_CHECK(EVP_DigestInit_ex2(context.get(), digest, nullptr) == 1);
  LD_CHECK(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1);
  return finish_digest(context.get());
}

std::unique_ptr<EVP_MAC_CTX, FreeMacContext> new_hmac_sha256_context() {
  static EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  LD_CHECK(hmac != nullptr, "this OpenSSL has no HMAC");
  std::unique_ptr<EVP_MAC_CTX, FreeMacContext> context(EVP_MAC_CTX_new(hmac));
  LD_CHECK(context != nullptr);
  char digest_name[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
                               OSSL_PARAM_construct_end()};
  LD_CHECK(EVP_MAC_CTX_set_params(context.get(), params) == 1);
  return context;
}

// CRC-32 of IEEE 802.3 (zip, gzip, AWS event stream), eight bytes per step: kCrcTables[k][b] is the effect of byte b
// followed by k zero bytes.
using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;
consteval CrcTables make_crc_tables() {
  CrcTables tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0u);
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 0xFF];
    }
  }
  return tables;
}
constexpr CrcTables kCrcTables = make_crc_tables();

}  // namespace

std::string sha256(std::string_view bytes) { return digest_of(sha256_digest(), bytes); }
std::string md5(std::string_view bytes) { return digest_of(md5_digest(), bytes); }

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  thread_local const auto context = new_hmac_sha256_context();
  // A null key means "keep the last one" to OpenSSL; an empty key must not.
  const char* key_data = key.empty() ? "" : key.data();
  LD_CHECK(EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(key_data), key.size(), nullptr) == 1);
  LD_CHECK(EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) == 1);
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  std::size_t size = 0;
  LD_CHECK(EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1);
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  const auto* at = reinterpret_cast<const std::uint8_t*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint32_t low = crc ^ (at[0] | at[1] << 8 | at[2] << 16 | static_cast<std::uint32_t>(at[3]) << 24);
    crc = kCrcTables[7][low & 0xFF] ^ kCrcTables[6][low >> 8 & 0xFF] ^ kCrcTables[5][low >> 16 & 0xFF] ^
          kCrcTables[4][low >> 24] ^ kCrcTables[3][at[4]] ^ kCrcTables[2][at[5]] ^ kCrcTables[1][at[6]] ^
          kCrcTables[0][at[7]];
  }
  for (; left > 0; ++at, --left) crc = (crc >> 8) ^ kCrcTables[0][(crc ^ *at) & 0xFF];
  return ~crc;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  LD_CHECK(context_ != nullptr);
  LD_CHECK(EVP_DigestInit_ex2(static_cast<EVP_MD_CTX*>(context_), sha256_digest(), nullptr) == 1);
}
Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }
void Sha256::update(std::string_view bytes) {
  LD_CHECK(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) == 1);
}
std::string Sha256::finish() { return finish_digest(static_cast<EVP_MD_CTX*>(context_)); }

}  // namespace lambdad
