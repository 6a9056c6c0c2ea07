#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "system/async.h"

namespace lambdad {

/// Mutual exclusion of coroutines, by name: two that hold the same key never run between each other's suspensions;
/// different keys do not meet. Waiters are woken in order, though one who comes just then may be faster. A waiter that
/// is cancelled leaves the line.
///
///   auto guard = co_await functions_busy_.acquire(key);
///
/// Ownership: guards may outlive the mutex object. Threading: the loop only.
class KeyedMutex {
  struct Line {
    explicit Line(Loop& loop) : turn(loop) {}
    Notifier turn;
    bool held = false;
    std::size_t waiting = 0;
  };
  using Lines = std::map<std::string, std::shared_ptr<Line>>;

 public:
  explicit KeyedMutex(Loop& loop) : loop_(loop), lines_(std::make_shared<Lines>()) {}

  class Guard {
   public:
    Guard() = default;
    Guard(Guard&& other) noexcept = default;
    Guard& operator=(Guard&& other) noexcept {
      if (this != &other) {
        release();
        lines_ = std::move(other.lines_);
        line_ = std::move(other.line_);
        key_ = std::move(other.key_);
      }
      return *this;
    }
    ~Guard() { release(); }
    void release() {
      if (line_ == nullptr) return;
      line_->held = false;
      if (line_->waiting > 0) {
        line_->turn.notify_one();
      } else {
        lines_->erase(key_);
      }
      line_.reset();
    }

   private:
    friend class KeyedMutex;
    std::shared_ptr<Lines> lines_;
    std::shared_ptr<Line> line_;
    std::string key_;
  };

  Async<Guard> acquire(std::string key) {
    auto lines = lines_;
    auto& slot = (*lines)[key];
    if (slot == nullptr) slot = std::make_shared<Line>(loop_);
    auto line = slot;
    // A guard released to a waiter is taken by whoever runs first, so the condition is looked at again; who came first
    // is first in the notifier's line.
    struct Waiting {
      std::shared_ptr<Line> line;
      std::shared_ptr<Lines> lines;
      const std::string& key;
      explicit Waiting(std::shared_ptr<Line> l, std::shared_ptr<Lines> ls, const std::string& k)
          : line(std::move(l)), lines(std::move(ls)), key(k) {
        ++line->waiting;
      }
      ~Waiting() {
        --line->waiting;
        if (line->held || done) return;
        // Cancelled after being woken: the turn goes to the next in line.
        if (line->waiting > 0) {
          line->turn.notify_one();
        } else {
          lines->erase(key);
        }
      }
      bool done = false;
    };
    {
      Waiting waiting(line, lines, key);
      while (line->held) co_await line->turn.wait();
      line->held = true;
      waiting.done = true;
    }
    Guard guard;
    guard.lines_ = std::move(lines);
    guard.line_ = std::move(line);
    guard.key_ = std::move(key);
    co_return guard;
  }

 private:
  Loop& loop_;
  std::shared_ptr<Lines> lines_;
};

}  // namespace lambdad
