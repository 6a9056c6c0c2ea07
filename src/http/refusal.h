/// Why a message was refused. Every value has a status and a sentence; each is reached by a test.
#pragma once

#include <string_view>

namespace lambdad::http {

enum class Refusal {
  kMalformed,                  ///< not HTTP: no method, no colon, a byte that a name cannot have, ...
  kVersion,                    ///< neither HTTP/1.0 nor HTTP/1.1, the preface of HTTP/2 among them
  kLineEnd,                    ///< a line of the head ends in LF without CR
  kControlByte,                ///< a control byte in the head: NUL, bare CR, DEL, ...
  kFoldedHeader,               ///< a header line begins with a space or tab
  kTarget,                     ///< a byte of the target is not printable ASCII, there is a '#', or the form is unknown
  kTargetHost,                 ///< absolute-form for a host other than the Host field's
  kConnect,                    ///< CONNECT: lambdad is not a proxy (501)
  kNoHost,                     ///< HTTP/1.1 without Host, or with an empty one
  kRepeatedHost,               ///< more than one Host
  kHost,                       ///< a Host that is not host[:port]
  kTransferEncoding,           ///< anything but one Transfer-Encoding of exactly `chunked`
  kTransferEncodingOn10,       ///< Transfer-Encoding on HTTP/1.0
  kTransferEncodingAndLength,  ///< both Transfer-Encoding and Content-Length
  kContentLength,              ///< not one plain decimal number: signs, lists, leading zeros, overflow
  kRepeatedContentLength,      ///< more than one Content-Length, even when equal
  kChunk,                      ///< a chunk's size, extension or line ends
  kTrailer,                    ///< a trailer line, or a trailer that would frame or route (Content-Length, Host, ...)
  kExpectation,                ///< an Expect other than 100-continue (417)
  kTargetTooLong,              ///< 414
  kHeadTooLarge,               ///< head or trailers: 431
  kBodyTooLarge,               ///< 413
  kSlowHead,                   ///< the head took too long: 408
  kSlowBody,                   ///< the body stood still too long: 408
};

/// The HTTP status that answers it.
int status_of(Refusal why);
/// One plain sentence for the body of the answer and for logs; contains nothing of what the peer sent.
std::string_view describe(Refusal why);

}  // namespace lambdad::http
