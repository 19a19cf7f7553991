#include "cli/store/value_json.h"

#include <optional>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "cli/store/store_options.h"
#include "cli/text_table.h"
#include "providers/secret_json.h"
#include "providers/selection/codec.h"

namespace secretfs::cli {
namespace {

using providers::SecretJson;

SecretString ToSecretString(std::string_view text) { return {text.begin(), text.end()}; }

SecretString Base64Of(const SecretBytes& value) {
  return ToSecretString(providers::EncodeBase64(value.bytes()).ExposeAsText());
}

SecretBytes WithNewline(const SecretBytes& json) {
  SecretBuilder line(json.size() + 1);
  // The limit is exactly what is appended.
  line.Append(json.bytes()).IgnoreError();
  line.Append("\n").IgnoreError();
  return line.Finish();
}

// How many bytes the character takes that begins with `byte`, and the least second byte and the
// greatest that it allows; nothing for bytes that begin none (RFC 3629, section 4).
struct Lead {
  size_t size = 0;
  unsigned char least = 0x80;
  unsigned char most = 0xbf;
};
std::optional<Lead> LeadOf(unsigned char byte) {
  if (byte < 0x80) return Lead{1};
  if (byte >= 0xc2 && byte <= 0xdf) return Lead{2};
  if (byte == 0xe0) return Lead{3, 0xa0, 0xbf};
  if (byte == 0xed) return Lead{3, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return Lead{3};
  if (byte == 0xf0) return Lead{4, 0x90, 0xbf};
  if (byte == 0xf4) return Lead{4, 0x80, 0x8f};
  if (byte >= 0xf1 && byte <= 0xf3) return Lead{4};
  return std::nullopt;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const std::optional<Lead> lead = LeadOf(static_cast<unsigned char>(text[i]));
    if (!lead.has_value() || text.size() - i < lead->size) return false;
    for (size_t j = 1; j < lead->size; ++j) {
      const auto byte = static_cast<unsigned char>(text[i + j]);
      if (byte < (j == 1 ? lead->least : 0x80) || byte > (j == 1 ? lead->most : 0xbf)) return false;
    }
    i += lead->size;
  }
  return true;
}

SecretBytes VersionToJson(const std::string& name, const providers::local::VersionEntry& version,
                          const SecretBytes& value) {
  SecretJson json = SecretJson::object();
  json["name"] = ToSecretString(name);
  json["version"] = version.number;
  json["created"] = ToSecretString(TimeText(version.created()));
  if (IsUtf8(value.ExposeAsText())) {
    json["value"] = ToSecretString(value.ExposeAsText());
  } else {
    json["valueBase64"] = Base64Of(value);
  }
  return WithNewline(providers::DumpSecretJson(json));
}

absl::StatusOr<SecretBytes> ValuesToJson(const std::vector<NamedValue>& values) {
  SecretJson json = SecretJson::object();
  for (const NamedValue& one : values) {
    if (!IsUtf8(one.name)) {
      return absl::InvalidArgumentError(
          Format("the name {} is not UTF-8, which JSON cannot hold: export to a folder",
                 Printable(one.name)));
    }
    SecretJson& member = json[ToSecretString(one.name)];
    if (IsUtf8(one.value.ExposeAsText())) {
      member = ToSecretString(one.value.ExposeAsText());
    } else {
      member = SecretJson::object();
      member["base64"] = Base64Of(one.value);
    }
  }
  return WithNewline(providers::DumpSecretJson(json));
}

absl::StatusOr<std::vector<NamedValue>> ValuesFromJson(std::string_view text) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, providers::ParseSecretJson(text));
  if (!json.is_object()) return absl::InvalidArgumentError("the JSON must be an object of strings");
  std::vector<NamedValue> values;
  for (auto it = json.begin(); it != json.end(); ++it) {
    NamedValue one{.name = std::string(it.key().begin(), it.key().end()), .value = {}};
    const auto refuse = [&one](std::string_view why) {
      return absl::InvalidArgumentError(Format("member {}: {}", Printable(one.name), why));
    };
    if (const auto* plain = it->get_ptr<const SecretString*>()) {
      one.value = SecretBytes::CopyOf(std::string_view(*plain));
    } else {
      const auto encoded = it->is_object() && it->size() == 1 ? it->find("base64") : it->end();
      if (!it->is_object() || encoded == it->end() || !encoded->is_string()) {
        return refuse("must be a string or {\"base64\": \"…\"}");
      }
      const auto& base64 = *encoded->get_ptr<const SecretString*>();
      std::optional<SecretBytes> decoded =
          providers::DecodeBase64(std::string_view(base64), providers::Base64Form::kStandard);
      if (!decoded.has_value()) return refuse("is not valid base64");
      one.value = *std::move(decoded);
    }
    values.push_back(std::move(one));
  }
  return values;
}

}  // namespace secretfs::cli
