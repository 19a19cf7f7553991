// secretfs.yaml: what is read, and the exact text of what is refused.

#include <gmock/gmock.h>

#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

using providers::LocalStoreConfig;
using providers::VaultStoreConfig;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SecretfsYaml, Local) {
  const Manifest manifest = ParseOk(R"(
stores:
  mine:
    local:
      path: /var/lib/store.sfs
files:
  - path: db/password
    key: db/password
)");
  ASSERT_EQ(manifest.stores.size(), 1u);
  EXPECT_EQ(manifest.stores[0].name, "mine");
  EXPECT_EQ(std::get<LocalStoreConfig>(manifest.stores[0].provider).path, "/var/lib/store.sfs");
  ASSERT_EQ(manifest.files.size(), 1u);
  const ManifestFile& file = manifest.files[0];
  EXPECT_EQ(file.path, "db/password");
  EXPECT_EQ(file.store, "mine");
  EXPECT_EQ(file.ref, (providers::SecretRef{"db/password", ""}));
  EXPECT_EQ(file.selection, providers::Selection{});
  EXPECT_EQ(file.mode, std::nullopt);
  EXPECT_EQ(file.origin, "m.yaml:7");
  EXPECT_EQ(manifest.layout, std::nullopt);
  EXPECT_EQ(manifest.file_mode, std::nullopt);
  EXPECT_THAT(manifest.warnings, IsEmpty());
}

TEST(SecretfsYaml, EveryFieldOfAFileAndTheMount) {
  const Manifest manifest = ParseOk(R"(
apiVersion: secretfs/v1
stores:
  - name: a
    local: {}
  - name: b
    local: {path: /b, key: {file: /b.key}}
files:
  - {path: f, store: b, key: k, version: 3, property: user.name, decoding: Base64, encoding: hex, mode: 0440}
mount: {layout: atomic, uid: 1000, gid: 0, mode: "0400", directoryMode: 0550, audit: open}
)");
  ASSERT_EQ(manifest.files.size(), 1u);
  const ManifestFile& file = manifest.files[0];
  EXPECT_EQ(file.store, "b");
  EXPECT_EQ(file.ref, (providers::SecretRef{"k", "3"}));
  EXPECT_EQ(file.selection, (providers::Selection{"user.name", providers::Decoding::kBase64,
                                                  providers::Encoding::kHex}));
  EXPECT_EQ(file.mode, mode_t{0440});
  EXPECT_EQ(manifest.layout, fs::Layout::kAtomic);
  EXPECT_EQ(manifest.uid, uid_t{1000});
  EXPECT_EQ(manifest.gid, gid_t{0});
  EXPECT_EQ(manifest.file_mode, mode_t{0400});
  EXPECT_EQ(manifest.directory_mode, mode_t{0550});
  EXPECT_TRUE(manifest.audit_open);
  EXPECT_THAT(
      manifest.warnings,
      ElementsAre("m.yaml:4:5: stores[0]: the store 'a' is used by no file and no browse tree"));
}

TEST(SecretfsYaml, PartsOfValuesInEveryLanguage) {
  const Manifest manifest = ParseOk(R"(
apiVersion: secretfs/v1
stores: {a: {local: {}}}
files:
  - {path: a, key: k, property: 'users.#(name=="x").key'}
  - {path: b, key: k, jmesPath: "users[?name=='x'] | [0].key", decoding: Hex}
  - {path: c, key: k, extractJSONKey: a.b}
  - {path: d, key: k, extractYAMLKey: a.b}
)");
  const auto selection = [&manifest](size_t index) { return manifest.files.at(index).selection; };
  EXPECT_EQ(selection(0), (providers::Selection{.property = "users.#(name==\"x\").key"}));
  EXPECT_EQ(selection(1), (providers::Selection{.property = "users[?name=='x'] | [0].key",
                                                .decoding = providers::Decoding::kHex,
                                                .language = providers::Language::kJmesPath}));
  EXPECT_EQ(selection(2),
            (providers::Selection{.property = "a.b", .language = providers::Language::kJsonKey}));
  EXPECT_EQ(selection(3),
            (providers::Selection{.property = "a.b", .language = providers::Language::kYamlKey}));
}

