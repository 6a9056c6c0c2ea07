// The floor of accepting an event durably: POST -> record in a log -> one fdatasync per epoll round -> 202.
//
//   accept LOG

#include "http.h"

int main(int argc, char** argv) {
  using namespace floor_bench;
  if (argc != 2) {
    std::fputs("usage: accept LOG\n", stderr);
    return 2;
  }
  Log log(argv[1]);
  std::vector<Connection*> waiting;
  Server server;
  server.run(
      [&](Connection& from, Message message) {
        log.append(message.body);
        waiting.push_back(&from);
      },
      [&](Connection& gone) { std::erase(waiting, &gone); },
      [&] {
        if (waiting.empty()) return;
        log.commit();
        for (const Connection* connection : waiting) {
          send_all(connection->fd,
                   "HTTP/1.1 202 Accepted\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                   "x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\nContent-Length: 0\r\n\r\n");
        }
        waiting.clear();
      });
}
