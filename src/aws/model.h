/// The published API model as tables. Generated code fills them; the protocols and the constraint checks read them.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

namespace lambdad::aws {

enum class Protocol : std::uint8_t { kJson10, kJson11, kRestJson, kQuery };

/// How a service answers a request that breaks the constraints of its model.
enum class ConstraintStyle : std::uint8_t {
  kFrontEnd,          ///< ValidationException: "1 validation error detected: Value 'V' at 'f' failed to satisfy ..."
  kMissingParameter,  ///< SQS: only required members are checked, with MissingParameter; the rest is the service's own
};

enum class Kind : std::uint8_t {
  kStructure,
  kList,
  kMap,
  kString,
  kInteger,
  kLong,
  kDouble,
  kBoolean,
  kTimestamp,
  kBlob
};

/// Where a member travels in rest-json.
enum class Location : std::uint8_t { kBody, kUri, kQueryString, kHeader, kHeaders, kStatusCode };

enum class TimestampFormat : std::uint8_t { kUnix, kIso8601, kRfc822 };

struct ShapeModel;

struct MemberModel {
  std::string_view name;  ///< in the model, as documents of json.h carry it: "FunctionName"
  const ShapeModel* shape = nullptr;
  std::string_view wire_name;   ///< locationName, or `name`
  std::string_view query_name;  ///< name in the query protocol
  Location location = Location::kBody;
  bool required = false;
  bool flattened = false;  ///< list or map in the query protocol
  bool idempotency_token = false;
};

/// One shape with its constraints. Unset bounds are absent.
struct ShapeModel {
  std::string_view name;
  Kind kind = Kind::kStructure;
  std::span<const MemberModel> members;  ///< structure
  const ShapeModel* element = nullptr;   ///< list element, map value
  const ShapeModel* key = nullptr;       ///< map key
  std::string_view element_wire_name;    ///< list element name in the query protocol ("member" when empty)
  std::string_view key_wire_name;
  std::string_view value_wire_name;
  bool flattened = false;
  std::string_view payload_member;                     ///< structure: the member that is the whole body
  std::optional<std::int64_t> length_min, length_max;  ///< strings (characters), blobs (bytes), lists, maps
  std::optional<double> value_min, value_max;          ///< numbers
  std::string_view pattern;  ///< RE2-compatible, anchored; the model's text is in pattern_text
  std::string_view pattern_text;
  std::span<const std::string_view> enum_values;
  TimestampFormat timestamp_format = TimestampFormat::kUnix;
};

/// One kind of event in an output stream: its name and its shape.
struct EventModel {
  std::string_view name;  ///< ":event-type"
  const ShapeModel* shape = nullptr;
  bool exception = false;  ///< ":exception-type" instead; it ends the stream
};

struct OperationModel {
  std::string_view name;
  std::string_view http_method = "POST";
  std::string_view uri = "/";  ///< "/2015-03-31/functions/{FunctionName}/code"
  int success_status = 200;
  const ShapeModel* input = nullptr;  ///< null: no members
  const ShapeModel* output = nullptr;
  std::span<const EventModel> events;  ///< of the output's event stream; empty: the output is none
  std::string_view result_wrapper;     ///< query protocol: "SendMessageResult"
  /// Members that are published and not served, as paths: "Code.S3Bucket". A request that carries one is refused by
  /// name; null, false, "", [] and {} (and objects of only such values) carry nothing.
  std::span<const std::string_view> refused_members;
  bool served = false;  ///< false: no shapes are generated, requests are refused by name
};

struct ServiceModel {
  std::string_view name;           ///< "sqs"
  std::string_view signing_name;   ///< in the credential scope
  std::string_view target_prefix;  ///< "AmazonSQS"; empty when not a json service
  std::string_view api_version;    ///< "2012-11-05": the query protocol's Version
  std::string_view xml_namespace;
  std::string_view json_error_namespace;  ///< "com.amazonaws.sqs" before '#' in __type; empty: the bare name. When set,
                                          ///< errors carry x-amzn-query-error (the awsQueryCompatible trait)
  std::string_view query_url_member;      ///< query protocol: the member that the request's own URL stands for
  ConstraintStyle constraint_style = ConstraintStyle::kFrontEnd;
  std::span<const Protocol> protocols;  ///< all that lambdad serves; the model's own first
  std::span<const OperationModel* const> operations;

  /// Null when the published model has no such operation.
  const OperationModel* find(std::string_view operation) const;
  bool speaks(Protocol protocol) const;
};

}  // namespace lambdad::aws
