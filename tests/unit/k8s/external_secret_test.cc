// ExternalSecret, SecretStore and the Secrets that they refer to.

#include <gmock/gmock.h>

#include "k8s/manifest/scalars.h"
#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

using providers::VaultStoreConfig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

constexpr char kStore[] = R"(apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: team, namespace: app}
spec:
  provider:
    vault:
      server: https://vault:8200
      path: secret
      auth:
        tokenSecretRef: {name: vault-token, key: token}
  retrySettings: {maxRetries: 5, retryInterval: 10s}
)";
constexpr char kToken[] = R"(apiVersion: v1
kind: Secret
metadata: {name: vault-token, namespace: app}
type: Opaque
data: {token: aHZzLnBsYW50ZWQ=}
)";

// The spec is indented by two.
std::string External(const std::string& spec) {
  return "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: "
         "app}\nspec:\n" +
         spec;
}

Manifest ParseExternal(const std::string& spec) {
  return ParseOk({{"external.yaml", External("  secretStoreRef: {name: team}\n" + spec)},
                  {"store.yaml", kStore},
                  {"token.yaml", kToken}});
}

// The problems of an ExternalSecret whose store is fine; its spec begins at line 6.
std::string ExternalProblems(const std::string& spec) {
  const absl::StatusOr<Manifest> manifest =
      ParseManifests({{"external.yaml", External("  secretStoreRef: {name: team}\n" + spec)},
                      {"store.yaml", kStore},
                      {"token.yaml", kToken}});
  return manifest.ok() ? "" : std::string(MessageOf(manifest.status()));
}

TEST(ExternalSecret, DataBecomesFiles) {
  const Manifest manifest = ParseExternal(R"(  refreshInterval: 15m
  target: {name: other, creationPolicy: Owner, deletionPolicy: Retain}
  data:
    - secretKey: password
      remoteRef:
        key: db
        property: password
        version: "3"
        decodingStrategy: Base64
        conversionStrategy: Default
        metadataPolicy: None
    - secretKey: all.json
      remoteRef: {key: db}
)");
  ASSERT_EQ(manifest.files.size(), 2u);
  const ManifestFile& file = manifest.files[0];
  EXPECT_EQ(file.path, "password");
  EXPECT_EQ(file.store, "team");
  EXPECT_EQ(file.ref, (providers::SecretRef{"db", "3"}));
  EXPECT_EQ(file.selection, (providers::Selection{"password", providers::Decoding::kBase64,
                                                  providers::Encoding::kUtf8}));
  EXPECT_EQ(file.policy.ttl, std::chrono::minutes(15));
  EXPECT_EQ(file.origin, "external.yaml:9");
  EXPECT_EQ(manifest.files[1].selection.property, "");
  EXPECT_EQ(manifest.layout, fs::Layout::kAtomic);
  EXPECT_EQ(manifest.file_mode, mode_t{0644});
  EXPECT_THAT(manifest.warnings, IsEmpty());

  const auto& vault = std::get<VaultStoreConfig>(manifest.stores.at(0).provider);
  EXPECT_EQ(vault.version, "v2");
  const auto& token = std::get<providers::VaultTokenAuth>(vault.auth).token;
  ASSERT_NE(token.inline_value, nullptr);
  EXPECT_EQ(token.inline_value->ExposeAsText(), "hvs.planted");
}

TEST(ExternalSecret, FetchedOnce) {
  for (const char* refresh : {"refreshInterval: 0", "refreshInterval: \"0s\"",
                              "refreshPolicy: CreatedOnce", "refreshPolicy: OnChange"}) {
    const Manifest manifest =
        ParseExternal(Format("  {}\n  data: [{{secretKey: a, remoteRef: {{key: b}}}}]\n", refresh));
    EXPECT_EQ(manifest.files.at(0).policy.ttl, kLongestDuration) << refresh;
  }
}

