/// Receipt handles: what a receive gives out and a delete or a visibility change must bring back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "services/sqs/store.h"

namespace lambdad::sqs {

struct ReceiptHandle {
  QueueId queue = 0;
  RowId row = 0;
  std::uint32_t generation = 0;  ///< the message's receive count when it was given out
  bool operator==(const ReceiptHandle&) const = default;
};

/// Seals and opens receipt handles with a key of the data directory, so that they survive a restart, need no memory and
/// cannot be made up: queue, row and generation, and SipHash-2-4 over them, as base64.
class ReceiptHandles {
 public:
  /// `key`: 16 secret random bytes.
  explicit ReceiptHandles(std::string_view key);
  std::string seal(const ReceiptHandle& handle) const;
  /// nullopt for anything that seal() with this key did not make.
  std::optional<ReceiptHandle> open(std::string_view text) const;

 private:
  std::uint64_t key_[2];
};

/// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with its test vectors.
std::uint64_t siphash24(const std::uint64_t (&key)[2], std::string_view bytes);

}  // namespace lambdad::sqs
