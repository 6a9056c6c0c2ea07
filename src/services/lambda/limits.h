/// Quotas and defaults of Lambda's control plane. Source, where nothing else is said: Lambda Developer Guide, "Lambda
/// quotas", and the API reference of the operation that has the member.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace lambdad::lambda {

inline constexpr std::size_t kFunctionNameLengthMax = 64;  ///< of the bare name; only CreateFunction enforces it
inline constexpr int kTimeoutSecondsDefault = 3;
inline constexpr int kTimeoutSecondsMax = 900;
inline constexpr int kMemoryMbDefault = 128;
inline constexpr int kMemoryMbMax = 10'240;
inline constexpr int kEphemeralStorageMbDefault = 512;
inline constexpr std::size_t kEnvironmentBytesMax = 4096;  ///< of the variables as compact JSON
inline constexpr std::size_t kTagsMax = 50;
inline constexpr std::size_t kTagKeyLengthMax = 128;
inline constexpr std::size_t kTagValueLengthMax = 256;

inline constexpr std::uint64_t kZipBytesMax = 52'428'800;          ///< direct upload, 50 MB
inline constexpr std::uint64_t kUnzippedBytesMax = 262'144'000;    ///< 250 MB
inline constexpr std::int64_t kCodeStorageBytes = 80'530'636'800;  ///< 75 GB, as GetAccountSettings shows it

inline constexpr std::size_t kSyncPayloadBytesMax = 6'291'456;   ///< 6 MB
inline constexpr std::size_t kEventPayloadBytesMax = 1'048'576;  ///< 1 MB since October 2025
inline constexpr std::size_t kClientContextBytesMax = 3583;      ///< of the base64 text

inline constexpr int kUnreservedConcurrencyMin = 100;

inline constexpr std::size_t kFunctionsPerPageMax = 50;  ///< also of versions, aliases, code signing configurations
inline constexpr std::size_t kConfigsPerPageMax = 50;    ///< event invoke and provisioned concurrency configurations
inline constexpr std::size_t kLayersPerPageMax = 50;     ///< also of layer versions
inline constexpr std::size_t kLayersOfFunctionMax = 5;
inline constexpr std::size_t kInvokeAsyncBytesMax = 262'144;                 ///< of the deprecated InvokeAsync, 256 KB
inline constexpr Duration kCodeLocationLifetime = std::chrono::minutes(10);  ///< of GetFunction's Code.Location

}  // namespace lambdad::lambda