TEST(ExternalSecret, DataFromBecomesExpansions) {
  const Manifest manifest = ParseExternal(R"yaml(  dataFrom:
    - extract: {key: app/config, version: "2", decodingStrategy: Auto}
    - find:
        path: app
        name: {regexp: "^db-.*$"}
      rewrite:
        - regexp: {source: "^db-(.*)$", target: "$1.txt"}
        - regexp: {source: "(a)(b)", target: "$$ ${2}0 $0 $&"}
)yaml");
  ASSERT_EQ(manifest.expansions.size(), 2u);
  const ManifestExpansion& extract = manifest.expansions[0];
  ASSERT_TRUE(std::holds_alternative<ExtractFields>(extract.source));
  EXPECT_EQ(std::get<ExtractFields>(extract.source).ref, (providers::SecretRef{"app/config", "2"}));
  EXPECT_EQ(extract.decoding, providers::Decoding::kAuto);
  EXPECT_EQ(extract.store, "team");
  EXPECT_EQ(extract.origin, "external.yaml:7");
  const ManifestExpansion& find = manifest.expansions[1];
  ASSERT_TRUE(std::holds_alternative<FindSecrets>(find.source));
  EXPECT_EQ(std::get<FindSecrets>(find.source).path, "app");
  EXPECT_EQ(std::get<FindSecrets>(find.source).name_regexp, "^db-.*$");
  EXPECT_THAT(find.rewrite_regexp,
              ElementsAre(Pair("^db-(.*)$", "$01.txt"), Pair("(a)(b)", "$$ $020 $& $$&")));
}

TEST(ExternalSecret, StoresByKindAndOfOneEntry) {
  std::string cluster = kStore;
  cluster.replace(cluster.find("SecretStore"), 11, "ClusterSecretStore");
  cluster.replace(cluster.find("name: team"), 10, "name: all");
  const Manifest manifest =
      ParseOk({{"e.yaml", External(R"(  secretStoreRef: {name: all, kind: ClusterSecretStore}
  data:
    - {secretKey: a, remoteRef: {key: a}}
    - {secretKey: b, remoteRef: {key: b}, sourceRef: {storeRef: {name: team}}}
)")},
               {"all.yaml", cluster + "---\n" + kStore + "---\n" + kToken}});
  EXPECT_EQ(manifest.files.at(0).store, "all");
  EXPECT_EQ(manifest.files.at(1).store, "team");
}

TEST(ExternalSecret, AListOfEverything) {
  std::string list = "apiVersion: v1\nkind: List\nitems:\n";
  for (const std::string& item :
       {std::string(kStore), std::string(kToken),
        External("  secretStoreRef: {name: team}\n  data: [{secretKey: a, "
                 "remoteRef: {key: b}}]\n")}) {
    std::string indented = "  - " + item;
    for (size_t i = indented.find('\n'); i + 1 < indented.size(); i = indented.find('\n', i + 1)) {
      indented.insert(i + 1, "    ");
    }
    list += indented;
  }
  EXPECT_EQ(ParseOk(list).files.size(), 1u);
  EXPECT_EQ(ProblemsOf("apiVersion: v1\nkind: List\nitems: [{kind: Pod}]\n"),
            "m.yaml:3:10: items[0].kind: 'Pod' is not known here; expected SecretProviderClass, "
            "SecretStore, "
            "ClusterSecretStore, ExternalSecret, Secret, ConfigMap or List");
}

TEST(ExternalSecret, WhatHasNoEffectIsSaid) {
  const Manifest manifest = ParseExternal(R"(  syncWindows: []
  target:
    immutable: true
    template:
      type: kubernetes.io/tls
      metadata: {labels: {a: b}}
  data:
    - secretKey: a
      remoteRef: {key: b, nullBytePolicy: Fail, conversionStrategy: Unicode}
)");
  EXPECT_THAT(manifest.warnings,
              ElementsAre(HasSubstr("spec.syncWindows: has no effect"),
                          HasSubstr("spec.target.immutable: has no effect"),
                          HasSubstr("spec.target.template.type: has no effect"),
                          HasSubstr("spec.target.template.metadata: has no effect"),
                          HasSubstr("spec.data[0].remoteRef.nullBytePolicy: has no effect"),
                          HasSubstr("spec.data[0].remoteRef.conversionStrategy: has no effect")));
}

TEST(ExternalSecret, WhatIsRefused) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", "external.yaml:4:1: spec: describes no files; expected data or dataFrom"},
      {"  data: [{secretKey: a}]\n",
       "external.yaml:6:10: spec.data[0].remoteRef: missing; expected this field"},
      {"  data: [{secretKey: a/../b, remoteRef: {key: b}}]\n",
       "external.yaml:6:11: spec.data[0].secretKey: 'a/../b' leads out of the mount; expected a "
       "path "
       "without '..'"},
      {"  data: [{secretKey: a, remoteRef: {key: b, metadataPolicy: Fetch}}]\n",
       "external.yaml:6:45: spec.data[0].remoteRef.metadataPolicy: fetching a secret's metadata is "
       "not "
       "built into this version; expected None"},
      {"  data: [{secretKey: a, remoteRef: {keys: b}}]\n",
       "external.yaml:6:25: spec.data[0].remoteRef.key: missing; expected this field\n"
       "external.yaml:6:37: spec.data[0].remoteRef.keys: unknown field; expected key, property, "
       "version, "
       "metadataPolicy, conversionStrategy, decodingStrategy or nullBytePolicy; did you mean "
       "'key'?"},
      {"  refreshInterval: 1 hour\n  data: [{secretKey: a, remoteRef: {key: b}}]\n",
       "external.yaml:6:3: spec.refreshInterval: '1 hour' is not a duration; expected a duration "
       "such as "
       "30s, 1h30m or 500ms, at most 3650d"},
      {"  target: {template: {data: {a: '{{ .a }}'}}}\n  data: [{secretKey: a, remoteRef: {key: "
       "b}}]\n",
       "external.yaml:6:23: spec.target.template.data: templates are not applied to files in this "
       "version, so their content would differ; expected no template, or data entries only"},
      {"  dataFrom: [{find: {tags: {a: b}}}]\n",
       "external.yaml:6:22: spec.dataFrom[0].find.tags: finding secrets by tags is not built into "
       "this "
       "version; expected name"},
      {"  dataFrom: [{find: {}}]\n",
       "external.yaml:6:15: spec.dataFrom[0].find: would find every secret of the store; expected "
       "name or path (all: name: {regexp: .*})"},
      {"  dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: p}}}]\n",
       "external.yaml:6:27: spec.dataFrom[0].sourceRef.generatorRef: generators are not built into "
       "this "
       "version; expected storeRef"},
      {"  dataFrom: [{extract: {key: a, property: b}}]\n",
       "external.yaml:6:33: spec.dataFrom[0].extract.property: taking one property apart is not "
       "built into "
       "this version; expected the whole secret, or data entries for single properties"},
      {"  dataFrom: [{find: {name: {regexp: '('}}}]\n",
       "external.yaml:6:29: spec.dataFrom[0].find.name.regexp: '(' is not a regular expression "
       "that can be "
       "used here; expected one without flags such as (?i), named groups and \\A, \\z, \\p"},
      {"  dataFrom: [{find: {name: {regexp: '(a{1000}){1000}'}}}]\n",
       "external.yaml:6:29: spec.dataFrom[0].find.name.regexp: is too large a pattern; expected at "
       "most 500 "
       "bytes, 20 nested groups and 1000 repetitions"},
      {"  dataFrom: [{extract: {key: a}, rewrite: [{regexp: {source: a, target: $1}}]}]\n",
       "external.yaml:6:65: spec.dataFrom[0].rewrite[0].regexp.target: '$1' refers to a group that "
       "source "
       "does not have; expected numbers up to 0 such as $1 or ${1}"},
      {"  dataFrom: [{extract: {key: a}, rewrite: [{transform: {template: x}}]}]\n",
       "external.yaml:6:45: spec.dataFrom[0].rewrite[0].transform: this way to rewrite names is "
       "not built "
       "into this version; expected regexp"},
  };
  for (const auto& [spec, problems] : table) EXPECT_EQ(ExternalProblems(spec), problems);
}

