#include "http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/client.h"
#include "http/refused_requests.h"
#include "http/strict.h"

namespace lambdad::http {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::size_t open_descriptors() {
  const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

// A blocking client that sends what it is told, byte for byte. Gives up after ten seconds of silence.
class Wire {
 public:
  explicit Wire(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  explicit Wire(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    connect(reinterpret_cast<sockaddr*>(&address), sizeof address);
  }

  // False when the peer takes no more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  // At least one byte; empty when the peer has closed.
  std::string read_some() {
    char buffer[64 * 1024];
    const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    was_reset_ = count < 0 && errno == ECONNRESET;
    EXPECT_FALSE(count < 0 && errno == EAGAIN) << "the peer is silent";
    return {buffer, static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }
  std::string read_all() {
    std::string all;
    for (std::string piece = read_some(); !piece.empty(); piece = read_some()) all += piece;
    return all;
  }
  // Reads until `text` has come, or the peer has closed.
  std::string read_until(std::string_view text) {
    std::string all = std::exchange(pending_, "");
    while (all.find(text) == std::string::npos) {
      const std::string piece = read_some();
      if (piece.empty()) return all;
      all += piece;
    }
    const std::size_t end = all.find(text) + text.size();
    pending_ = all.substr(end);
    return all.substr(0, end);
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }
  bool was_reset() const { return was_reset_; }
  int fd() const { return fd_.get(); }

 private:
  void connect(sockaddr* address, socklen_t size) {
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(fd_.get(), address, size), 0) << strerror(errno);
  }
  UniqueFd fd_;
  std::string pending_;
  bool was_reset_ = false;
};

// A server on a loop of its own thread.
class ServerTest : public testing::Test {
 protected:
  ServerTest() : work_(loop_.get_executor()), clock_(loop_), released_(loop_) {
    limits_.header_bytes_max = 1024;
    limits_.target_bytes_max = 256;
    limits_.body_bytes_max = 64;
  }
  ~ServerTest() override {
    stop(0s);
    work_.reset();
    if (thread_.joinable()) thread_.join();
  }

  void start() {
    server_ = std::make_unique<Server>(loop_, clock_, limits_,
                                       [this](Request request) { return handle(std::move(request)); });
    ASSERT_TRUE(server_->listen("127.0.0.1:0").has_value());
    port_ = server_->port();
    thread_ = std::thread([this] { loop_.run(); });
  }

  template <class F>
  auto on_loop(F f) {
    std::packaged_task<std::invoke_result_t<F>()> task(std::move(f));
    auto result = task.get_future();
    asio::post(loop_, [&task] { task(); });
    return result.get();
  }
  template <class T>
  T await(Async<T> task) {
    return asio::co_spawn(loop_, std::move(task), asio::use_future).get();
  }

  std::future<void> begin_stop(Duration grace) { return asio::co_spawn(loop_, server_->stop(grace), asio::use_future); }
  void stop(Duration grace) {
    if (!server_) return;
    begin_stop(grace).get();
    on_loop([this] { server_.reset(); });
  }

