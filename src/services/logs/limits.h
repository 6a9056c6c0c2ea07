/// Quotas and defaults. Source of those of AWS: CloudWatch Logs API reference and "CloudWatch Logs quotas".
#pragma once

#include <cstdint>

#include "base/time.h"

namespace lambdad::logs {

/// What an event counts beside its message, in every size below and in storedBytes. PutLogEvents.
inline constexpr std::int64_t kEventOverheadBytes = 26;
inline constexpr std::int64_t kEventBytesMax = 256 * 1024;    ///< PutLogEvents, one event
inline constexpr std::int64_t kBatchBytesMax = 1024 * 1024;   ///< PutLogEvents, one request
inline constexpr Duration kBatchSpanMax = 24h;                ///< PutLogEvents, first to last event
inline constexpr Duration kEventAgeMax = 14 * 24h;            ///< PutLogEvents, older events are rejected
inline constexpr Duration kEventAheadMax = 2h;                ///< PutLogEvents, later events are rejected
inline constexpr int kAnswerEventsMax = 10'000;               ///< GetLogEvents, FilterLogEvents
inline constexpr std::int64_t kAnswerBytesMax = 1024 * 1024;  ///< GetLogEvents, FilterLogEvents
inline constexpr int kDescribeMax = 50;                       ///< DescribeLogGroups, DescribeLogStreams
inline constexpr std::size_t kTagsMax = 50;                   ///< TagResource, of one log group
inline constexpr int kRetentionDays[] = {1,   3,   5,   7,   14,   30,   60,   90,   120,  150,  180,
                                         365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653};

/// Our own: events that one FilterLogEvents looks at before it answers with what it found and a token to go on.
inline constexpr int kScannedEventsMax = 200'000;
inline constexpr std::int64_t kScannedBytesMax = 64 * 1024 * 1024;

}  // namespace lambdad::logs
