#include "providers/aws/json_fields.h"

#include <cstdlib>

#include "base/text.h"

namespace secretfs::providers::aws {

absl::Status UnexpectedAnswer(std::string_view what) {
  return absl::UnavailableError(Format("the answer is not AWS's: {}", what));
}

absl::StatusOr<SecretJson> ParseAnswer(std::string_view body) {
  absl::StatusOr<SecretJson> document = ParseSecretJson(body);
  if (!document.ok()) return UnexpectedAnswer(MessageOf(document.status()));
  if (!document->is_object()) return UnexpectedAnswer("it is not a JSON object");
  return document;
}

const SecretJson::array_t& ArrayMember(const SecretJson& json, std::string_view name) {
  static const SecretJson::array_t& none = *new SecretJson::array_t();
  const SecretJson* member = Member(json, name);
  if (member == nullptr || !member->is_array()) return none;
  return *member->get_ptr<const SecretJson::array_t*>();
}

std::optional<WallTime> TimeMember(const SecretJson& json, std::string_view name) {
  const SecretJson* member = Member(json, name);
  // Numbers with a fraction keep their text (providers/secret_json.h).
  if (member == nullptr || !(member->is_number() || member->is_binary())) return std::nullopt;
  const SecretBytes text = DumpSecretJson(*member);
  const double seconds = std::strtod(std::string(text.ExposeAsText()).c_str(), nullptr);
  // What nanoseconds since 1970 can hold, with room to add to it.
  constexpr double kLatest = 8e9;
  if (!(seconds > 0 && seconds < kLatest)) return std::nullopt;
  return WallTime(Duration(static_cast<int64_t>(seconds * 1e3) * 1'000'000));
}

}  // namespace secretfs::providers::aws