  virtual Async<Response> handle(Request request) {
    {
      std::lock_guard lock(mutex_);
      seen_.push_back(request.method + " " + request.target + " " + request.body);
    }
    if (request.path() == "/wait") {
      waiting_ = true;
      while (!may_go_) co_await released_.wait();
    }
    if (request.path() == "/may-wait") {
      Response response = Response::text(202, "held");
      response.may_wait = true;
      co_return response;
    }
    if (request.path() == "/throw") throw std::runtime_error("a bug");
    Response response = Response::text(200, request.body);
    if (request.path() == "/stream") {
      response.stream = [pieces = 0]() mutable -> Async<Result<std::optional<std::string>>> {
        return numbered_piece(pieces++);
      };
      response.stream_trailers = [] { return Headers{{"X-Sum", "3"}, {"Content-Length", "7"}, {"Bad", "a\r\nb"}}; };
    }
    if (request.path() == "/cut") {
      response.stream = [pieces = 0]() mutable -> Async<Result<std::optional<std::string>>> {
        return cut_piece(pieces++);
      };
    }
    if (request.path() == "/split") response.headers.add("X", "a\r\nSet-Cookie: b");
    if (request.path() == "/split-name") response.headers.add("X: y\r\nSet-Cookie", "b");
    if (request.path() == "/status") response.status = 42;
    if (request.path() == "/own-framing") {
      response.headers.add("Content-Length", "9999");
      response.headers.add("transfer-encoding", "chunked");
    }
    if (request.path() == "/large") response.body.assign(8 * 1024 * 1024, 'L');
    if (request.path() == "/empty") response = Response{.status = 204};
    if (request.path() == "/head") {
      response.body.clear();
      response.headers.add("Content-Length", "1234");
    }
    if (request.path() == "/close") response.headers.add("Connection", "close");
    if (request.path() == "/trailers") {
      for (const Header& field : request.trailers) response.body += fmt::format("[{}={}]", field.name, field.value);
      response.body += request.headers.contains("X-T") ? "merged" : "apart";
    }
    if (request.path() == "/peer") response.body = request.peer_address;
    if (request.body_stream) response = co_await read_by_pieces(std::move(request));
    response.on_sent = [this](bool sent) { sent ? ++sent_ : ++not_sent_; };
    co_return response;
  }
  // Answers with the size of the body, its trailers or why it ended early. On /slow each piece waits for release().
  Async<Response> read_by_pieces(Request request) {
    std::size_t size = 0;
    if (request.path() == "/ignore") co_return Response::text(200, "ignored");
    for (;;) {
      auto piece = co_await request.body_stream->next();
      if (!piece) {
        std::lock_guard lock(mutex_);
        seen_.push_back(std::string(to_string(piece.error().code)));
        co_return Response::text(400, std::string(to_string(piece.error().code)));
      }
      if (!*piece) break;
      size += (*piece)->size();
      arrived_ = size;
      while (request.path() == "/slow" && !may_go_) co_await released_.wait();
    }
    Response response = Response::text(200, fmt::format("{} bytes", size));
    for (const Header& field : request.body_stream->trailers()) {
      response.body += fmt::format("[{}={}]", field.name, field.value);
    }
    co_return response;
  }
  static Async<Result<std::optional<std::string>>> numbered_piece(int number) {
    if (number == 1) co_return std::string();
    if (number > 2) co_return std::nullopt;
    co_return fmt::format("piece {};", number);
  }
  static Async<Result<std::optional<std::string>>> cut_piece(int number) {
    if (number == 0) co_return "begin";
    co_return fail(Errc::kClosed, "the function has died");
  }

  void release() {
    on_loop([this] {
      may_go_ = true;
      released_.notify_all();
    });
  }
  // Polls a condition that the loop makes true.
  template <class F>
  static void eventually(F condition) {
    for (int i = 0; i < 10000; ++i) {
      if (condition()) return;
      std::this_thread::sleep_for(1ms);
    }
    FAIL() << "it has not happened";
  }
  std::vector<std::string> seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  std::size_t connections() {
    return on_loop([this] { return server_->connections(); });
  }

