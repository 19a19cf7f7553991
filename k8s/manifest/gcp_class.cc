#include "k8s/manifest/gcp_class.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/embedded_yaml.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/scalars.h"
#include "k8s/manifest/value_selection.h"
#include "providers/gcp/gcp_config.h"

namespace secretfs::k8s {
namespace {

constexpr std::string_view kExpected =
    "expected projects/PROJECT/secrets/NAME/versions/VERSION, or "
    "projects/PROJECT/locations/LOCATION/secrets/NAME/versions/VERSION";

// "projects/P/secrets/S/versions/V" as key and version. Which characters may stand in its parts the
// provider knows.
providers::SecretRef ReadResourceName(const Value& value) {
  providers::SecretRef ref;
  const std::string name = value.AsNonEmptyString().value_or("");
  if (name.empty()) return ref;
  constexpr std::string_view kVersions = "/versions/";
  const size_t versions = name.rfind(kVersions);
  if (name.find("/parameters/") != std::string::npos) {
    value.Problem(
        "names a parameter of Parameter Manager, which is not built into this version; "
        "expected a secret");
  } else if (!name.starts_with("projects/") || name.find("/secrets/") == std::string::npos ||
             versions == std::string::npos || versions + kVersions.size() == name.size()) {
    value.Problem(Format("{} is no resource name; {}", Quote(name), kExpected));
  } else {
    ref.key = name.substr(0, versions);
    ref.version = name.substr(versions + kVersions.size());
  }
  return ref;
}

// `path`, or the older `fileName`.
void ReadFileName(const Fields& fields, Unresolved<ManifestFile>& file) {
  auto name = fields.Find("path");
  if (!name) name = fields.Find("fileName");
  if (!name) {
    fields.value().Problem("lacks path (or fileName): where its file is to be");
    return;
  }
  file.where = name->location();
  file.value.path = name->AsNonEmptyString().value_or("");
  if (file.value.path.empty()) return;
  if (const auto problem = PathProblem(file.value.path)) {
    name->Problem(Format("{} {}", Quote(file.value.path), *problem));
    file.value.path.clear();
  }
}

void ReadSecret(const Value& block, const std::string& store, Draft& draft) {
  const Fields fields(
      block, {"resourceName", "path", "fileName", "mode", "extractJSONKey", "extractYAMLKey"});
  if (!fields.valid()) return;
  Unresolved<ManifestFile> file;
  file.where = block.location();
  if (const auto name = fields.Require("resourceName")) file.value.ref = ReadResourceName(*name);
  ReadFileName(fields, file);
  file.store = {store, StoreKind::kSecretProviderClass, file.where};
  if (const auto mode = fields.Find("mode")) file.value.mode = mode->AsMode(true);
  ReadExtractKey(fields, file.value.selection);
  draft.files.push_back(std::move(file));
}

}  // namespace

void ReadGcpClass(const Value& parameters, const ObjectHeader& header, const Location& where,
                  Draft& draft) {
  const Fields fields(parameters, {"secrets", "auth"});
  if (!fields.valid()) return;
  // Both mean the same to a mount: the pod's credentials are its own.
  if (const auto auth = fields.Find("auth")) (void)auth->AsOneOf({"pod-adc", "provider-adc"});
  StoreDraft store;
  store.kind = StoreKind::kSecretProviderClass;
  store.name = header.name;
  store.where = where;
  // Resource names hold the project, and credentials are found as Google's own tools find them.
  store.config = providers::StoreConfig{header.name, providers::GcpStoreConfig{}};
  draft.AddStore(std::move(store));
  if (const auto secrets = fields.Require("secrets")) {
    ReadEmbeddedList(*secrets, [&](const Value& item) { ReadSecret(item, header.name, draft); });
  }
}

}  // namespace secretfs::k8s
