/// Text encodings of bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lambdad {

std::string base64_encode(std::string_view bytes);
/// Standard alphabet; padding required unless `text` needs none; white space and any other byte is refused. Bits that
/// the last character leaves unused are ignored, as the AWS SDKs do.
std::optional<std::string> base64_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);  // lower case
std::optional<std::string> hex_decode(std::string_view text);

/// RFC 3986: all but A-Z a-z 0-9 - . _ ~ becomes %XX; with `keep_slash` also / is kept (S3 keys, SigV4 paths).
std::string percent_encode(std::string_view bytes, bool keep_slash = false);
/// nullopt for a % without two hex digits. `plus_is_space` for application/x-www-form-urlencoded.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

bool is_valid_utf8(std::string_view bytes);
/// Whether every character may stand in an XML 1.0 document: what SQS allows in a message body.
/// Source: SQS API reference, SendMessage, "MessageBody".
bool is_xml_char_data(std::string_view utf8);
/// & < > " ' tab, newline and carriage return escaped for element content and attribute values. What XML 1.0 cannot
/// hold, and bytes that are no UTF-8, become U+FFFD: the document stays well-formed.
std::string xml_escape(std::string_view utf8);

bool equals_ignoring_case(std::string_view a, std::string_view b);  // ASCII
std::string to_lower(std::string_view text);                        // ASCII
/// Control characters (C0, DEL, C1) and bytes that are no UTF-8 as \xNN, so that text from outside cannot forge log
/// lines or terminal escapes.
std::string escape_control(std::string_view text);

}  // namespace lambdad