  Loop loop_;
  asio::executor_work_guard<Executor> work_;
  RealClock clock_;
  ServerLimits limits_;
  Notifier released_;
  bool may_go_ = false;
  std::atomic<bool> waiting_ = false;
  std::atomic<std::size_t> arrived_ = 0;
  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<std::string> seen_;
  std::atomic<int> sent_ = 0;
  std::atomic<int> not_sent_ = 0;
};

std::string get(std::string_view target) { return fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", target); }
std::string post(std::string_view target, std::string_view body) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}", target, body.size(), body);
}
std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

// --- streamed request bodies ----------------------------------------------------------------------------------------

class StreamedBodyTest : public ServerTest {
 protected:
  StreamedBodyTest() {
    limits_.stream_body = [](const Request& head) { return head.method == "PUT"; };
    limits_.body_bytes_max = 64 * 1024 * 1024;
  }
  static std::string put(std::string_view target) {
    return fmt::format("PUT {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", target);
  }
  static std::string chunk(std::size_t size) { return fmt::format("{:x}\r\n{}\r\n", size, std::string(size, 'c')); }
};

TEST_F(StreamedBodyTest, TheHandlerSeesAPieceBeforeTheNextIsSent) {
  start();
  Wire wire(port_);
  wire.send(put("/"));
  wire.send(chunk(5));
  eventually([this] { return arrived_ == 5; });
  wire.send(chunk(7));
  eventually([this] { return arrived_ == 12; });
  wire.send("0\r\nX-Sum: 12\r\n\r\n");
  EXPECT_THAT(wire.read_until("12]"), HasSubstr("12 bytes[X-Sum=12]"));
  // The connection goes on, and a body that comes whole with its head is not streamed.
  wire.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_THAT(wire.read_until("abc"), HasSubstr("200 OK"));
}

TEST_F(StreamedBodyTest, TakesABodyOfKnownLength) {
  start();
  Wire wire(port_);
  wire.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
  ASSERT_TRUE(wire.send(std::string(3000000, 'l')));
  wire.send(get("/next"));
  EXPECT_THAT(wire.read_until("3000000 bytes"), HasSubstr("200 OK"));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), HasSubstr("200 OK"));
}