TEST(SecretfsYaml, Vault) {
  const Manifest manifest = ParseOk(R"(
stores:
  team:
    vault:
      server: https://vault:8200
      path: /secret/
      version: v2
      namespace: team
      headers: {X-Team: a}
      tls:
        caFile: ca.pem
        clientCertificateFile: /c.pem
        clientKeyFile: /c.key
        serverName: vault.internal
        skipVerify: true
      auth:
        appRole:
          roleId: my-role
          secretId: {file: secret-id}
          secretIdIsWrapped: true
browse:
  - prefix: app/
)");
  const auto& vault = std::get<VaultStoreConfig>(manifest.stores.at(0).provider);
  EXPECT_EQ(vault.server, "https://vault:8200");
  EXPECT_EQ(vault.path, "secret");
  EXPECT_EQ(vault.version, "v2");
  EXPECT_EQ(vault.name_space, "team");
  EXPECT_EQ(vault.headers.at("X-Team"), "a");
  EXPECT_EQ(vault.tls.ca_file, "ca.pem");
  EXPECT_EQ(vault.tls.client_certificate_file, "/c.pem");
  EXPECT_EQ(vault.tls.client_key_file, "/c.key");
  EXPECT_EQ(vault.tls.server_name, "vault.internal");
  EXPECT_TRUE(vault.tls.skip_verify);
  const auto& auth = std::get<providers::VaultAppRoleAuth>(vault.auth);
  EXPECT_EQ(auth.path, "approle");
  EXPECT_EQ(auth.role_id, "my-role");
  EXPECT_EQ(auth.secret_id.file, "secret-id");
  EXPECT_TRUE(auth.secret_id_is_wrapped);
  ASSERT_EQ(manifest.browse.size(), 1u);
  EXPECT_EQ(manifest.browse[0].path, "");
  EXPECT_EQ(manifest.browse[0].prefix, "app");
}

TEST(SecretfsYaml, WaysToLogInToVault) {
  const auto auth_of = [](const std::string& auth) {
    const Manifest manifest =
        ParseOk("stores: {v: {vault: {server: 'http://v:1', auth: " + auth + "}}}\nbrowse: [{}]");
    return std::get<VaultStoreConfig>(manifest.stores.at(0).provider).auth;
  };
  EXPECT_EQ(
      std::get<providers::VaultTokenAuth>(auth_of("{token: {env: VAULT_TOKEN}}")).token.environment,
      "VAULT_TOKEN");
  const auto kubernetes =
      std::get<providers::VaultKubernetesAuth>(auth_of("{kubernetes: {role: app}}"));
  EXPECT_EQ(kubernetes.mount_path, "kubernetes");
  EXPECT_EQ(kubernetes.role, "app");
  EXPECT_TRUE(kubernetes.jwt.empty());
  const auto jwt =
      std::get<providers::VaultJwtAuth>(auth_of("{jwt: {path: ci, role: r, token: {file: /jwt}}}"));
  EXPECT_EQ(jwt.path, "ci");
  EXPECT_EQ(jwt.role, "r");
  EXPECT_EQ(jwt.jwt.file, "/jwt");
}

