// A function without a handler to speak of: a custom runtime that answers every event with the event itself. Two
// requests per invocation on one kept connection, one write each, as AWS's Runtime API demands; static, so that its
// cold start is the platform's. With PARK in the environment it takes one event and never answers it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kBuffer = 8 << 20, kHeadRoom = 512 };

static char input[kBuffer];
static char output[kBuffer];

static void die(const char* what) {
  perror(what);
  exit(1);
}

static void send_all(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) die("send");
    bytes += sent;
    size -= (size_t)sent;
  }
}

// Reads one response into `input`; returns its body, `*size` its length. The head before it is ended by a 0.
static char* receive(int fd, size_t* size) {
  size_t got = 0;
  char* body = NULL;
  for (;;) {
    ssize_t count = recv(fd, input + got, sizeof input - 1 - got, 0);
    if (count <= 0) exit(0);  // the platform is gone
    got += (size_t)count;
    input[got] = 0;
    if (body == NULL && (body = strstr(input, "\r\n\r\n")) != NULL) {
      *body = 0;
      body += 4;
      const char* length = strcasestr(input, "\ncontent-length:");
      *size = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
    }
    if (body != NULL && got >= (size_t)(body - input) + *size) return body;
  }
}

int main(void) {
  const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
  const char* colon = api == NULL ? NULL : strrchr(api, ':');
  char host[64];
  if (colon == NULL || (size_t)(colon - api) >= sizeof host) die("AWS_LAMBDA_RUNTIME_API");
  snprintf(host, sizeof host, "%.*s", (int)(colon - api), api);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(colon + 1))};
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) die("inet_pton");
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) != 0) die("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  char next[256];
  const int next_size =
      snprintf(next, sizeof next, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n", api);
  for (;;) {
    size_t size = 0;
    send_all(fd, next, (size_t)next_size);
    const char* body = receive(fd, &size);
    if (getenv("PARK") != NULL) pause();
    const char* id = strcasestr(input, "\nlambda-runtime-aws-request-id:");
    if (id == NULL || size > sizeof output - kHeadRoom) die("event");
    id += 31;
    id += strspn(id, " ");
    const int head = snprintf(output, kHeadRoom,
                              "POST /2018-06-01/runtime/invocation/%.36s/response HTTP/1.1\r\nHost: %s\r\n"
                              "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                              id, api, size);
    memcpy(output + head, body, size);
    send_all(fd, output, (size_t)head + size);
    receive(fd, &size);
    if (strstr(input, " 202 ") == NULL) die(input);
  }
}
