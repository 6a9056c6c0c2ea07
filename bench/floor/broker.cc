// The floor of an invocation: what any HTTP server between a client and a Runtime API client must do, and no more.
//
//   broker                                 clients POST an event to any path; it goes to a function that waits in
//                                          GET .../invocation/next, whose POST .../response answers the client
//   broker --drain JOBS BYTES LOG          no clients: makes JOBS events of BYTES bytes itself; a completion is in LOG,
//                                          synced once per epoll round, before the function is answered 202.
//                                          Prints "seconds N" from the first event to the last completion and ends.

#include <time.h>

#include <deque>
#include <unordered_map>

#include "http.h"

namespace floor_bench {
namespace {

struct Job {
  std::uint64_t client;
  std::string body;
};

double now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

class Broker {
 public:
  Broker(long drain_jobs, std::size_t drain_bytes, const char* log_path) : left_(drain_jobs), unfinished_(drain_jobs) {
    if (log_path == nullptr) return;
    log_ = std::make_unique<Log>(log_path);
    drain_body_ = "{\"data\":\"" + std::string(drain_bytes, 'x') + "\"}";
  }

  [[noreturn]] void run() {
    Server server;
    server.run([this](Connection& from, Message message) { handle(from, message); },
               [this](Connection& gone) {
                 open_.erase(gone.number);
                 std::erase(idle_, gone.number);
               },
               [this] { end_round(); });
  }

 private:
  void handle(Connection& from, Message message) {
    open_[from.number] = from.fd;
    const std::string_view path = message.path();
    if (!message.is_post()) {
      idle_.push_back(from.number);
      if (log_ && left_ > 0) {
        if (started_ == 0) started_ = now();
        --left_;
        jobs_.push_back({0, drain_body_});
      }
    } else if (const std::size_t at = path.find("/invocation/"); at != std::string_view::npos) {
      finish(from, path.substr(at + 12, 36), message.body);
    } else {
      jobs_.push_back({from.number, std::string(message.body)});
    }
    while (!idle_.empty() && !jobs_.empty()) start();
  }

  // The function that waited last goes first: its caches are warm.
  void start() {
    const auto function = open_.find(idle_.back());
    idle_.pop_back();
    char head[512];
    const int size =
        std::snprintf(head, sizeof head,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                      "Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-%012llx\r\n"
                      "Lambda-Runtime-Deadline-Ms: 4102444800000\r\n"
                      "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:echo\r\n"
                      "Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1\r\n"
                      "Content-Length: %zu\r\n\r\n",
                      static_cast<unsigned long long>(jobs_.front().client), jobs_.front().body.size());
    out_.assign(head, static_cast<std::size_t>(size)).append(jobs_.front().body);
    jobs_.pop_front();
    send_all(function->second, out_);
  }

  void finish(Connection& from, std::string_view id, std::string_view body) {
    if (log_) {
      log_->append(id);
      finished_.push_back(from.number);
      return;
    }
    const auto client = open_.find(std::strtoull(std::string(id.substr(24)).c_str(), nullptr, 16));
    if (client != open_.end()) {
      char head[512];
      const int size = std::snprintf(head, sizeof head,
                                     "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                                     "Content-Type: application/json\r\nx-amzn-RequestId: %.36s\r\n"
                                     "X-Amz-Executed-Version: $LATEST\r\nContent-Length: %zu\r\n\r\n",
                                     id.data(), body.size());
      out_.assign(head, static_cast<std::size_t>(size)).append(body);
      send_all(client->second, out_);
    }
    accept(from.fd);
  }

  void end_round() {
    if (finished_.empty()) return;
    log_->commit();
    for (std::uint64_t number : finished_) {
      if (auto function = open_.find(number); function != open_.end()) accept(function->second);
    }
    unfinished_ -= static_cast<long>(finished_.size());
    finished_.clear();
    if (unfinished_ > 0) return;
    std::printf("seconds %.6f\n", now() - started_);
    std::exit(0);
  }

  static void accept(int fd) {
    send_all(fd,
             "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
             "{\"status\":\"OK\"}\n");
  }

  std::unordered_map<std::uint64_t, int> open_;  ///< descriptors by connection number
  std::vector<std::uint64_t> idle_;              ///< functions that wait, the latest last
  std::deque<Job> jobs_;
  std::string out_;
  // Draining only.
  std::unique_ptr<Log> log_;
  std::string drain_body_;
  long left_;
  long unfinished_;
  double started_ = 0;
  std::vector<std::uint64_t> finished_;  ///< answered when the round is committed
};

}  // namespace
}  // namespace floor_bench

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "--drain") == 0) {
    floor_bench::Broker(std::atol(argv[2]), static_cast<std::size_t>(std::atol(argv[3])), argv[4]).run();
  }
  if (argc != 1) {
    std::fputs("usage: broker [--drain JOBS BYTES LOG]\n", stderr);
    return 2;
  }
  floor_bench::Broker(0, 0, nullptr).run();
}
