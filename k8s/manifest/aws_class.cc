#include "k8s/manifest/aws_class.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "k8s/manifest/embedded_yaml.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/scalars.h"
#include "k8s/manifest/store_reader.h"
#include "k8s/manifest/value_selection.h"

namespace secretfs::k8s {
namespace {

using providers::AwsObjectName;
using providers::AwsService;

// What all objects of a class share.
struct ClassSettings {
  std::string name;
  std::string path_translation;  // empty: '/' stays
  providers::AwsStoreConfig store;
  bool uses_secrets = false, uses_parameters = false;
  Location where;
};

// Both services may be used by one class; each is a store.
constexpr std::string_view kParametersSuffix = "/parameters";

std::string StoreName(const ClassSettings& settings, AwsService service) {
  return service == AwsService::kSecretsManager ? settings.name
                                                : Format("{}{}", settings.name, kParametersSuffix);
}

std::optional<AwsService> ServiceOfArn(std::string_view name) {
  if (!name.starts_with("arn:")) return std::nullopt;
  const size_t partition = name.find(':', 4);
  if (partition == std::string_view::npos) return std::nullopt;
  const std::string_view service =
      name.substr(partition + 1, name.find(':', partition + 1) - partition - 1);
  if (service == "secretsmanager") return AwsService::kSecretsManager;
  if (service == "ssm") return AwsService::kParameterStore;
  return std::nullopt;
}

std::optional<AwsService> ReadType(const Fields& object, const std::string& name) {
  const std::optional<AwsService> by_arn = ServiceOfArn(name);
  const auto type = object.Find("objectType");
  if (!type) {
    if (!by_arn) {
      object.value().Problem(
          "lacks objectType; expected secretsmanager or ssmparameter (an ARN may go without)");
    }
    return by_arn;
  }
  const auto service = type->AsEnum<AwsService>({{"secretsmanager", AwsService::kSecretsManager},
                                                 {"ssmparameter", AwsService::kParameterStore}});
  if (service && by_arn && *service != *by_arn) {
    type->Problem("is not what the ARN in objectName says");
  }
  return service;
}

// objectVersion and objectVersionLabel as one selector of `service`.
std::string ReadVersion(const Fields& fields, AwsService service) {
  const std::string version = fields.String("objectVersion");
  const std::string label = fields.String("objectVersionLabel");
  if (service == AwsService::kParameterStore) {
    if (!version.empty() && !label.empty()) {
      fields.value().Problem("has both objectVersion and objectVersionLabel; expected one of them");
    }
    return version.empty() ? label : version;
  }
  if (version.empty()) return label;
  if (!label.empty()) {
    fields.value().Warn("objectVersionLabel has no effect beside objectVersion, which says more");
  }
  return Format("uuid/{}", version);
}

// The name of a file: alias or name, with slashes translated.
std::string FileName(const ClassSettings& settings, const Value& value, std::string name) {
  if (!settings.path_translation.empty()) {
    std::replace(name.begin(), name.end(), '/', settings.path_translation.front());
  } else if (name.starts_with('/')) {
    name.erase(0, 1);
  }
  if (name.empty()) return name;
  if (const auto problem = PathProblem(name)) {
    value.Problem(Format("{} {}", Quote(name), *problem));
    return "";
  }
  return name;
}

void ReadFailover(const Fields& object, const ClassSettings& settings, AwsService service,
                  const AwsObjectName& key, providers::AwsStoreConfig& store) {
  const auto block = object.Find("failoverObject");
  if (!block) return;
  const Fields fields(*block, {"objectName", "objectVersion", "objectVersionLabel"});
  AwsObjectName other{fields.RequiredString("objectName"), ReadVersion(fields, service)};
  if (settings.store.failover_region.empty()) {
    block->Problem("needs failoverRegion among the parameters");
  }
  if (!object.Find("objectAlias")) block->Problem("needs an objectAlias beside it");
  if (other.version != key.version) {
    block->Problem("has another version than its object; expected the same");
  }
  if (!other.key.empty()) store.failover_names.insert_or_assign(key, std::move(other));
}

// A class's object, before its store is known to exist.
struct Object {
  AwsService service;
  AwsObjectName name;
};

void AddFile(const ClassSettings& settings, const Object& object, const Value& value,
             const std::string& name, std::optional<mode_t> mode, providers::Selection selection,
             Draft& draft) {
  Unresolved<ManifestFile> file;
  file.where = value.location();
  file.store = {StoreName(settings, object.service), StoreKind::kSecretProviderClass, file.where};
  file.value.path = FileName(settings, value, name);
  file.value.ref = {object.name.key, object.name.version};
  file.value.mode = mode;
  file.value.selection = std::move(selection);
  draft.files.push_back(std::move(file));
}

std::optional<mode_t> ReadPermission(const Fields& fields) {
  const auto mode = fields.Find("filePermission");
  return mode ? mode->AsMode(true) : std::nullopt;
}

void ReadObject(const Value& block, ClassSettings& settings, Draft& draft) {
  const Fields fields(
      block, {"objectName", "objectType", "objectAlias", "objectVersion", "objectVersionLabel",
              "filePermission", "jmesPath", "failoverObject"});
  if (!fields.valid()) return;
  const auto name = fields.Require("objectName");
  const std::string key = name ? name->AsNonEmptyString().value_or("") : "";
  if (key.empty()) return;
  const std::optional<AwsService> service = ReadType(fields, key);
  if (!service) return;
  const Object object{*service, {key, ReadVersion(fields, *service)}};
  (*service == AwsService::kSecretsManager ? settings.uses_secrets : settings.uses_parameters) =
      true;
  ReadFailover(fields, settings, *service, object.name, settings.store);
  const auto alias = fields.Find("objectAlias");
  AddFile(settings, object, alias ? *alias : *name,
          alias ? alias->AsNonEmptyString().value_or("") : key, ReadPermission(fields), {}, draft);
  const auto parts = fields.Find("jmesPath");
  if (!parts) return;
  for (const Value& part : parts->Items()) {
    const Fields part_fields(part, {"path", "objectAlias", "filePermission"});
    const auto path = part_fields.Require("path");
    const auto part_alias = part_fields.Require("objectAlias");
    if (!path || !part_alias) continue;
    providers::Selection selection;
    ReadJmesPath(*path, selection);
    AddFile(settings, object, *part_alias, part_alias->AsNonEmptyString().value_or(""),
            ReadPermission(part_fields), std::move(selection), draft);
  }
}

std::string ReadTranslation(const Fields& parameters) {
  const auto value = parameters.Find("pathTranslation");
  if (!value) return "_";
  const std::string text = value->AsNonEmptyString().value_or("_");
  if (text == "False" || text == "false") return "";
  if (text.size() == 1 && text != "/" && text != ".") return text;
  value->Problem(
      Format("{} is neither False nor one character other than '/' and '.'", Quote(text)));
  return "_";
}

void AddStore(const ClassSettings& settings, AwsService service, Draft& draft) {
  StoreDraft store;
  store.kind = StoreKind::kSecretProviderClass;
  store.name = StoreName(settings, service);
  store.where = settings.where;
  providers::AwsStoreConfig config = settings.store;
  config.service = service;
  store.config = providers::StoreConfig{store.name, std::move(config)};
  draft.AddStore(std::move(store));
}

}  // namespace

void ReadAwsClass(const Value& parameters, const ObjectHeader& header, const Location& where,
                  Draft& draft) {
  const Fields fields(parameters, {"region", "failoverRegion", "pathTranslation", "usePodIdentity",
                                   "preferredAddressType", "objects"});
  if (!fields.valid()) return;
  ClassSettings settings;
  settings.name = header.name;
  settings.where = where;
  settings.path_translation = ReadTranslation(fields);
  settings.store.region = fields.String("region");
  settings.store.failover_region = fields.String("failoverRegion");
  if (!settings.store.region.empty() && settings.store.region == settings.store.failover_region) {
    fields.Find("failoverRegion")->Problem("is the region itself; expected another one");
  }
  // Here credentials are found as AWS's own tools find them, those of Pod Identity included.
  if (const auto pod_identity = fields.Find("usePodIdentity")) (void)pod_identity->AsBool();
  if (const auto type = fields.Find("preferredAddressType")) {
    (void)type->AsOneOf({"auto", "ipv4", "ipv6"});
  }
  const auto objects = fields.Require("objects");
  if (!objects) return;
  ReadEmbeddedList(*objects, [&](const Value& item) { ReadObject(item, settings, draft); });
  if (settings.uses_secrets) AddStore(settings, AwsService::kSecretsManager, draft);
  if (settings.uses_parameters) AddStore(settings, AwsService::kParameterStore, draft);
}

}  // namespace secretfs::k8s