TEST(SecretfsYaml, PathsAreRelativeToTheManifest) {
  setenv("HOME", "/home/me", 1);
  const Manifest manifest = ParseOk({{"conf/m.yaml", R"(
stores:
  a: {local: {path: store.sfs, key: {passphrase: {file: ~/pass}}}}
browse: [{path: x}]
)"}});
  const auto& local = std::get<LocalStoreConfig>(manifest.stores.at(0).provider);
  EXPECT_EQ(local.path, "conf/store.sfs");
  EXPECT_EQ(local.key.passphrase.file, "/home/me/pass");
}

TEST(SecretfsYaml, PolicyOfTheFileWinsOverTheStoreOverTheManifest) {
  const Manifest manifest = ParseOk(R"(
stores:
  a:
    local: {}
    policy: {ttl: 2m, maxStale: 1h}
files:
  - {path: f, key: f, policy: {ttl: 3m}}
  - {path: g, key: g}
policy: {ttl: 1m, maxStale: 2h, staleIfError: 3h, negativeTtl: 4s, deadline: 5s, graceOnDelete: 0}
)");
  const cache::Policy& f = manifest.files.at(0).policy;
  EXPECT_EQ(f.ttl, seconds(180));
  EXPECT_EQ(f.max_stale, seconds(3600));
  EXPECT_EQ(f.stale_if_error, seconds(3 * 3600));
  EXPECT_EQ(f.negative_ttl, seconds(4));
  EXPECT_EQ(f.deadline, seconds(5));
  EXPECT_EQ(f.grace_on_delete, Duration(0));
  EXPECT_EQ(manifest.files.at(1).policy.ttl, seconds(120));
  EXPECT_EQ(manifest.default_policy.ttl, seconds(60));
  EXPECT_EQ(manifest.default_policy.max_stale, seconds(2 * 3600));
}

TEST(SecretfsYaml, SeveralDocumentsAreOneManifest) {
  const Manifest manifest = ParseOk({{"stores.yaml", "stores: {a: {local: {}}}"},
                                     {"files.yaml",
                                      "files: [{path: f, key: f, store: a}]\n---\n"
                                      "files: [{path: g, key: g}]\nmount: {uid: 7}"}});
  EXPECT_EQ(manifest.files.size(), 2u);
  EXPECT_EQ(manifest.files[1].origin, "files.yaml:3");
  EXPECT_EQ(manifest.uid, uid_t{7});
}

struct BadYaml {
  std::string text, problems;
};

void ExpectProblems(const std::vector<BadYaml>& table) {
  for (const BadYaml& bad : table) EXPECT_EQ(ProblemsOf(bad.text), bad.problems) << bad.text;
}

constexpr char kStores[] = "stores: {a: {local: {}}}\n";

TEST(BadSecretfsYaml, Fields) {
  ExpectProblems(
      {BadYaml{"", "m.yaml:1:1: is empty; expected secretfs.yaml or a Kubernetes object"},
       BadYaml{"just text",
               "m.yaml:1:1: is not a mapping; expected secretfs.yaml or a Kubernetes object"},
       BadYaml{"stors: {}",
               "m.yaml:1:1: stors: unknown field; expected apiVersion, stores, files, browse, "
               "mount or "
               "policy; did you mean 'stores'?"},
       BadYaml{"apiVersion: secretfs/v2\n",
               "m.yaml:1:1: apiVersion: 'secretfs/v2' is not known here; expected secretfs/v1; "
               "did you "
               "mean 'secretfs/v1'?"},
       BadYaml{std::string(kStores) + "files:\n  - pathh: f\n    key: k\n",
               "m.yaml:3:5: files[0].pathh: unknown field; expected path, store, key, version, "
               "property, jmesPath, extractJSONKey, extractYAMLKey, decoding, encoding, mode or "
               "policy; did you mean 'path'?\n"
               "m.yaml:3:5: files[0].path: missing; expected this field"},
       BadYaml{std::string(kStores) + "files:\n  - path: f\n    key: k\n    jmesPath: a..b\n",
               "m.yaml:5:5: files[0].jmesPath: is not a JMESPath expression: something that cannot "
               "stand here (character 3)"},
       BadYaml{std::string(kStores) + "files:\n  - path: f\n    key: k\n    key: l\n",
               "m.yaml:5:5: files[0].key: stands twice; expected each field once"},
       BadYaml{std::string(kStores) + "files:\n  - path: f\n    key:\n",
               "m.yaml:3:5: files[0].key: missing; expected this field"},
       BadYaml{std::string(kStores) + "files: f\n",
               "m.yaml:2:1: files: is a single value; expected a list"},
       BadYaml{std::string(kStores) + "files:\n  - f\n",
               "m.yaml:3:5: files[0]: is a single value; expected a mapping"},
       BadYaml{std::string(kStores) + "files:\n  - path: f\n    key: [k]\n",
               "m.yaml:4:5: files[0].key: is a list; expected text"}});
}

TEST(BadSecretfsYaml, Paths) {
  ExpectProblems(
      {BadYaml{std::string(kStores) + "files:\n  - path: ../etc/passwd\n    key: k\n",
               "m.yaml:3:5: files[0].path: '../etc/passwd' leads out of the mount; expected a path "
               "without '..'"},
       BadYaml{std::string(kStores) + "files:\n  - {key: k, path: /etc}\n",
               "m.yaml:3:14: files[0].path: '/etc' is absolute; expected a path below the mount, "
               "without "
               "a '/' in front"},
       BadYaml{
           std::string(kStores) + "browse:\n  - path: a/../b\n",
           "m.yaml:3:5: browse[0].path: 'a/../b' leads out of the mount; expected a path without "
           "'..'"},
       BadYaml{std::string(kStores) + "files:\n  - {path: f, key: k}\n  - {path: f, key: l}\n",
               "m.yaml:4:6: files[1].path: 'f' stands twice, first at m.yaml:3; expected each "
               "path once"},
       BadYaml{std::string(kStores) + "files:\n  - {path: f/g/h, key: k}\n  - {path: f, key: l}\n",
               "m.yaml:3:6: files[0].path: 'f/g/h' is below 'f', which is a file (at m.yaml:4); "
               "expected "
               "a path that is not both file and directory"},
       BadYaml{
           std::string(kStores) + "files: [{path: f, key: k}]\nbrowse: [{path: f}]\n",
           "m.yaml:3:11: browse[0].path: 'f' stands twice, first at m.yaml:2; expected each path "
           "once"},
       BadYaml{std::string(kStores) + "files: [{path: a/..data, key: k}]\n",
               "m.yaml:2:10: files[0].path: 'a/..data' has a name that starts with '..', which is "
               "kept for ..data; expected another name"},
       BadYaml{std::string(kStores) +
                   "files: [{path: t/f, key: k}]\nbrowse: [{path: t}, {path: t/u/v}]\n",
               "m.yaml:2:10: files[0].path: 't/f' is inside the browse tree 't' (at m.yaml:3); "
               "expected another place for one of them\n"
               "m.yaml:3:22: browse[1].path: 't/u/v' is inside the browse tree 't' (at m.yaml:3); "
               "expected another place for one of them"},
       BadYaml{std::string(kStores) + "files: [{path: f, key: k}]\nbrowse: [{}]\n",
               "m.yaml:2:10: files[0].path: 'f' is inside the browse tree at the root (at "
               "m.yaml:3); expected another place for one of them"},
       BadYaml{std::string(kStores) + "files: [{path: f, key: k}]\nbrowse: [{path: f/t}]\n",
               "m.yaml:3:11: browse[0].path: 'f/t' is below 'f', which is a file (at m.yaml:2); "
               "expected a path that is not both file and directory"},
       BadYaml{std::string(kStores) + "browse: [{}]\nmount: {layout: atomic}\n",
               "m.yaml:2:10: browse[0]: a browse tree cannot be in the atomic layout; expected "
               "layout: "
               "flat"}});
}

TEST(BadSecretfsYaml, Values) {
  ExpectProblems(
      {BadYaml{"mount:\n  layout: flatt\n",
               "m.yaml:2:3: mount.layout: 'flatt' is not known here; expected flat or atomic; did "
               "you mean "
               "'flat'?"},
       BadYaml{"mount: {mode: 400}",
               "m.yaml:1:9: mount.mode: '400' is a decimal number (octal 0620); expected octal "
               "digits up "
               "to 0777, such as 0400; did you mean 0400?"},
       BadYaml{"mount: {mode: u=rw}",
               "m.yaml:1:9: mount.mode: 'u=rw' is not a file mode; expected octal digits up to "
               "0777, such "
               "as 0400"},
       BadYaml{"mount: {uid: -1}",
               "m.yaml:1:9: mount.uid: '-1' does not fit; expected a whole number from 0 to "
               "4294967294"},
       BadYaml{"mount: {audit: yes}",
               "m.yaml:1:9: mount.audit: 'yes' is not known here; expected none or open"},
       BadYaml{"policy:\n  ttl: 30\n",
               "m.yaml:2:3: policy.ttl: '30' has no unit; expected a duration such as 30s, 1h30m "
               "or 500ms, "
               "at most 3650d; did you mean '30s'?"},
       BadYaml{"policy: {ttl: 0s, deadline: soon}",
               "m.yaml:1:10: policy.ttl: is zero; expected a duration longer than that\n"
               "m.yaml:1:19: policy.deadline: 'soon' is not a duration; expected a duration such "
               "as 30s, "
               "1h30m or 500ms, at most 3650d"},
       BadYaml{"policy: {maxstale: 1s}",
               "m.yaml:1:10: policy.maxstale: unknown field; expected ttl, maxStale, staleIfError, "
               "negativeTtl, deadline or graceOnDelete; did you mean 'maxStale'?"},
       BadYaml{std::string(kStores) + "files: [{path: f, key: \"a\\0b\"}]",
               "m.yaml:2:19: files[0].key: holds a zero byte; expected text"},
       BadYaml{std::string(kStores) + "files: [{path: f, key: k, decoding: base64}]",
               "m.yaml:2:27: files[0].decoding: 'base64' is not known here; expected None, Base64, "
               "Base64URL, Hex or Auto; did you mean 'Base64'?"}});
}

TEST(BadSecretfsYaml, Stores) {
  ExpectProblems(
      {BadYaml{"files: [{path: f, key: k}]",
               "m.yaml:1:9: files[0].store: no store is described; expected one under stores"},
       BadYaml{"stores: {team: {local: {}}, other: {local: {}}}\nfiles: [{path: f, key: k}]",
               "m.yaml:2:9: files[0].store: missing, and there are several stores; expected team "
               "or other"},
       BadYaml{"stores: {team: {local: {}}}\nfiles: [{path: f, key: k, store: taem}]",
               "m.yaml:2:27: files[0].store: there is no store 'taem'; expected team; did you mean "
               "'team'?"},
       BadYaml{"stores: [{name: a, local: {}}, {name: a, local: {}}]",
               "m.yaml:1:32: stores[1]: the name 'a' is taken by another store, at m.yaml:1; "
               "expected each "
               "store to have a name of its own"},
       BadYaml{"stores: {a: {}}",
               "m.yaml:1:10: stores.a: lacks a field; expected one of local, vault, aws, azurekv, "
               "gcpsm or "
               "kubernetes"},
       BadYaml{"stores:\n  a:\n    local: {}\n    vault: {}\n",
               "m.yaml:4:5: stores.a.vault: stands beside local; expected only one of local, "
               "vault, aws, "
               "azurekv, gcpsm or kubernetes"},
       BadYaml{"stores: {a: {volt: {}}}",
               "m.yaml:1:10: stores.a: lacks a field; expected one of local, vault, aws, azurekv, "
               "gcpsm or "
               "kubernetes\n"
               "m.yaml:1:14: stores.a.volt: unknown field; expected local, vault, aws, azurekv, "
               "gcpsm, "
               "kubernetes or policy"},
       BadYaml{"stores: {a: {vault: {server: 'vault:8200', auth: {ldap: {}}}}}",
               "m.yaml:1:22: stores.a.vault.server: 'vault:8200' is no address; expected "
               "https://HOST:PORT\n"
               "m.yaml:1:51: stores.a.vault.auth.ldap: this way to log in is not built into this "
               "version; "
               "expected token, appRole, jwt or kubernetes"},
       BadYaml{"stores: {a: {vault: {auth: {token: {}}}}}",
               "m.yaml:1:29: stores.a.vault.auth.token: lacks a field; expected one of file, env "
               "or name"},
       BadYaml{"stores: {a: {vault: {tls: {clientKeyFile: k}}}}",
               "m.yaml:1:22: stores.a.vault.tls: has one half of a client certificate; expected "
               "clientCertificateFile and clientKeyFile together"},
       BadYaml{
           "stores: {a: {vault: {caBundle: nonsense}}}",
           "m.yaml:1:22: stores.a.vault.caBundle: is no certificate; expected PEM text, or PEM in "
           "base64"},
       BadYaml{"mount: {uid: 1}\n---\nmount: {uid: 2}\n",
               "m.yaml:3:1: mount: is set at m.yaml:1 already; expected one mount block over all "
               "files"}});
}

// What an unset variable of a template leaves must not widen what is shown.
TEST(SecretfsYaml, AnEmptySelectorIsNotEverything) {
  const std::string store = "stores: {a: {local: {}}}\n";
  for (const char* empty : {"''", ""}) {
    EXPECT_EQ(ProblemsOf(store + Format("browse: [{{prefix: {}}}]\n", empty)),
              "m.yaml:2:11: browse[0].prefix: is empty; expected text, or '/' or no prefix for the "
              "whole store");
    for (const char* part : {"property", "jmesPath", "extractJSONKey", "extractYAMLKey"}) {
      EXPECT_THAT(ProblemsOf(store + Format("files: [{{path: f, key: k, {}: {}}}]\n", part, empty)),
                  HasSubstr(Format("m.yaml:2:27: files[0].{}: is empty; expected text", part)));
    }
  }
  EXPECT_EQ(ParseOk(store + "browse: [{prefix: /}]\n").browse.at(0).prefix, "");
  EXPECT_EQ(ParseOk(store + "browse: [{}]\n").browse.at(0).prefix, "");
}

TEST(SecretfsYaml, ACredentialInTheManifestIsRefusedAndNotRepeated) {
  const std::string problems = ProblemsOf(
      "stores: {a: {vault: {auth: {token: hvs.PLANTED}}}, b: {local: {key: {passphrase: "
      "PLANTED}}}}");
  EXPECT_THAT(problems,
              HasSubstr("stores.a.vault.auth.token: is not a reference; expected {file: PATH}"));
  EXPECT_THAT(problems, HasSubstr("stores.b.local.key.passphrase: is not a reference"));
  EXPECT_THAT(problems, ::testing::Not(HasSubstr("PLANTED")));
}

TEST(SecretfsYaml, ManyProblemsAreCutShort) {
  std::string text = "stores: {a: {local: {}}}\nfiles:\n";
  for (int i = 0; i < 200; ++i) text += Format("  - {{path: ../{}, key: k}}\n", i);
  const std::string problems = ProblemsOf(text);
  EXPECT_EQ(std::count(problems.begin(), problems.end(), '\n'), 50);
  EXPECT_THAT(problems, ::testing::EndsWith("\nand 150 more problems"));
}

TEST(SecretfsYaml, FilesThatCannotBeRead) {
  const absl::StatusOr<Manifest> manifest = ReadManifests({"/nonexistent/m.yaml", "/"});
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(MessageOf(manifest.status()),
            "/nonexistent/m.yaml: cannot be opened: No such file or directory\n"
            "/: cannot be read: Is a directory");
}

}  // namespace
}  // namespace secretfs::k8s