// What is left of an item whose find or extract stands in the wrong column.
TEST(ExternalSecret, AStoreAloneIsNotAllOfItsSecrets) {
  const std::string nothing =
      "names no secret of its store; expected one of extract or find beside sourceRef";
  const auto problem = [&](const std::string& hint) {
    return "external.yaml:7:7: spec.dataFrom[0]: " + nothing + hint;
  };
  const std::string item = "  dataFrom:\n    - sourceRef:\n        storeRef: {name: team}\n";
  const std::string find = "find:\n                name: {regexp: a}\n";
  EXPECT_EQ(ExternalProblems(item), problem(""));
  EXPECT_EQ(ExternalProblems("  dataFrom: [{sourceRef: {storeRef: {name: team}}, find: }]\n"),
            "external.yaml:6:14: spec.dataFrom[0]: " + nothing +
                "; 'find' on line 6 is empty: indent what belongs to it further than it");
  EXPECT_THAT(
      ExternalProblems(item + "        " + find),
      HasSubstr(problem("; 'find' on line 9 is indented too far: move it under sourceRef")));
  EXPECT_THAT(
      ExternalProblems("  dataFrom:\n    - sourceRef:\n        storeRef:\n          name: team\n"
                       "          extract: {key: a}\n"),
      HasSubstr(problem("; 'extract' on line 10 is indented too far: move it under sourceRef")));
  EXPECT_EQ(ExternalProblems(item + "    - " + find),
            problem("; 'find' on line 9 begins an item of its own: take its '-' away"));
  EXPECT_THAT(
      ExternalProblems(item + "  " + find),
      HasSubstr(problem("; 'find' on line 9 is not indented enough: move it under sourceRef")));
  EXPECT_EQ(ExternalProblems("  dataFrom: [{}]\n"),
            "external.yaml:6:14: spec.dataFrom[0]: names no secret of its store; expected one of "
            "extract or find");
}

