/// Bytes that only the holder of a key can read or make: AES-256-GCM. Backed by OpenSSL.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lambdad {

inline constexpr std::size_t kSealKeyBytes = 32;
inline constexpr std::size_t kSealNonceBytes = 12;

/// `nonce` must be random or otherwise never used twice with `key`; it goes before the result.
std::string seal(std::string_view key, std::string_view nonce, std::string_view bytes);
/// What was sealed; nullopt when a bit of it was changed, or the key is another.
std::optional<std::string> unseal(std::string_view key, std::string_view sealed);

}  // namespace lambdad
