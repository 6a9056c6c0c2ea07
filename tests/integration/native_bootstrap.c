// A custom runtime without any library: asks the Runtime API for events and answers each with the event itself.
// With QUEUE_URL in its environment it first sends the event to that queue, through the endpoint it was given, and
// reports an error when the queue did not take it. With LOOK=path:path in its environment it answers with what it sees of
// itself and of these paths instead. As /opt/extensions/NAME it is an extension that only takes its events. Messages are small; everything fits one buffer.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kBuffer = 1 << 16 };

static char answer[kBuffer];
static char request[kBuffer];

static void fail(const char* what) {
  perror(what);
  exit(1);
}

// Sends request[0..length) to "host:port" and reads the whole response, ended by the connection's end, into answer.
// Returns the body; the head is in front of it, ended by a 0.
static char* exchange(const char* address, size_t length) {
  char host[64];
  const char* colon = strrchr(address, ':');
  if (colon == NULL || colon - address >= (long)sizeof host) fail("address");
  memcpy(host, address, (size_t)(colon - address));
  host[colon - address] = 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(colon + 1))};
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) fail("inet_pton");
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) != 0) fail("connect");
  for (size_t sent = 0; sent < length;) {
    ssize_t n = write(fd, request + sent, length - sent);
    if (n <= 0) fail("write");
    sent += (size_t)n;
  }
  size_t got = 0;
  for (;;) {
    ssize_t n = read(fd, answer + got, sizeof answer - 1 - got);
    if (n < 0) fail("read");
    if (n == 0) break;
    got += (size_t)n;
  }
  close(fd);
  answer[got] = 0;
  char* body = strstr(answer, "\r\n\r\n");
  if (body == NULL) fail("response");
  *body = 0;
  return body + 4;
}

static const char* header(const char* name, char* out, size_t size) {
  out[0] = 0;
  for (const char* line = strstr(answer, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
    size_t length = strlen(name);
    if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
      const char* value = line + 3 + length;
      while (*value == ' ') ++value;
      size_t n = strcspn(value, "\r");
      if (n >= size) n = size - 1;
      memcpy(out, value, n);
      out[n] = 0;
    }
  }
  return out;
}

static size_t encode(char* out, const char* text) {
  size_t n = 0;
  for (; *text != 0; ++text) n += (size_t)sprintf(out + n, "%%%02X", (unsigned char)*text);
  return n;
}

static int send_to_queue(const char* url, const char* endpoint, const char* message) {
  static char form[kBuffer / 2];
  size_t n = (size_t)sprintf(form, "Action=SendMessage&Version=2012-11-05&QueueUrl=");
  n += encode(form + n, url);
  n += (size_t)sprintf(form + n, "&MessageBody=");
  n += encode(form + n, message);
  const char* address = strncmp(endpoint, "http://", 7) == 0 ? endpoint + 7 : endpoint;
  int length = snprintf(request, sizeof request,
                        "POST / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                        "Content-Type: application/x-www-form-urlencoded\r\n"
                        "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, "
                        "SignedHeaders=host;x-amz-date, Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n"
                        "X-Amz-Date: 20260101T000000Z\r\nContent-Length: %zu\r\n\r\n%s",
                        address, n, form);
  exchange(address, (size_t)length);
  return strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

static char* quote(char* out, const char* text) {
  *out++ = '"';
  for (; *text != 0; ++text) {
    if (*text == '"' || *text == '\\') *out++ = '\\';
    *out++ = *text;
  }
  *out++ = '"';
  return out;
}

// {"arguments": [...], "directory": "...", "environment": ["NAME=VALUE", ...], "readable": {"path": true, ...}}
static const char* describe(char** argv, char** envp, const char* look) {
  static char text[kBuffer / 2];
  static char paths[4096];
  char directory[4096];
  char* out = text + sprintf(text, "{\"arguments\":[");
  for (; *argv != NULL; ++argv) out = quote(out, *argv), *out++ = argv[1] != NULL ? ',' : ' ';
  out += sprintf(out, "],\"directory\":");
  out = quote(out, getcwd(directory, sizeof directory) != NULL ? directory : "");
  out += sprintf(out, ",\"environment\":[");
  for (; *envp != NULL; ++envp) out = quote(out, *envp), *out++ = envp[1] != NULL ? ',' : ' ';
  out += sprintf(out, "],\"readable\":{");
  snprintf(paths, sizeof paths, "%s", look);
  const char* separator = "";
  for (char* path = strtok(paths, ":"); path != NULL; path = strtok(NULL, ":")) {
    out += sprintf(out, "%s", separator);
    out = quote(out, path);
    out += sprintf(out, ":%s", access(path, R_OK) == 0 ? "true" : "false");
    separator = ",";
  }
  sprintf(out, "}}");
  return text;
}

static void be_extension(const char* api, const char* name) {
  const char* events = "{\"events\":[\"INVOKE\"]}";
  char id[64];
  int length = snprintf(request, sizeof request,
                        "POST /2020-01-01/extension/register HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                        "Lambda-Extension-Name: %s\r\nContent-Length: %zu\r\n\r\n%s",
                        api, name, strlen(events), events);
  exchange(api, (size_t)length);
  header("Lambda-Extension-Identifier", id, sizeof id);
  for (;;) {
    length = snprintf(request, sizeof request,
                      "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                      "Lambda-Extension-Identifier: %s\r\n\r\n",
                      api, id);
    exchange(api, (size_t)length);
  }
}

int main(int argc, char** argv, char** envp) {
  (void)argc;
  const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
  const char* queue = getenv("QUEUE_URL");
  const char* endpoint = getenv("AWS_ENDPOINT_URL");
  const char* look = getenv("LOOK");
  if (api == NULL) fail("AWS_LAMBDA_RUNTIME_API");
  const char* extensions = "/opt/extensions/";
  if (strncmp(argv[0], extensions, strlen(extensions)) == 0) be_extension(api, argv[0] + strlen(extensions));
  for (;;) {
    int length = snprintf(request, sizeof request,
                          "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", api);
    static char event[kBuffer / 8];
    char id[64];
    snprintf(event, sizeof event, "%s", exchange(api, (size_t)length));
    header("Lambda-Runtime-Aws-Request-Id", id, sizeof id);
    int done = queue == NULL || send_to_queue(queue, endpoint != NULL ? endpoint : "", event);
    const char* body = look != NULL ? describe(argv, envp, look) : done ? event : "{\"errorType\":\"QueueError\",\"errorMessage\":\"the queue did not take it\"}";
    length = snprintf(request, sizeof request,
                      "POST /2018-06-01/runtime/invocation/%s/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                      "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                      id, done ? "response" : "error", api, strlen(body), body);
    exchange(api, (size_t)length);
  }
}
