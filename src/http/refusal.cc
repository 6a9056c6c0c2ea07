#include "http/refusal.h"

namespace lambdad::http {

int status_of(Refusal why) {
  switch (why) {
    case Refusal::kConnect: return 501;
    case Refusal::kExpectation: return 417;
    case Refusal::kTargetTooLong: return 414;
    case Refusal::kHeadTooLarge: return 431;
    case Refusal::kBodyTooLarge: return 413;
    case Refusal::kSlowHead:
    case Refusal::kSlowBody: return 408;
    case Refusal::kMalformed:
    case Refusal::kVersion:
    case Refusal::kLineEnd:
    case Refusal::kControlByte:
    case Refusal::kFoldedHeader:
    case Refusal::kTarget:
    case Refusal::kTargetHost:
    case Refusal::kNoHost:
    case Refusal::kRepeatedHost:
    case Refusal::kHost:
    case Refusal::kTransferEncoding:
    case Refusal::kTransferEncodingOn10:
    case Refusal::kTransferEncodingAndLength:
    case Refusal::kContentLength:
    case Refusal::kRepeatedContentLength:
    case Refusal::kChunk:
    case Refusal::kTrailer: return 400;
  }
  return 400;
}

std::string_view describe(Refusal why) {
  switch (why) {
    case Refusal::kMalformed: return "This is not an HTTP/1.1 message.";
    case Refusal::kVersion: return "Only HTTP/1.0 and HTTP/1.1 are served here.";
    case Refusal::kLineEnd: return "Lines must end in CR LF.";
    case Refusal::kControlByte: return "Control bytes are not allowed in headers.";
    case Refusal::kFoldedHeader: return "Folded header lines are not allowed.";
    case Refusal::kTarget: return "The request target is not valid.";
    case Refusal::kTargetHost: return "The request target names another host than the Host field.";
    case Refusal::kConnect: return "CONNECT is not served here.";
    case Refusal::kNoHost: return "A Host field is required.";
    case Refusal::kRepeatedHost: return "The Host field is repeated.";
    case Refusal::kHost: return "The Host field is not valid.";
    case Refusal::kTransferEncoding: return "The only Transfer-Encoding served is one of exactly \"chunked\".";
    case Refusal::kTransferEncodingOn10: return "HTTP/1.0 has no Transfer-Encoding.";
    case Refusal::kTransferEncodingAndLength: return "Transfer-Encoding and Content-Length exclude each other.";
    case Refusal::kContentLength: return "Content-Length must be one decimal number.";
    case Refusal::kRepeatedContentLength: return "The Content-Length field is repeated.";
    case Refusal::kChunk: return "The chunked body is not valid.";
    case Refusal::kTrailer: return "A trailer field is not valid.";
    case Refusal::kExpectation: return "The only expectation served is \"100-continue\".";
    case Refusal::kTargetTooLong: return "The request target is too long.";
    case Refusal::kHeadTooLarge: return "The header fields are too large.";
    case Refusal::kBodyTooLarge: return "The body is too large.";
    case Refusal::kSlowHead: return "The header fields did not arrive in time.";
    case Refusal::kSlowBody: return "The body did not arrive in time.";
  }
  return "The message is refused.";
}

}  // namespace lambdad::http