TEST(ExternalSecret, AnEmptySelectorIsNotEverything) {
  for (const char* path : {"''", ""}) {
    EXPECT_EQ(
        ExternalProblems(
            Format("  dataFrom: [{{find: {{path: {}, name: {{regexp: a}}}}}}]\n", path)),
        "external.yaml:6:22: spec.dataFrom[0].find.path: is empty; expected text, or no path for "
        "the whole store");
  }
  EXPECT_EQ(ExternalProblems("  dataFrom: [{find: {path: /}}]\n"),
            "external.yaml:6:22: spec.dataFrom[0].find.path: would find every secret of the store; "
            "expected name beside it (all: name: {regexp: .*})");
  // On purpose.
  EXPECT_EQ(ExternalProblems("  dataFrom: [{find: {name: {regexp: '.*'}}}]\n"), "");
  // A chart writes it, and the operator takes it for none.
  EXPECT_THAT(
      ParseExternal("  data: [{secretKey: a, remoteRef: {key: b, property: ''}}]\n").warnings,
      ElementsAre(
          HasSubstr("spec.data[0].remoteRef.property: is empty: the file holds the whole")));
}

TEST(ExternalSecret, StoresThatAreNotThere) {
  const std::string data = "  data: [{secretKey: a, remoteRef: {key: b}}]\n";
  EXPECT_EQ(
      ProblemsOf(External("  secretStoreRef: {name: team}\n" + data)),
      "m.yaml:5:3: spec.secretStoreRef: the SecretStore 'team' is not among the given manifests; "
      "expected it in one more -f FILE");
  const absl::StatusOr<Manifest> near =
      ParseManifests({{"e.yaml", External("  secretStoreRef: {name: taem}\n" + data)},
                      {"s.yaml", kStore},
                      {"t.yaml", kToken}});
  EXPECT_EQ(
      MessageOf(near.status()),
      "e.yaml:5:3: spec.secretStoreRef: the SecretStore 'taem' is not among the given manifests; "
      "expected it in one more -f FILE; did you mean 'team'?");
  const absl::StatusOr<Manifest> other_kind = ParseManifests(
      {{"e.yaml", External("  secretStoreRef: {name: team, kind: ClusterSecretStore}\n" + data)},
       {"s.yaml", kStore},
       {"t.yaml", kToken}});
  EXPECT_EQ(MessageOf(other_kind.status()),
            "e.yaml:5:3: spec.secretStoreRef: 'team' is a SecretStore, not a ClusterSecretStore; "
            "expected "
            "kind: SecretStore");
}

TEST(SecretStore, SecretsThatAreNotThere) {
  EXPECT_EQ(
      ProblemsOf(kStore),
      "m.yaml:10:9: spec.provider.vault.auth.tokenSecretRef: the Secret 'vault-token' is not among "
      "the "
      "given manifests; expected it in one more -f FILE, for example from `kubectl get secret "
      "vault-token -o yaml`");
  std::string other_key = kToken;
  other_key.replace(other_key.find("token: aHZ"), 5, "tokne");
  EXPECT_EQ(
      ProblemsOf(std::string(kStore) + "---\n" + other_key),
      "m.yaml:10:9: spec.provider.vault.auth.tokenSecretRef: the Secret 'vault-token' has no key "
      "'token'; expected tokne; did you mean 'tokne'?");
  std::string other_namespace = kToken;
  other_namespace.replace(other_namespace.find("namespace: app"), 14, "namespace: oth");
  EXPECT_THAT(ProblemsOf(std::string(kStore) + "---\n" + other_namespace),
              HasSubstr("the Secret 'vault-token' is not among the given manifests"));
}

TEST(SecretStore, ValuesOfSecretsAreNeverRepeated) {
  for (const char* data :
       {"data: {token: 'PLANTED, not base64'}", "data: PLANTED", "data: [PLANTED]",
        "stringData: {token: [PLANTED]}", "data: {token: UExBTlRFRA=, x: PLANTED}"}) {
    const std::string problems =
        ProblemsOf(Format("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{}\n", data));
    EXPECT_NE(problems, "");
    EXPECT_THAT(problems, Not(HasSubstr("PLANTED")));
    EXPECT_THAT(problems, Not(HasSubstr("UExB")));
  }
}

