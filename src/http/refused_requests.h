/// Requests that must be refused, for the tests of the parser and of the server.
#pragma once

#include <string>
#include <vector>

#include "http/refusal.h"

namespace lambdad::http {

struct RefusedRequest {
  const char* name;
  std::string bytes;
  Refusal why;
};

/// With limits of 1024 bytes of head, 256 of target and 64 of body.
inline std::vector<RefusedRequest> refused_requests() {
  using enum Refusal;
  using namespace std::string_literals;
  const std::string host = "Host: h\r\n";
  const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string chunk_body = "2\r\nab\r\n0\r\n\r\n";
  return {
      // Where the body ends.
      {"unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n" + chunk_body, kTransferEncoding},
      {"coding after chunked", post + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunk_body, kTransferEncoding},
      {"coding before chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk_body, kTransferEncoding},
      {"identity", post + "Transfer-Encoding: identity\r\n\r\n", kTransferEncoding},
      {"empty coding", post + "Transfer-Encoding:\r\n\r\n" + chunk_body, kTransferEncoding},
      {"chunked twice in a list", post + "Transfer-Encoding: chunked, chunked\r\n\r\n" + chunk_body, kTransferEncoding},
      {"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk_body,
       kTransferEncoding},
      {"chunked in capitals", post + "Transfer-Encoding: Chunked\r\n\r\n" + chunk_body, kTransferEncoding},
      {"chunked with a parameter", post + "Transfer-Encoding: chunked;a=b\r\n\r\n" + chunk_body, kTransferEncoding},
      {"vertical tab before chunked", post + "Transfer-Encoding: \vchunked\r\n\r\n" + chunk_body, kControlByte},
      {"chunked on 1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk_body,
       kTransferEncodingOn10},
      {"folded coding", post + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunk_body, kFoldedHeader},
      {"folded with a tab", post + "X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n", kFoldedHeader},
      {"length and coding", post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk_body,
       kTransferEncodingAndLength},
      {"coding and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + chunk_body,
       kTransferEncodingAndLength},
      {"length and unknown coding", post + "Content-Length: 2\r\nTransfer-Encoding: xchunked\r\n\r\nab",
       kTransferEncodingAndLength},
      {"length list", post + "Content-Length: 2, 2\r\n\r\nab", kContentLength},
      {"equal lengths", post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", kRepeatedContentLength},
      {"different lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nab", kRepeatedContentLength},
      {"length with plus", post + "Content-Length: +2\r\n\r\nab", kContentLength},
      {"negative length", post + "Content-Length: -1\r\n\r\n", kContentLength},
      {"hexadecimal length", post + "Content-Length: 0x2\r\n\r\nab", kContentLength},
      {"length with leading zero", post + "Content-Length: 02\r\n\r\nab", kContentLength},
      {"length with a blank inside", post + "Content-Length: 2 2\r\n\r\nab", kContentLength},
      {"empty length", post + "Content-Length:\r\n\r\nab", kContentLength},
      {"length of 20 digits", post + "Content-Length: 18446744073709551618\r\n\r\nab", kContentLength},
      {"length of 19 digits", post + "Content-Length: 1000000000000000002\r\n\r\nab", kContentLength},
      // Chunks.
      {"no chunk size", chunked + "\r\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size with sign", chunked + "+2\r\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size with prefix", chunked + "0x2\r\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size with blank before", chunked + " 2\r\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size with blank behind", chunked + "2 \r\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size ends in LF", chunked + "2\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size ends in CR CR LF", chunked + "2\r\r\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size of 17 digits", chunked + "00000000000000002\r\nab\r\n0\r\n\r\n", kChunk},
      {"chunk size overflows", chunked + "10000000000000002\r\nab\r\n0\r\n\r\n", kChunk},
      {"largest chunk size", chunked + "ffffffffffffffff\r\nab", kBodyTooLarge},
      {"chunk data longer than said", chunked + "2\r\nabc\r\n0\r\n\r\n", kChunk},
      {"chunk data ends in LF", chunked + "2\r\nab\n0\r\n\r\n", kChunk},
      {"chunk data ends in CR", chunked + "2\r\nab\rx0\r\n\r\n", kChunk},
      {"bare semicolon", chunked + "2;\r\nab\r\n0\r\n\r\n", kChunk},
      {"LF in a chunk extension", chunked + "2;a\nb\r\nab\r\n0\r\n\r\n", kChunk},
      {"CR in a chunk extension", chunked + "2;a\rb\r\nab\r\n0\r\n\r\n", kChunk},
      {"NUL in a chunk extension", chunked + "2;a=\"\0\"\r\nab\r\n0\r\n\r\n"s, kChunk},
      {"open quote in a chunk extension", chunked + "2;a=\"b\r\nab\r\n0\r\n\r\n", kChunk},
      {"empty value in a chunk extension", chunked + "2;a=\r\nab\r\n0\r\n\r\n", kChunk},
      {"long chunk extension", chunked + "2;" + std::string(300, 'a') + "\r\nab\r\n0\r\n\r\n", kChunk},
      {"trailer without colon", chunked + "0\r\nabc\r\n\r\n", kTrailer},
      {"trailer ends in LF", chunked + "0\r\nA: b\n\r\n", kTrailer},
      {"chunks end in LF", chunked + "0\r\n\n", kTrailer},
      {"folded trailer", chunked + "0\r\nA: b\r\n c\r\n\r\n", kTrailer},
      {"space before a trailer's colon", chunked + "0\r\nA : b\r\n\r\n", kTrailer},
      {"control byte in a trailer", chunked + "0\r\nA: \x01\r\n\r\n", kTrailer},
      {"length as trailer", chunked + "0\r\nContent-Length: 5\r\n\r\n", kTrailer},
      {"coding as trailer", chunked + "0\r\ntransfer-encoding: chunked\r\n\r\n", kTrailer},
      {"host as trailer", chunked + "0\r\nHost: other\r\n\r\n", kTrailer},
      {"authorization as trailer", chunked + "0\r\nAuthorization: x\r\n\r\n", kTrailer},
      // Whom it is for.
      {"no host", "GET / HTTP/1.1\r\n\r\n", kNoHost},
      {"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", kNoHost},
      {"two hosts", get + "Host: h\r\n\r\n", kRepeatedHost},
      {"two hosts on 1.0", "GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n", kRepeatedHost},
      {"host with a list", "GET / HTTP/1.1\r\nHost: h, i\r\n\r\n", kHost},
      {"host with a path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", kHost},
      {"host with a user", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", kHost},
      {"host with a bad port", "GET / HTTP/1.1\r\nHost: h:8a\r\n\r\n", kHost},
      {"host with open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", kHost},
      {"host with text behind the bracket", "GET / HTTP/1.1\r\nHost: [::1]x:1\r\n\r\n", kHost},
      {"absolute target for another host", "GET http://other/ HTTP/1.1\r\n" + host + "\r\n", kTargetHost},
      {"absolute target with a user", "GET http://u@h/ HTTP/1.1\r\n" + host + "\r\n", kTargetHost},
      {"absolute target with another port", "GET http://h:81/ HTTP/1.1\r\n" + host + "\r\n", kTargetHost},
      {"absolute target of another scheme", "GET https://h/ HTTP/1.1\r\n" + host + "\r\n", kTarget},
      {"absolute target on 1.0 without host", "GET http://h/ HTTP/1.0\r\n\r\n", kTargetHost},
      {"authority target", "GET h:80 HTTP/1.1\r\n" + host + "\r\n", kTarget},
      {"asterisk without OPTIONS", "GET * HTTP/1.1\r\n" + host + "\r\n", kTarget},
      {"non-ASCII target", "GET /\xc3\xa4 HTTP/1.1\r\n" + host + "\r\n", kTarget},
      {"fragment in the target", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", kTarget},
      {"CONNECT", "CONNECT h:80 HTTP/1.1\r\n" + host + "\r\n", kConnect},
      // What it says.
      {"HTTP/1.2", "GET / HTTP/1.2\r\n" + host + "\r\n", kVersion},
      {"HTTP/2.0", "GET / HTTP/2.0\r\n" + host + "\r\n", kVersion},
      {"HTTP/0.9", "GET /\r\n\r\n", kTarget},
      {"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", kVersion},
      {"lower-case version", "GET / http/1.1\r\n" + host + "\r\n", kVersion},
      {"TLS greeting", "\x16\x03\x01\x02\x01\x01", kMalformed},
      {"empty first line", "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", kMalformed},
      {"two blanks in the first line", "GET  / HTTP/1.1\r\n" + host + "\r\n", kTarget},
      {"blank at the end of the first line", "GET / HTTP/1.1 \r\n" + host + "\r\n", kVersion},
      {"first line ends in LF", "GET / HTTP/1.1\n" + host + "\r\n", kLineEnd},
      {"header ends in LF", "GET / HTTP/1.1\r\nHost: h\n\r\n", kLineEnd},
      {"head ends in LF", get + "\n", kLineEnd},
      {"bare CR", get + "X: a\rY: b\r\n\r\n", kControlByte},
      {"NUL in a value", get + "X: a\0b\r\n\r\n"s, kControlByte},
      {"DEL in a value", get + "X: a\x7f\r\n\r\n", kControlByte},
      {"escape in the target", "GET /\x1b HTTP/1.1\r\n" + host + "\r\n", kControlByte},
      {"space before a colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", kMalformed},
      {"no colon", get + "Xyz\r\n\r\n", kMalformed},
      {"empty name", get + ": x\r\n\r\n", kMalformed},
      {"parenthesis in a name", get + "X(: y\r\n\r\n", kMalformed},
      {"blank before the first header", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", kFoldedHeader},
      {"unknown expectation", post + "Expect: 200-ok\r\nContent-Length: 1\r\n\r\na", kExpectation},
      // How much.
      {"target of 257 bytes", "GET /" + std::string(256, 'a') + " HTTP/1.1\r\n" + host + "\r\n", kTargetTooLong},
      {"target without end", "GET /" + std::string(2000, 'a'), kTargetTooLong},
      {"head of more than 1024 bytes", get + "X: " + std::string(1000, 'a') + "\r\n\r\n", kHeadTooLarge},
      {"head without end", get + "X: " + std::string(2000, 'a'), kHeadTooLarge},
      {"trailers of more than 1024 bytes", chunked + "0\r\nX: " + std::string(1100, 'a') + "\r\n\r\n", kHeadTooLarge},
      {"length of 65 bytes", post + "Content-Length: 65\r\n\r\n", kBodyTooLarge},
      {"chunk of 65 bytes", chunked + "41\r\n", kBodyTooLarge},
      {"chunks of 65 bytes", chunked + "40\r\n" + std::string(64, 'a') + "\r\n1\r\n", kBodyTooLarge},
  };
}

}  // namespace lambdad::http
