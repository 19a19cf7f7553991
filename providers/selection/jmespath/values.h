#pragma once

// What JMESPath says of JSON values: their types, which of them are false, which are equal, and
// numbers whatever way they are kept (providers/secret_json.h). Free functions without state.

#include <optional>
#include <string_view>

#include "providers/secret_json.h"

namespace secretfs::providers::jmespath {

enum class Type { kNull, kBoolean, kNumber, kString, kArray, kObject };

Type TypeOf(const SecretJson& value);
// "null", "boolean", …: as the function type() has it.
std::string_view TypeName(Type type);

// Null, false, and whatever is empty.
bool IsFalse(const SecretJson& value);

// By value: 1 equals 1.0, objects whatever the order of their members.
bool Equal(const SecretJson& a, const SecretJson& b);

// Less than zero, zero, or more. REQUIRES: both numbers or both strings.
int Compare(const SecretJson& a, const SecretJson& b);

// REQUIRES: a number.
double ToDouble(const SecretJson& value);
// A whole number without a fraction. Null for what JSON cannot write.
SecretJson FromDouble(double value);

// What a value costs to copy, in about the number of its parts.
size_t SizeOf(const SecretJson& value);

}  // namespace secretfs::providers::jmespath