TEST(SecretStore, EveryReferenceIsResolved) {
  const Manifest manifest = ParseOk(R"(
apiVersion: external-secrets.io/v1beta1
kind: ClusterSecretStore
metadata: {name: all}
spec:
  controller: dev
  refreshInterval: 60
  conditions: [{namespaces: [a]}]
  provider:
    vault:
      server: https://vault:8200
      path: kv
      version: v1
      namespace: n
      caProvider: {type: ConfigMap, name: ca, key: ca.crt, namespace: x}
      headers: {X-A: b}
      auth:
        namespace: n
        appRole:
          path: my-approle
          roleRef: {name: role, key: id, namespace: x}
          secretRef: {name: role, key: secret}
---
apiVersion: v1
kind: Secret
metadata: {name: role, namespace: x}
stringData: {id: the-role, secret: the-secret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: x}
data:
  ca.crt: |
    -----BEGIN CERTIFICATE-----
---
apiVersion: external-secrets.io/v1beta1
kind: ExternalSecret
metadata: {name: e}
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: all}
  dataFrom: [{extract: {key: a}}]
)");
  const auto& vault = std::get<VaultStoreConfig>(manifest.stores.at(0).provider);
  EXPECT_EQ(vault.version, "v1");
  EXPECT_EQ(vault.tls.ca_bundle, "-----BEGIN CERTIFICATE-----\n");
  const auto& auth = std::get<providers::VaultAppRoleAuth>(vault.auth);
  EXPECT_EQ(auth.path, "my-approle");
  EXPECT_EQ(auth.role_ref.inline_value->ExposeAsText(), "the-role");
  EXPECT_EQ(auth.secret_id.inline_value->ExposeAsText(), "the-secret");
}

TEST(SecretStore, OurOwnStoreInsideOne) {
  const Manifest manifest = ParseOk(
      "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: l}\n"
      "spec: {provider: {local: {path: /s}}}\n");
  EXPECT_EQ(std::get<providers::LocalStoreConfig>(manifest.stores.at(0).provider).path, "/s");
  EXPECT_THAT(manifest.warnings, ElementsAre(HasSubstr("the store 'l' is used by no file")));
}

TEST(SecretStore, WhatIsRefused) {
  const auto store = [](const std::string& provider) {
    return "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: s}\nspec: "
           "{provider: " +
           provider + "}\n";
  };
  const std::vector<std::pair<std::string, std::string>> table{
      {"{vault: {path: secret}}",
       "m.yaml:4:19: spec.provider.vault: lacks server; expected https://HOST:PORT"},
      {"{vault: {server: 'https://v:1', auth: {}}}",
       "m.yaml:4:50: spec.provider.vault.auth: lacks a field; expected one of token, "
       "tokenSecretRef, "
       "appRole, jwt, kubernetes, cert, ldap, userPass, iam or gcp"},
      {"{vault: {server: 'https://v:1', namespace: a, auth: {namespace: b, kubernetes: {role: "
       "r}}}}",
       "m.yaml:4:71: spec.provider.vault.auth.namespace: logging in to another namespace than the "
       "store's "
       "is not built into this version; expected the same as the store's namespace"},
      {"{vault: {server: 'https://v:1', auth: {jwt: {role: r, kubernetesServiceAccountToken: "
       "{}}}}}",
       "m.yaml:4:72: spec.provider.vault.auth.jwt.kubernetesServiceAccountToken: asks the cluster "
       "for a "
       "token, which a mount outside it cannot; expected token: {file: PATH} with a projected "
       "service "
       "account token"},
      {"{vault: {server: 'https://v:1', tls: {certSecretRef: {name: a, key: b}}}}",
       "m.yaml:4:56: spec.provider.vault.tls.certSecretRef: a client certificate out of a Secret "
       "is not "
       "built into this version; expected the files clientCertificateFile and clientKeyFile"},
  };
  for (const auto& [provider, problems] : table) EXPECT_EQ(ProblemsOf(store(provider)), problems);
}

TEST(SecretStore, TheServiceAccountOfAPodIsItsOwn) {
  const Manifest manifest = ParseOk(
      "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: s}\nspec: "
      "{provider: {vault: "
      "{server: 'https://v:1', auth: {kubernetes: {role: r, serviceAccountRef: {name: a}}}}}}\n");
  EXPECT_THAT(manifest.warnings,
              ::testing::Contains(HasSubstr("serviceAccountRef: has no effect: the token "
                                            "in /var/run/secrets")));
}

}  // namespace
}  // namespace secretfs::k8s
