#include "base/seal.h"

#include <array>
#include <memory>

#include <openssl/evp.h>

#include "base/error.h"

namespace lambdad {
namespace {

constexpr std::size_t kTagBytes = 16;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const EVP_CIPHER* cipher() {
  static const EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  LD_CHECK(fetched != nullptr, "this OpenSSL has no AES-256-GCM");
  return fetched;
}

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

std::string seal(std::string_view key, std::string_view nonce, std::string_view bytes) {
  LD_CHECK(key.size() == kSealKeyBytes && nonce.size() == kSealNonceBytes);
  const Context context(EVP_CIPHER_CTX_new());
  LD_CHECK(context != nullptr);
  std::string out(nonce);
  out.resize(kSealNonceBytes + bytes.size() + kTagBytes);
  auto* body = reinterpret_cast<unsigned char*>(out.data()) + kSealNonceBytes;
  int size = 0;
  LD_CHECK(EVP_EncryptInit_ex2(context.get(), cipher(), bytes_of(key), bytes_of(nonce), nullptr) == 1);
  LD_CHECK(EVP_EncryptUpdate(context.get(), body, &size, bytes_of(bytes), static_cast<int>(bytes.size())) == 1);
  LD_CHECK(static_cast<std::size_t>(size) == bytes.size());
  LD_CHECK(EVP_EncryptFinal_ex(context.get(), body + size, &size) == 1);
  LD_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, body + bytes.size()) == 1);
  return out;
}

std::optional<std::string> unseal(std::string_view key, std::string_view sealed) {
  LD_CHECK(key.size() == kSealKeyBytes);
  if (sealed.size() < kSealNonceBytes + kTagBytes) return std::nullopt;
  const std::string_view nonce = sealed.substr(0, kSealNonceBytes);
  const std::string_view body = sealed.substr(kSealNonceBytes, sealed.size() - kSealNonceBytes - kTagBytes);
  std::array<unsigned char, kTagBytes> tag{};
  sealed.copy(reinterpret_cast<char*>(tag.data()), kTagBytes, sealed.size() - kTagBytes);
  const Context context(EVP_CIPHER_CTX_new());
  LD_CHECK(context != nullptr);
  std::string out(body.size(), '\0');
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  int size = 0;
  if (EVP_DecryptInit_ex2(context.get(), cipher(), bytes_of(key), bytes_of(nonce), nullptr) != 1 ||
      EVP_DecryptUpdate(context.get(), to, &size, bytes_of(body), static_cast<int>(body.size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) != 1 ||
      EVP_DecryptFinal_ex(context.get(), to + size, &size) != 1) {
    return std::nullopt;
  }
  return out;
}

}  // namespace lambdad
