/// Topics and subscriptions while the service runs.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "observe/metrics.h"
#include "services/sns/subscription_attributes.h"
#include "services/sns/topic_attributes.h"

namespace lambdad::sns {

/// What is counted of one topic, under AWS's names.
struct TopicMetrics {
  TopicMetrics(Metrics& metrics, const std::string& topic);
  Counter& published;
  Counter& published_bytes;
  Counter& delivered;
  Counter& failed;
  Counter& redriven;
  Counter& failed_to_redrive;
  Counter& filtered_out;
  Counter& filtered_out_attributes;
  Counter& filtered_out_body;
  Counter& filtered_out_no_attributes;
  Counter& filtered_out_invalid_attributes;
  Counter& filtered_out_invalid_body;
};

struct LiveTopic;

struct LiveSubscription {
  SubscriptionRow row;
  std::string arn;
  Protocol protocol = Protocol::kSqs;
  SubscriptionAttributes attributes;
  std::weak_ptr<LiveTopic> topic;
  std::shared_ptr<TopicMetrics> metrics;
  bool fifo_topic = false;
  bool deleted = false;  ///< whoever holds it across a wait finds it gone
};
using SubscriptionPtr = std::shared_ptr<LiveSubscription>;

struct LiveTopic {
  TopicRow row;
  std::string arn;
  TopicAttributes attributes;
  std::shared_ptr<TopicMetrics> metrics;
  std::map<std::string, SubscriptionPtr> subscriptions;  ///< by UUID
  bool deleted = false;

  /// FIFO: what was published in the last five minutes. The commit may still be under way.
  struct Remembered {
    std::string message_id;
    std::uint64_t sequence = 0;
    WallTime until;
    bool committed = false;
  };
  std::map<std::string, Remembered> remembered;
  std::deque<std::pair<WallTime, std::string>> forgotten_at;  ///< the keys of `remembered`, in the order of `until`
  /// Forgets what is older than that.
  void forget_old(WallTime now) {
    while (!forgotten_at.empty() && forgotten_at.front().first <= now) {
      const auto at = remembered.find(forgotten_at.front().second);
      if (at != remembered.end() && at->second.until <= now && at->second.committed) remembered.erase(at);
      forgotten_at.pop_front();
    }
  }
};
using TopicPtr = std::shared_ptr<LiveTopic>;

}  // namespace lambdad::sns
