#include "services/sns/signer.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/encoding.h"
#include "base/hash.h"

namespace lambdad::sns {

namespace {

constexpr int kKeyBits = 2048;
constexpr long kValidDays = 30 * 365;

template <auto free>
struct Free {
  template <class T>
  void operator()(T* t) const {
    free(t);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;

std::unexpected<Error> openssl_error(std::string_view doing) {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  return fail(Errc::kInternal, "{}: {}", doing, text);
}

std::string contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

}  // namespace

Signer::Signer(void* key, std::string key_pem, std::string certificate_pem)
    : key_(key),
      key_pem_(std::move(key_pem)),
      certificate_pem_(std::move(certificate_pem)),
      certificate_path_(
          fmt::format("/SimpleNotificationService-{}.pem", hex_encode(sha256(certificate_pem_)).substr(0, 32))) {}

Signer::~Signer() { EVP_PKEY_free(static_cast<EVP_PKEY*>(key_)); }

Result<std::shared_ptr<const Signer>> Signer::make(WallTime now) {
  Key key(EVP_RSA_gen(kKeyBits));
  if (!key) return openssl_error("making an RSA key");
  Certificate certificate(X509_new());
  if (!certificate) return openssl_error("making a certificate");
  X509_set_version(certificate.get(), 2);
  std::uint64_t serial = 0;
  for (const char c : sha256(fmt::format("{}", now.time_since_epoch().count())).substr(0, 7)) {
    serial = serial << 8 | static_cast<unsigned char>(c);
  }
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial);
  // A day back: clocks of verifiers may be behind.
  time_t begin = static_cast<time_t>(to_epoch_seconds(now) - 86400);
  X509_time_adj_ex(X509_getm_notBefore(certificate.get()), 0, 0, &begin);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), kValidDays, 0, &begin);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const auto* common_name = reinterpret_cast<const unsigned char*>("sns.amazonaws.com");
  const auto* organisation = reinterpret_cast<const unsigned char*>("lambdad");
  if (X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, organisation, -1, -1, 0) != 1 ||
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common_name, -1, -1, 0) != 1 ||
      X509_set_issuer_name(certificate.get(), name) != 1 || X509_set_pubkey(certificate.get(), key.get()) != 1 ||
      X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) {
    return openssl_error("making a certificate");
  }
  const Bio key_out(BIO_new(BIO_s_mem()));
  const Bio certificate_out(BIO_new(BIO_s_mem()));
  if (!key_out || !certificate_out ||
      PEM_write_bio_PKCS8PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_X509(certificate_out.get(), certificate.get()) != 1) {
    return openssl_error("writing a key");
  }
  return std::shared_ptr<const Signer>(
      new Signer(key.release(), contents(key_out.get()), contents(certificate_out.get())));
}

Result<std::shared_ptr<const Signer>> Signer::load(std::string_view key_pem, std::string_view certificate_pem) {
  const Bio key_in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const Bio certificate_in(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  if (!key_in || !certificate_in) return openssl_error("reading a key");
  Key key(PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr));
  const Certificate certificate(PEM_read_bio_X509(certificate_in.get(), nullptr, nullptr, nullptr));
  if (!key || !certificate || X509_check_private_key(certificate.get(), key.get()) != 1) {
    return fail(Errc::kCorrupt, "the stored signing key and its certificate do not fit");
  }
  return std::shared_ptr<const Signer>(new Signer(key.release(), std::string(key_pem), std::string(certificate_pem)));
}

std::string Signer::sign(std::string_view text, std::string_view version) const {
  const std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const EVP_MD* digest = version == "2" ? EVP_sha256() : EVP_sha1();
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  // Only exhausted memory can make these fail: the key is ours.
  LD_CHECK(context && EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, static_cast<EVP_PKEY*>(key_)) == 1 &&
               EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1,
           "signing");
  std::string signature(size, '\0');
  LD_CHECK(
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size()) == 1,
      "signing");
  signature.resize(size);
  return base64_encode(signature);
}

}  // namespace lambdad::sns
