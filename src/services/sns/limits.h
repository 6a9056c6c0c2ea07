/// Quotas and defaults of Amazon SNS.
///
/// Sources: SNS API reference (CreateTopic, Subscribe, Publish, PublishBatch) and SNS Developer Guide, "Message
/// delivery retries", "Message deduplication for FIFO topics", "Subscription filter policy constraints", as of 2025.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace lambdad::sns {

inline constexpr std::size_t kTopicNameLengthMax = 256;
inline constexpr std::size_t kMessageBytesMax = 262144;  ///< text and attributes; of a batch together
inline constexpr std::size_t kSubjectLengthMax = 100;
inline constexpr std::size_t kBatchEntriesMax = 10;
inline constexpr std::size_t kBatchEntryIdLengthMax = 80;
inline constexpr std::size_t kGroupIdLengthMax = 128;
inline constexpr std::size_t kTagsMax = 50;
inline constexpr std::size_t kPageSize = 100;  ///< of the List operations
/// Message attributes of a raw delivery to SQS; with more it fails for good.
inline constexpr std::size_t kRawAttributesMax = 10;

inline constexpr Duration kDeduplicationInterval = 300s;
inline constexpr Duration kTokenLifetime = 72h;

/// The first sequence number of a FIFO topic is one above this.
inline constexpr std::uint64_t kSequenceBase = 10'000'000'000'000'000'000ULL;

/// An HTTP endpoint's answer must be there by then.
inline constexpr Duration kHttpTimeout = 15s;

/// Stored mail; the oldest goes. Our choice.
inline constexpr int kMailMax = 10000;

}  // namespace lambdad::sns
