/// Quotas and defaults of Amazon SQS.
///
/// Sources: SQS API reference (CreateQueue, SetQueueAttributes, SendMessage, ReceiveMessage, ChangeMessageVisibility)
/// and SQS Developer Guide, "Amazon SQS message quotas" and "queue quotas", as of 2025.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/time.h"

namespace lambdad::sqs {

// Queue attributes: default, lowest, highest.
inline constexpr int kVisibilityTimeoutDefault = 30;
inline constexpr int kVisibilityTimeoutMax = 43200;
inline constexpr int kRetentionDefault = 345600;
inline constexpr int kRetentionMin = 60;
inline constexpr int kRetentionMax = 1209600;
inline constexpr int kDelayMax = 900;
inline constexpr int kMessageSizeMin = 1024;
inline constexpr int kMessageSizeMax = 1048576;  ///< 1 MiB since August 2025; 256 KiB before
inline constexpr int kWaitTimeMax = 20;
inline constexpr int kMaxReceiveCountMax = 1000;
inline constexpr std::size_t kRedriveSourcesMax = 10;  ///< sourceQueueArns of a RedriveAllowPolicy

// Names and tags.
inline constexpr std::string_view kFifoSuffix = ".fifo";
inline constexpr std::size_t kQueueNameLengthMax = 80;
inline constexpr std::size_t kTagsMax = 50;
inline constexpr std::size_t kTagKeyLengthMax = 128;
inline constexpr std::size_t kTagValueLengthMax = 256;

// Requests.
inline constexpr std::size_t kBatchEntriesMax = 10;
inline constexpr std::size_t kBatchEntryIdLengthMax = 80;
inline constexpr std::size_t kBatchSizeMax = 1048576;
inline constexpr int kReceiveMessagesMax = 10;
inline constexpr std::size_t kMessageAttributesMax = 10;
inline constexpr std::size_t kAttributeNameLengthMax = 256;
inline constexpr int kListResultsMax = 1000;

/// Messages received and neither deleted nor visible again. A receive beyond it answers OverLimit, on FIFO queues
/// nothing. Source: Developer Guide, "Standard queue quotas", "FIFO queue quotas" (20,000 before November 2024).
inline constexpr std::size_t kInFlightMax = 120000;

// FIFO queues. Source: Developer Guide, "Exactly-once processing"; API reference, ReceiveMessage.
inline constexpr Duration kDeduplicationInterval = 300s;  ///< also for ReceiveRequestAttemptId
inline constexpr std::size_t kGroupIdLengthMax = 128;     ///< MessageGroupId, MessageDeduplicationId, attempt ids

// Policies of queues. Source: Developer Guide, "Policy quotas".
inline constexpr std::size_t kPolicySizeMax = 8192;
inline constexpr std::size_t kPolicyStatementsMax = 20;
inline constexpr std::size_t kPolicyPrincipalsMax = 50;
inline constexpr std::size_t kPolicyActionsMax = 7;  ///< per statement made by AddPermission
inline constexpr std::size_t kPermissionLabelLengthMax = 80;

// Encryption keys.
inline constexpr int kKeyReuseDefault = 300;
inline constexpr int kKeyReuseMin = 60;
inline constexpr int kKeyReuseMax = 86400;

// Move tasks. Source: API reference, StartMessageMoveTask, ListMessageMoveTasks.
inline constexpr int kMovesPerSecondMax = 500;
inline constexpr int kMoveTasksListedMax = 10;  ///< also how many are kept for each source queue
/// Messages one step of a move task without a limit of its own moves. Our choice: bounds one step.
inline constexpr std::size_t kMovesPerStepMax = 100;

inline constexpr Duration kPurgeInterval = 60s;           ///< one PurgeQueue per queue in this time
inline constexpr Duration kNameBlockedAfterDelete = 60s;  ///< QueueDeletedRecently
inline constexpr Duration kVisibilityTotalMax = 43200s;   ///< from the receive on, over all extensions

/// Messages one receive moves to the dead-letter queue at most before it answers. Our choice: bounds one step; a long
/// poll goes on with the next step at once.
inline constexpr std::size_t kRedrivesPerStepMax = 100;

}  // namespace lambdad::sqs
