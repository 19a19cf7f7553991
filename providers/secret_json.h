#pragma once

// JSON whose every string, key and container lives in locked, wiped memory: what providers parse
// store responses with. Parsing never throws and never quotes input in an error.
//
// Numbers keep their text: what neither int64_t nor uint64_t holds exactly as it is written (1.50,
// 1e5, integers of more than 64 bits) is not made a double but kept as it was read, in a binary
// value that DumpSecretJson writes back verbatim. So never call dump() on a whole value.

#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::providers {

using SecretJson = nlohmann::basic_json<std::map, std::vector, SecretString, bool, int64_t,
                                        uint64_t, double, SecretAllocator, nlohmann::adl_serializer,
                                        std::vector<uint8_t, SecretAllocator<uint8_t>>>;

// InvalidArgument with the byte offset of the first problem, without content.
absl::StatusOr<SecretJson> ParseSecretJson(std::string_view text);

// Serialised JSON, compact; key order as parsed objects keep it (sorted by name).
SecretBytes DumpSecretJson(const SecretJson& json);

// What a file of this JSON value holds: a string as it is, anything else as compact JSON.
SecretBytes SecretJsonToBytes(const SecretJson& json);

// Reading members: what is not there, or of another type, reads as nothing, never as an exception.
// The results live as long as `json`, which may be of any type. Null when there is none.
const SecretJson* Member(const SecretJson& json, std::string_view name);
// Null unless it is an object.
const SecretJson* ObjectMember(const SecretJson& json, std::string_view name);
// "" unless it is a string.
std::string_view TextMember(const SecretJson& json, std::string_view name);

}  // namespace secretfs::providers