TEST_F(StreamedBodyTest, ASlowHandlerStopsTheSender) {
  start();
  Wire wire(port_);
  const timeval patience{.tv_sec = 0, .tv_usec = 300'000};
  ::setsockopt(wire.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  wire.send(put("/slow"));
  const std::string large = chunk(32 * 1024 * 1024);
  EXPECT_FALSE(wire.send(large)) << "32 MiB were taken from the sender";
  EXPECT_LE(arrived_.load(), 64u * 1024);
  release();
}

TEST_F(StreamedBodyTest, TellsWhyABodyEndsEarly) {
  limits_.body_bytes_max = 100;
  limits_.body_timeout = 100ms;
  start();
  {
    Wire wire(port_);
    wire.send(put("/") + chunk(60));
    eventually([this] { return arrived_ == 60; });
    wire.send(chunk(41));
    EXPECT_THAT(wire.read_all(), HasSubstr(std::string(to_string(Errc::kTooLarge))));
  }
  {
    Wire wire(port_);
    wire.send(put("/") + chunk(6) + "not a chunk\r\n");
    const std::string answer = wire.read_all();
    EXPECT_THAT(answer, HasSubstr("Connection: close"));
  }
  {
    Wire wire(port_);
    wire.send(put("/") + chunk(6));
    EXPECT_THAT(wire.read_all(), HasSubstr(std::string(to_string(Errc::kTimedOut))));
  }
  {
    Wire wire(port_);
    wire.send(put("/gone") + chunk(6));
    wire.finish_sending();
    wire.read_all();
  }
  eventually([this] {
    const auto all = seen();
    return !all.empty() && all.back() == to_string(Errc::kClosed);
  });
}

TEST_F(StreamedBodyTest, AnUnreadBodyEndsTheConnectionAfterTheAnswer) {
  start();
  Wire wire(port_);
  wire.send(put("/ignore") + chunk(100000));
  const std::string answer = wire.read_all();
  EXPECT_THAT(answer, HasSubstr("ignored"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
}

TEST_F(StreamedBodyTest, Answers100ContinueBeforeTheBodyIsRead) {
  start();
  Wire wire(port_);
  wire.send("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(wire.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wire.send("body");
  EXPECT_THAT(wire.read_until("bytes"), HasSubstr("4 bytes"));
}

// --- refusals -------------------------------------------------------------------------------------------------------

TEST_F(ServerTest, RefusedRequestsEndTheConnectionAndNothingBehindThemIsServed) {
  start();
  for (const RefusedRequest& probe : refused_requests()) {
    Wire wire(port_);
    wire.send(probe.bytes);
    wire.send("\r\n0\r\n\r\n" + get("/smuggled") + get("/smuggled"));
    const std::string answer = wire.read_all();
    EXPECT_THAT(answer, StartsWith(fmt::format("HTTP/1.1 {} ", status_of(probe.why)))) << probe.name;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n")) << probe.name;
    EXPECT_THAT(answer, HasSubstr(std::string(describe(probe.why)))) << probe.name;
    EXPECT_EQ(count_of(answer, "\r\nDate: "), 1u) << probe.name << ": " << answer;
  }
  EXPECT_EQ(seen(), std::vector<std::string>{});
  Wire wire(port_);
  wire.send(get("/alive"));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServerTest, ASlowHeadIsAnswered408) {
  limits_.header_timeout = 5ms;
  start();
  Wire wire(port_);
  wire.send("GET / HTTP/1.1\r\nHo");
  EXPECT_THAT(wire.read_all(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, ASlowBodyIsAnswered408) {
  limits_.body_timeout = 5ms;
  start();
  Wire wire(port_);
  wire.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_THAT(wire.read_all(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(seen().empty());
}

TEST_F(ServerTest, AnIdleConnectionIsClosedWithoutAWord) {
  limits_.idle_timeout = 5ms;
  start();
  Wire fresh(port_);
  EXPECT_EQ(fresh.read_all(), "");
  Wire used(port_);
  used.send(get("/"));
  EXPECT_EQ(count_of(used.read_all(), "HTTP/1.1"), 1u);
}

TEST_F(ServerTest, APeerThatDoesNotReadIsCutOff) {
  limits_.write_timeout = 5ms;
  start();
  Wire wire(port_);
  wire.send(get("/large"));
  eventually([this] { return not_sent_ == 1; });
  EXPECT_LT(wire.read_all().size(), 8u * 1024 * 1024);
  EXPECT_TRUE(wire.was_reset());
}

// --- requests and responses -----------------------------------------------------------------------------------------

TEST_F(ServerTest, ServesRequestsOneAfterTheOtherOnOneConnection) {
  start();
  Wire wire(port_);
  for (int i = 0; i < 3; ++i) {
    const std::string body = fmt::format("body {}", i);
    wire.send(post("/echo", body));
    const std::string head = wire.read_until("\r\n\r\n");
    EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nContent-Length: 6\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nDate: "));
    EXPECT_THAT(head, Not(HasSubstr("Connection:")));
    EXPECT_EQ(wire.read_until(body), body);
  }
  EXPECT_EQ(connections(), 1u);
  eventually([this] { return sent_ == 3; });
}

TEST_F(ServerTest, ServesPipelinedRequestsInOrderHoweverTheyAreCut) {
  start();
  std::string all;
  for (int i = 0; i < 50; ++i) all += post(fmt::format("/{}", i), fmt::format("<{}>", i));
  all += "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  for (std::size_t step : {all.size(), std::size_t{97}, std::size_t{1}}) {
    Wire wire(port_);
    for (std::size_t at = 0; at < all.size(); at += step) wire.send(std::string_view(all).substr(at, step));
    const std::string answers = wire.read_all();
    std::size_t at = 0;
    for (int i = 0; i < 50; ++i) {
      const std::size_t found = answers.find(fmt::format("\r\n\r\n<{}>", i), at);
      ASSERT_NE(found, std::string::npos) << i;
      at = found;
    }
    EXPECT_EQ(count_of(answers, "HTTP/1.1 200 OK\r\n"), 51u);
  }
}

TEST_F(ServerTest, AResponseThatMayWaitLeavesWithTheNextOne) {
  start();
  Wire wire(port_);
  wire.send(post("/may-wait", "") + get("/wait"));
  eventually([this] { return waiting_.load(); });
  char byte;
  EXPECT_EQ(::recv(wire.fd(), &byte, 1, MSG_DONTWAIT), -1);
  release();
  const std::string both = wire.read_some();
  EXPECT_THAT(both, StartsWith("HTTP/1.1 202 "));
  EXPECT_EQ(count_of(both, "HTTP/1.1 "), 2u);
}

TEST_F(ServerTest, AResponseThatMayWaitDoesNotWaitForWhatHasNotCome) {
  start();
  Wire wire(port_);
  wire.send(post("/may-wait", ""));
  EXPECT_THAT(wire.read_until("held"), StartsWith("HTTP/1.1 202 "));
  wire.send(post("/may-wait", "") + "GET /echo HT");
  EXPECT_THAT(wire.read_until("held"), StartsWith("HTTP/1.1 202 "));
  wire.send("TP/1.1\r\nHost: h\r\n\r\n" + post("/may-wait", "") + "no request\r\n\r\n");
  EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  const std::string rest = wire.read_all();
  EXPECT_THAT(rest, StartsWith("HTTP/1.1 202 "));
  EXPECT_THAT(rest, HasSubstr("HTTP/1.1 400 "));
}

TEST_F(ServerTest, ABufferedResponseIsOnePiece) {
  start();
  Wire wire(port_);
  wire.send(post("/", "together"));
  // Loopback hands over what was written at once as one piece.
  EXPECT_THAT(wire.read_some(), testing::EndsWith("\r\n\r\ntogether"));
}

TEST_F(ServerTest, SendsLargeBodiesWhole) {
  start();
  Wire wire(port_);
  wire.send(get("/large"));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), HasSubstr("Content-Length: 8388608\r\n"));
  wire.finish_sending();
  std::size_t size = wire.read_until("no such text").size();
  EXPECT_EQ(size, 8u * 1024 * 1024);
  eventually([this] { return sent_ == 1; });
}

TEST_F(ServerTest, TakesLargeBodiesByLengthAndByChunks) {
  limits_.body_bytes_max = 1;
  limits_.body_limit = [](const Request& head) -> std::size_t { return head.path() == "/big" ? 4000000 : 1; };
  start();
  const std::string body(3 * 1024 * 1024, 'B');
  Wire wire(port_);
  wire.send(post("/big", body));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(wire.read_until(body).size(), body.size());
  wire.send("POST /big HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 3; ++i) wire.send(fmt::format("100000\r\n{}\r\n", std::string(1024 * 1024, 'B')));
  wire.send("0\r\n\r\n");
  EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(wire.read_until(body).size(), body.size());
  wire.send(post("/small", "ab"));
  EXPECT_THAT(wire.read_all(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(ServerTest, AClientThatSendsTooMuchStillReadsTheAnswer) {
  start();
  Wire wire(port_);
  EXPECT_TRUE(wire.send(post("/", std::string(5 * 1024 * 1024, 'x'))));
  EXPECT_THAT(wire.read_all(), StartsWith("HTTP/1.1 413 "));
  EXPECT_FALSE(wire.was_reset());
}

TEST_F(ServerTest, ABodyAboveTheLimitIsRefusedInTheWordsOfItsReceiver) {
  limits_.refuse_body = [](const Request& head) -> std::optional<Response> {
    if (head.path() != "/mine") return std::nullopt;
    return Response::text(413, "not so much");
  };
  start();
  Wire mine(port_);
  mine.send(post("/mine", std::string(65, 'x')));
  EXPECT_THAT(mine.read_all(), AllOf(StartsWith("HTTP/1.1 413 "), HasSubstr("not so much")));
  Wire other(port_);
  other.send(post("/other", std::string(65, 'x')));
  EXPECT_THAT(other.read_all(), AllOf(StartsWith("HTTP/1.1 413 "), HasSubstr("The body is too large.")));
}

TEST_F(ServerTest, Answers100ContinueOnlyToABodyWithinTheLimit) {
  start();
  Wire wire(port_);
  wire.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(wire.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wire.send("body");
  EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(wire.read_until("body"), "body");
  wire.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_THAT(wire.read_until("abc"), StartsWith("HTTP/1.1 200 OK\r\n"));
  wire.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 65\r\n\r\n");
  EXPECT_THAT(wire.read_all(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(ServerTest, KeepsTrailersOfARequestApart) {
  start();
  Wire wire(port_);
  wire.send(
      "POST /trailers HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n:\r\n0\r\nX-T: 1\r\nx-t: "
      "2\r\n\r\n");
  EXPECT_THAT(wire.read_until("apart"), testing::EndsWith(":[X-T=1][x-t=2]apart"));
}

TEST_F(ServerTest, StreamsInChunksWithTrailers) {
  start();
  Wire wire(port_);
  wire.send(get("/stream"));
  const std::string head = wire.read_until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Content-Length")));
  // The trailers that would frame the message or split it are left out.
  EXPECT_EQ(wire.read_until("0\r\nX-Sum: 3\r\n\r\n"), "8\r\npiece 0;\r\n8\r\npiece 2;\r\n0\r\nX-Sum: 3\r\n\r\n");
  wire.send(get("/"));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  eventually([this] { return sent_ == 2; });
}

TEST_F(ServerTest, StreamsToHttp10UntilItCloses) {
  start();
  Wire wire(port_);
  wire.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string answer = wire.read_all();
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("chunked")));
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\npiece 0;piece 2;"));
}

TEST_F(ServerTest, AStreamThatFailsIsNotEndedAsIfItWereWhole) {
  start();
  for (const char* version : {"1.1", "1.0"}) {
    Wire wire(port_);
    wire.send(fmt::format("GET /cut HTTP/{}\r\nHost: h\r\n\r\n", version));
    const bool chunked = std::string_view(version) == "1.1";
    const std::string answer = wire.read_all();
    EXPECT_THAT(answer, Not(HasSubstr("0\r\n\r\n")));
    // Chunks say by themselves that the last one is missing; what was sent of them arrives.
    if (chunked) EXPECT_THAT(answer, HasSubstr("begin"));
    EXPECT_EQ(wire.was_reset(), !chunked);
  }
  eventually([this] { return not_sent_ == 2; });
}

TEST_F(ServerTest, KeepsHttp10ConnectionsOnRequestOnly) {
  start();
  Wire kept(port_);
  kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(kept.read_until("\r\n\r\n"), HasSubstr("Connection: keep-alive\r\n"));
  kept.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(kept.read_all(), HasSubstr("Connection: close\r\n"));
}

TEST_F(ServerTest, SendsNoBodyWhereNoneMayBe) {
  start();
  Wire wire(port_);
  wire.send("HEAD /own-framing HTTP/1.1\r\nHost: h\r\n\r\n" + get("/empty") + "HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n" +
            "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n" + "HEAD /large HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(wire.read_until("\r\n\r\n"), HasSubstr("Content-Length: 9999\r\n"));
  const std::string no_content = wire.read_until("\r\n\r\n");
  EXPECT_THAT(no_content, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(no_content, Not(HasSubstr("Content-Length")));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), HasSubstr("Content-Length: 1234\r\n"));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), HasSubstr("Content-Length: 8388608\r\n"));
  wire.send(post("/close", "end"));
  EXPECT_THAT(wire.read_all(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServerTest, FramesResponsesItself) {
  start();
  Wire wire(port_);
  wire.send(post("/own-framing", "abc"));
  const std::string head = wire.read_until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("9999")));
  EXPECT_THAT(head, Not(HasSubstr("chunked")));
}

TEST_F(ServerTest, AResponseCannotBeSplitByItsHeaders) {
  start();
  for (const char* target : {"/split", "/split-name", "/status"}) {
    Wire wire(port_);
    wire.send(get(target));
    const std::string answer = wire.read_all();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 ")) << target;
    EXPECT_THAT(answer, Not(HasSubstr("Set-Cookie")));
  }
  eventually([this] { return not_sent_ == 3; });
}

TEST_F(ServerTest, AThrowingHandlerIsAnswered500AndCloses) {
  start();
  Wire wire(port_);
  wire.send(get("/throw") + get("/next"));
  const std::string answer = wire.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(answer, Not(HasSubstr("a bug")));
  EXPECT_EQ(count_of(answer, "HTTP/1.1 "), 1u);
}

// --- connections ----------------------------------------------------------------------------------------------------

TEST_F(ServerTest, APeerThatLeavesDoesNotEndItsHandlerAndGetsNoResponse) {
  start();
  {
    Wire wire(port_);
    wire.send(get("/wait"));
    eventually([this] { return waiting_.load(); });
  }
  release();
  eventually([this] { return not_sent_ == 1; });
  EXPECT_EQ(sent_, 0);
  eventually([this] { return connections() == 0; });
}

TEST_F(ServerTest, LeavesNoDescriptorOpen) {
  start();
  {
    Wire first(port_);
    first.send(get("/")), first.read_until("\r\n\r\n");
  }
  eventually([this] { return connections() == 0; });
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 200; ++i) {
    Wire wire(port_);
    switch (i % 5) {
      case 0: break;
      case 1: wire.send(get("/")); break;
      case 2: wire.send(get("/")), wire.read_until("\r\n\r\n"); break;
      case 3: wire.send("bad\r\n\r\n"), wire.read_all(); break;
      case 4: wire.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"); break;
    }
  }
  // A connection that was closed before it was accepted comes and goes once more.
  eventually([this, before] { return open_descriptors() == before && connections() == 0; });
}

TEST_F(ServerTest, PausesAcceptingAboveItsConnectionLimit) {
  limits_.connections_max = 2;
  start();
  auto first = std::make_unique<Wire>(port_);
  Wire second(port_);
  for (Wire* wire : {first.get(), &second}) wire->send(get("/")), wire->read_until("\r\n\r\n");
  Wire third(port_);
  third.send(get("/third"));
  second.send(get("/again")), second.read_until("\r\n\r\n");
  EXPECT_EQ(connections(), 2u);
  first.reset();
  EXPECT_THAT(third.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServerTest, GoesOnAcceptingAfterDescriptorsRanOut) {
  start();
  Wire before(port_);
  before.send(get("/")), before.read_until("\r\n\r\n");
  Wire waiting(port_);
  eventually([this] { return connections() == 2; });
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::vector<UniqueFd> all;
  rlimit tight = old;
  tight.rlim_cur = 256;
  ::setrlimit(RLIMIT_NOFILE, &tight);
  for (UniqueFd fd(::dup(client.get())); fd; fd = UniqueFd(::dup(client.get()))) all.push_back(std::move(fd));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string request = get("/late");
  EXPECT_GT(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL), 0);
  before.send(get("/")), before.read_until("\r\n\r\n");  // what is connected is still served
  EXPECT_EQ(connections(), 2u);
  all.clear();
  ::setrlimit(RLIMIT_NOFILE, &old);
  char byte;
  EXPECT_EQ(::recv(client.get(), &byte, 1, 0), 1);
}

TEST_F(ServerTest, ServesSocketsOfOtherFamilies) {
  start();
  const auto directory = std::filesystem::temp_directory_path() / fmt::format("lambdad_http_{}", ::getpid());
  std::filesystem::create_directories(directory);
  const std::string path = directory / "socket";
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  UniqueFd not_listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  on_loop([&] {
    EXPECT_TRUE(server_->adopt(std::move(listener)).has_value());
    EXPECT_EQ(server_->adopt(std::move(not_listening)).error().code, Errc::kInvalid);
  });
  Wire wire(path);
  wire.send(get("/peer"));
  EXPECT_THAT(wire.read_until("\r\n\r\n"), HasSubstr("Content-Length: 0\r\n"));
  Wire tcp(port_);
  tcp.send(get("/peer"));
  EXPECT_THAT(tcp.read_until("127.0.0.1"), StartsWith("HTTP/1.1 200"));
  std::filesystem::remove_all(directory);
}

TEST_F(ServerTest, TellsWhyItCannotListen) {
  start();
  on_loop([this] {
    EXPECT_EQ(server_->listen(server_->address()).error().code, Errc::kConflict);
    for (const char* bad : {"127.0.0.1", "localhost:0", "127.0.0.1:x", "127.0.0.1:70000", "[::1:0", ":0", ""}) {
      EXPECT_EQ(server_->listen(bad).error().code, Errc::kInvalid) << bad;
    }
  });
}

// --- stopping -------------------------------------------------------------------------------------------------------

TEST_F(ServerTest, StopLetsARunningRequestFinishAndClosesIdleConnections) {
  start();
  Wire idle(port_);
  idle.send(get("/")), idle.read_until("\r\n\r\n");
  Wire running(port_);
  running.send(get("/wait") + get("/after"));
  eventually([this] { return waiting_.load(); });
  auto stopped = begin_stop(1h);
  EXPECT_EQ(idle.read_all(), "");
  release();
  const std::string answer = running.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_EQ(count_of(answer, "HTTP/1.1 "), 1u);
  running.finish_sending();
  {
    Wire gone = std::move(running);
  }
  stopped.get();
  eventually([this] { return sent_ == 2; });
  EXPECT_EQ(connections(), 0u);
}

TEST_F(ServerTest, StopEndsWhatIsNotDoneAfterItsGrace) {
  start();
  Wire wire(port_);
  wire.send(get("/wait"));
  eventually([this] { return waiting_.load(); });
  begin_stop(1ms).get();
  EXPECT_EQ(wire.read_all(), "");
  EXPECT_EQ(connections(), 0u);
}

// --- the client -----------------------------------------------------------------------------------------------------

TEST_F(ServerTest, TheClientExchangesRequestsOverKeptConnections) {
  limits_.body_bytes_max = 1024 * 1024;
  start();
  Client client(loop_, clock_);
  for (std::size_t size : {0u, 5u, 100000u, 1000000u}) {
    const std::string body(size, 'c');
    auto response = await(client.send("127.0.0.1", port_, {.method = "POST", .target = "/echo", .body = body}));
    ASSERT_TRUE(response.has_value()) << response.error().detail;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, body);
  }
  auto streamed = await(client.send("127.0.0.1", port_, {.method = "GET", .target = "/stream"}));
  ASSERT_TRUE(streamed.has_value());
  EXPECT_EQ(streamed->body, "piece 0;piece 2;");
  auto head = await(client.send("localhost", port_, {.method = "HEAD", .target = "/large"}));
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->headers.get("content-length"), "8388608");
  EXPECT_EQ(connections(), 2u);  // 127.0.0.1 and localhost
}

TEST_F(ServerTest, TheClientNoticesThatAKeptConnectionWasClosed) {
  start();
  Client client(loop_, clock_);
  for (int i = 0; i < 3; ++i) {
    auto response = await(client.send("127.0.0.1", port_, {.method = "POST", .target = "/close"}));
    ASSERT_TRUE(response.has_value()) << response.error().detail;
  }
  EXPECT_EQ(seen().size(), 3u);
}

TEST_F(ServerTest, TheClientReportsEachFailure) {
  start();
  Client client(loop_, clock_, {.body_bytes_max = 1000, .total_timeout = 20ms});
  const auto code_of = [&](Request request, std::uint16_t port) {
    auto response = await(client.send("127.0.0.1", port, std::move(request)));
    return response ? std::optional<Errc>() : response.error().code;
  };
  EXPECT_EQ(code_of({.method = "GET", .target = "/large"}, port_), Errc::kTooLarge);
  EXPECT_EQ(code_of({.method = "GET", .target = "/cut"}, port_), Errc::kClosed);
  EXPECT_EQ(code_of({.method = "GET", .target = "/wait"}, port_), Errc::kTimedOut);
  EXPECT_EQ(code_of({.method = "GET", .target = "/"}, 1), Errc::kUnavailable);
  EXPECT_EQ(code_of({.method = "GET", .target = "/a b"}, port_), Errc::kInvalid);
  EXPECT_EQ(code_of({.method = "GET", .target = "a"}, port_), Errc::kInvalid);
  EXPECT_EQ(code_of({.method = "G\r\n", .target = "/"}, port_), Errc::kInvalid);
  EXPECT_EQ(code_of({.method = "GET", .target = "/", .headers = {{"X", "a\r\nb"}}}, port_), Errc::kInvalid);
  release();
}

TEST_F(ServerTest, TheClientRefusesWhatIsNotHttp) {
  start();
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  socklen_t size = sizeof address;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  std::thread peer([&] {
    UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char buffer[1024];
    EXPECT_GT(::recv(accepted.get(), buffer, sizeof buffer, 0), 0);
    EXPECT_GT(::send(accepted.get(), answer.data(), answer.size(), MSG_NOSIGNAL), 0);
  });
  Client client(loop_, clock_);
  auto response = await(client.send("127.0.0.1", ntohs(address.sin_port), {.method = "GET", .target = "/"}));
  peer.join();
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace lambdad::http
