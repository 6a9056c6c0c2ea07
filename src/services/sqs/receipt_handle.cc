#include "services/sqs/receipt_handle.h"

#include <bit>

#include "base/encoding.h"

namespace lambdad::sqs {

namespace {

constexpr char kVersion = 1;
constexpr std::size_t kSealedSize = 1 + 8 + 8 + 4 + 8;

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
}

template <class T>
T get(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace

std::uint64_t siphash24(const std::uint64_t (&key)[2], std::string_view bytes) {
  std::uint64_t v0 = key[0] ^ 0x736f6d6570736575;
  std::uint64_t v1 = key[1] ^ 0x646f72616e646f6d;
  std::uint64_t v2 = key[0] ^ 0x6c7967656e657261;
  std::uint64_t v3 = key[1] ^ 0x7465646279746573;
  const auto round = [&] {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  };
  const auto absorb = [&](std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  };
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) absorb(get<std::uint64_t>(bytes, at));
  std::uint64_t last = std::uint64_t{bytes.size()} << 56;
  for (std::size_t i = 0; at + i < bytes.size(); ++i) {
    last |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  }
  absorb(last);
  v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

ReceiptHandles::ReceiptHandles(std::string_view key) {
  LD_CHECK(key.size() == 16, "the key of receipt handles has {} bytes", key.size());
  key_[0] = get<std::uint64_t>(key, 0);
  key_[1] = get<std::uint64_t>(key, 8);
}

std::string ReceiptHandles::seal(const ReceiptHandle& handle) const {
  std::string bytes;
  bytes.reserve(kSealedSize);
  bytes += kVersion;
  put(bytes, handle.queue);
  put(bytes, handle.row);
  put(bytes, handle.generation);
  put(bytes, siphash24(key_, bytes));
  return base64_encode(bytes);
}

std::optional<ReceiptHandle> ReceiptHandles::open(std::string_view text) const {
  const auto bytes = base64_decode(text);
  if (!bytes || bytes->size() != kSealedSize || bytes->front() != kVersion) return std::nullopt;
  const std::size_t signed_size = kSealedSize - 8;
  if (get<std::uint64_t>(*bytes, signed_size) != siphash24(key_, std::string_view(*bytes).substr(0, signed_size))) {
    return std::nullopt;
  }
  return ReceiptHandle{get<QueueId>(*bytes, 1), get<RowId>(*bytes, 9), get<std::uint32_t>(*bytes, 17)};
}

}  // namespace lambdad::sqs
