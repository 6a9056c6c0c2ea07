/// The wire protocols: requests to documents, answers to bytes. Pure; no state.
///
/// A document has the model's member names, base64 text for blobs and numbers of seconds for timestamps (codec.h).
#pragma once

#include <string>
#include <string_view>

#include "aws/codec.h"
#include "aws/error.h"
#include "aws/model.h"
#include "aws/router.h"
#include "base/json.h"
#include "http/message.h"

namespace lambdad::aws {

/// What a request carries, in the terms of the model: members the model does not have are dropped, as AWS does.
struct Input {
  json::Value document;
  std::string payload;  ///< rest-json: the body, when a blob member is the whole body
};

/// Decodes `request` as its route says; the body may be moved out of it. `base_url` is how the client reaches us: in
/// the query protocol the request's own URL can stand for a member (a queue's URL).
///
/// SerializationException when the body or a parameter is not what the protocol says or a member has the wrong type.
Outcome<Input> decode_request(const Route& route, http::Request& request, std::string_view base_url);

/// Brings a document of JSON into the terms of the model: renames members from their wire names, drops nulls and
/// unknown members, and checks types (not base64, which decoding checks).
enum class MemberNames : std::uint8_t { kModel, kWire };
Outcome<json::Value> normalize(json::Value&& value, const ShapeModel& shape, MemberNames names);

/// A successful answer. `request_id` is answered in the header, and in the query protocol in the body.
http::Response encode_answer(const Route& route, Answer&& answer, std::string_view request_id);
/// Errors by protocol. rest-json: x-amzn-ErrorType and {"Reason", "Type", "message"}; json: __type, and
/// x-amzn-query-error where the service says so; query: <ErrorResponse>. `service` may be null.
http::Response encode_error(Protocol protocol, const ServiceModel* service, const Error& error,
                            std::string_view request_id);

// --- one file each

Outcome<json::Value> decode_json_body(std::string_view body, const ShapeModel* shape);
/// Appends `value` as JSON with wire names. Members without a place in `shape` are left out.
void append_json(std::string& out, const json::Value& value, const ShapeModel& shape);
http::Response encode_json_answer(const Route& route, Answer&& answer);
http::Response encode_json_error(Protocol protocol, const ServiceModel* service, const Error& error);

Outcome<Input> decode_rest_json(const Route& route, http::Request& request);
http::Response encode_rest_json_answer(const Route& route, Answer&& answer);
http::Response encode_rest_json_error(const Error& error);

Outcome<json::Value> decode_query(const Route& route, const http::Request& request, std::string_view base_url);
http::Response encode_query_answer(const Route& route, Answer&& answer, std::string_view request_id);
http::Response encode_query_error(const ServiceModel* service, const Error& error, std::string_view request_id);

/// The document value of a scalar that a protocol carries as text (header, query string, label, form parameter).
/// `where` names it in the SerializationException.
Outcome<json::Value> scalar_from_text(std::string_view text, const ShapeModel& shape, TimestampFormat timestamps,
                                      std::string_view where);
/// The text of a scalar of a document, as text protocols carry it.
std::string scalar_to_text(const json::Value& value, const ShapeModel& shape, TimestampFormat timestamps);

}  // namespace lambdad::aws
