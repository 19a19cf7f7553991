// The provider against a server that answers as the test says: what a real API server does only now
// and then. tests/integration/kubernetes asks a real one.

#include "providers/kubernetes/kubernetes_provider.h"

#include <gmock/gmock.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/io_thread.h"
#include "base/status.h"
#include "base/text.h"
#include "tests/fakes/http_test_server.h"

namespace secretfs::providers {
namespace {

using absl::StatusCode;
using fakes::HttpTestServer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Response = HttpTestServer::Response;

constexpr char kSecrets[] = "/api/v1/namespaces/team/secrets";

Response Json(std::string body, int status = 200) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = {{"Content-Type", "application/json"}};
  return response;
}

Response Failure(int status, const std::string& message) {
  return Json(
      Format(R"({{"kind":"Status","status":"Failure","message":"{}","code":{}}})", message, status),
      status);
}

std::string Object(const std::string& name, int version) {
  return Format(R"({{"metadata":{{"name":"{}","uid":"u","resourceVersion":"{}"}}}})", name,
                version);
}

Response SecretAnswer(const std::string& name, int version, const std::string& base64) {
  return Json(Format(R"({{"kind":"Secret","metadata":{{"name":"{}","uid":"u",)"
                     R"("resourceVersion":"{}"}},"data":{{"v":"{}"}}}})",
                     name, version, base64));
}

Response List(int version, const std::vector<std::string>& objects) {
  std::string items;
  for (const std::string& object : objects) items += (items.empty() ? "" : ",") + object;
  return Json(Format(R"({{"metadata":{{"resourceVersion":"{}"}},"items":[{}]}})", version, items));
}

std::string Event(const std::string& type, const std::string& object) {
  return Format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
}

// A stream of events that ends in order.
Response Events(const std::string& events) {
  Response response = Json(events);
  response.chunked = true;
  return response;
}

// One that stays open: its pieces come at SendNext.
Response OpenStream(std::vector<std::string> pieces) {
  Response response;
  response.raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& piece : pieces) {
    response.later.push_back(Format("{:x}\r\n{}\r\n", piece.size(), piece));
  }
  response.later.emplace_back();  // waits for ever
  return response;
}

class KubernetesProviderTest : public ::testing::Test {
 protected:
  KubernetesProviderTest() : server_([this](const auto& request) { return AnswerTo(request); }) {
    io_.Start();
    KubernetesStoreConfig config;
    config.server.url = server_.Url("");
    KubernetesTokenAuth auth;
    auth.token.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf("token"));
    config.server.auth = auth;
    config.remote_namespace = "team";
    auto made = MakeKubernetesProvider(config, io_.context(), clock_, io_.scheduler());
    EXPECT_TRUE(made.ok()) << made.status();
    provider_ = *std::move(made);
  }
  ~KubernetesProviderTest() override {
    StopWatch();
    io_.RunAndWait([this] { provider_.reset(); });
    io_.Stop();
  }

  // What is answered to requests for this, one after the other; the last one for ever. `what` is
  // "list", "watch RESOURCEVERSION" or a Secret's name.
  void Answer(const std::string& what, std::vector<Response> responses) {
    absl::MutexLock lock(&mutex_);
    answers_[what].assign(responses.begin(), responses.end());
  }
  // What has been asked, in the same words.
  std::vector<std::string> Asked() const {
    absl::MutexLock lock(&mutex_);
    return asked_;
  }

  absl::StatusOr<SecretPtr> Fetch(const std::string& name) {
    std::vector<SecretRef> refs = {{name, ""}};
    auto results = asio::co_spawn(io_.context(),
                                  provider_->Fetch(std::move(refs), {clock_.Now() + seconds(10)}),
                                  asio::use_future)
                       .get();
    return std::move(results[0]);
  }

  void StartWatch() {
    ended_ = std::promise<absl::Status>();
    ended_future_ = ended_.get_future();
    ChangeCallback changed = [this](const ChangeSet& changes) {
      absl::MutexLock lock(&mutex_);
      if (changes.everything) reports_.push_back("*");
      for (const std::string& key : changes.keys) reports_.push_back(key);
      reported_.SignalAll();
    };
    io_.RunAndWait([&] {
      asio::co_spawn(io_.context(), provider_->Watch("", std::move(changed)),
                     asio::bind_cancellation_slot(
                         cancel_.slot(), [this](const std::exception_ptr&, absl::Status status) {
                           ended_.set_value(std::move(status));
                         }));
    });
  }
  // How the watch ended by itself.
  absl::Status WatchEnd() {
    if (ended_future_.wait_for(seconds(10)) != std::future_status::ready) {
      return absl::UnknownError("the watch goes on");
    }
    return ended_future_.get();
  }
  void StopWatch() {
    if (!ended_future_.valid()) return;
    io_.RunAndWait([this] { cancel_.emit(asio::cancellation_type::terminal); });
    EXPECT_EQ(ended_future_.wait_for(seconds(10)), std::future_status::ready);
  }
  std::vector<std::string> Reports(size_t count) {
    absl::MutexLock lock(&mutex_);
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (reports_.size() < count && !reported_.WaitWithDeadline(&mutex_, end)) {
    }
    return reports_;
  }

  IoThread io_;
  SystemClock clock_;
  HttpTestServer server_;
  std::shared_ptr<Provider> provider_;

 private:
  static std::string WhatIs(const std::string& target) {
    const std::string rest = target.substr(std::string(kSecrets).size());
    if (rest.starts_with("/")) return rest.substr(1);
    const size_t version = rest.find("resourceVersion=");
    if (rest.find("watch=1") == std::string::npos) return "list";
    return "watch " + rest.substr(version + 16, rest.find('&', version) - version - 16);
  }
  Response AnswerTo(const HttpTestServer::Request& request) {
    EXPECT_EQ(request.header("authorization"), "Bearer token");
    EXPECT_TRUE(request.target.starts_with(kSecrets)) << request.target;
    const std::string what = WhatIs(request.target);
    absl::MutexLock lock(&mutex_);
    asked_.push_back(what);
    std::deque<Response>& answers = answers_[what];
    if (answers.empty()) return Failure(404, "not found");
    Response response = answers.front();
    if (answers.size() > 1) answers.pop_front();
    return response;
  }

  mutable absl::Mutex mutex_;
  absl::CondVar reported_;
  // --- protected by mutex_:
  std::map<std::string, std::deque<Response>> answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> reports_ ABSL_GUARDED_BY(mutex_);

  asio::cancellation_signal cancel_;
  std::promise<absl::Status> ended_;
  std::future<absl::Status> ended_future_;
};

TEST_F(KubernetesProviderTest, AWatchThatEndsInOrderGoesOnWhereItWas) {
  Answer("list", {List(10, {})});
  Answer("watch 10", {Events(Event("ADDED", Object("a", 11)) + Event("BOOKMARK", Object("", 15)))});
  Answer("watch 15", {OpenStream({Event("MODIFIED", Object("b", 16))})});
  StartWatch();
  EXPECT_THAT(Reports(1), ElementsAre("a"));
  server_.SendNext();
  EXPECT_THAT(Reports(2), ElementsAre("a", "b"));
  EXPECT_THAT(Asked(), ElementsAre("list", "watch 10", "watch 15"));
}

TEST_F(KubernetesProviderTest, EventsThatComeInPiecesAreReportedOnceWhole) {
  const std::string event = Event("MODIFIED", Object("db", 11));
  Answer("list", {List(10, {})});
  Answer("watch 10", {OpenStream({event.substr(0, 20), event.substr(20) + event.substr(0, 5)})});
  StartWatch();
  server_.SendNext();
  server_.SendNext();
  EXPECT_THAT(Reports(1), ElementsAre("db"));
}

TEST_F(KubernetesProviderTest, GoneInTheAnswerOrInTheStreamMeansToListAnew) {
  Answer("a", {SecretAnswer("a", 9, "eA==")});
  ASSERT_TRUE(Fetch("a").ok());
  const std::string gone = Event("ERROR", R"({"kind":"Status","message":"too old","code":410})");
  Answer("list", {List(10, {Object("a", 9)}), List(20, {Object("a", 15)}),
                  List(30, {Object("a", 25)}), List(40, {Object("a", 9)})});
  Answer("watch 10", {Failure(410, "too old")});
  Answer("watch 20", {Events(gone)});
  Answer("watch 30", {OpenStream({})});
  StartWatch();
  EXPECT_THAT(Reports(2), ElementsAre("a", "a"));
  const std::vector<std::string> expected = {"a",        "list", "watch 10", "list",
                                             "watch 20", "list", "watch 30"};
  for (int i = 0; i < 1000 && Asked().size() < expected.size(); ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_EQ(Asked(), expected);
}

TEST_F(KubernetesProviderTest, AServerThatEndsEveryWatchAtOnceIsLeftAlone) {
  Answer("list", {List(10, {})});
  Answer("watch 10", {Events("")});
  StartWatch();
  const absl::Status end = WatchEnd();
  EXPECT_EQ(end.code(), StatusCode::kUnavailable);
  EXPECT_THAT(end.ToString(), HasSubstr("again and again"));
  EXPECT_EQ(Asked().size(), 5u) << "one list, four watches";
}

TEST_F(KubernetesProviderTest, WhatIsNoEventEndsTheWatchWithoutBeingQuoted) {
  Answer("list", {List(10, {})});
  for (const std::string& line : {std::string("planted\n"), std::string("{\"type\":\"planted\"}\n"),
                                  std::string("{\"type\":\"ADDED\"}\n")}) {
    Answer("watch 10", {Events(line)});
    StartWatch();
    const absl::Status end = WatchEnd();
    EXPECT_EQ(end.code(), StatusCode::kUnavailable) << line;
    EXPECT_THAT(end.ToString(), Not(HasSubstr("planted")));
  }
}

TEST_F(KubernetesProviderTest, AnEndlessEventEndsTheWatch) {
  Answer("list", {List(10, {})});
  Answer("watch 10", {Events(std::string(size_t{5} << 20, 'x'))});
  StartWatch();
  const absl::Status end = WatchEnd();
  EXPECT_EQ(end.code(), StatusCode::kUnavailable);
  EXPECT_THAT(end.ToString(), HasSubstr("longer than the limit"));
}

TEST_F(KubernetesProviderTest, AReadThatTheListOvertookIsReported) {
  Response slow = SecretAnswer("db", 9, "eA==");
  slow.hold = true;
  Answer("db", {slow});
  Answer("list", {List(10, {Object("db", 10)})});
  Answer("watch 10", {OpenStream({})});
  std::vector<SecretRef> refs = {{"db", ""}};
  auto read =
      asio::co_spawn(io_.context(), provider_->Fetch(std::move(refs), {clock_.Now() + seconds(10)}),
                     asio::use_future);
  ASSERT_TRUE(server_.WaitForRequests(1));
  StartWatch();
  ASSERT_TRUE(server_.WaitForRequests(3));
  // The list has been read when the watch is asked for.
  server_.Release();
  EXPECT_TRUE(read.get()[0].ok());
  EXPECT_THAT(Reports(1), ElementsAre("db"));
}

TEST_F(KubernetesProviderTest, TheSameDataIsTheSameSecret) {
  Answer("db", {SecretAnswer("db", 5, "eA=="), SecretAnswer("db", 6, "eA=="),
                SecretAnswer("db", 7, "eQ==")});
  const auto first = Fetch("db"), second = Fetch("db"), third = Fetch("db");
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  EXPECT_EQ(*first, *second) << "one object in memory";
  EXPECT_EQ((*third)->version, "7@u");
}

TEST_F(KubernetesProviderTest, ThrottlingCarriesTheServersDelay) {
  Response response = Failure(429, "too many requests");
  response.headers.emplace_back("Retry-After", "3");
  Answer("db", {response});
  const auto result = Fetch("db");
  EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfter(result.status()), milliseconds(3000));
  EXPECT_THAT(result.status().ToString(), HasSubstr("too many requests"));
}

TEST_F(KubernetesProviderTest, AnExpiredPageGoesOnWhereTheServerSays) {
  Answer("list", {Json(R"({"kind":"Status","metadata":{"continue":"c2"},"code":410})", 410),
                  Failure(410, "gone")});
  const auto list = [this] {
    return asio::co_spawn(io_.context(), provider_->List("", "c1", {clock_.Now() + seconds(10)}),
                          asio::use_future)
        .get();
  };
  const auto replaced = list();
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_TRUE(replaced->entries.empty());
  EXPECT_EQ(replaced->next_page, "c2");
  EXPECT_EQ(list().status().code(), StatusCode::kAborted);
}

TEST(KubernetesConfiguration, WhatCannotWorkIsRefused) {
  IoThread io;
  const SystemClock clock;
  const auto error_of = [&](const KubernetesStoreConfig& config) {
    const auto made = MakeKubernetesProvider(config, io.context(), clock, io.scheduler());
    EXPECT_EQ(made.status().code(), StatusCode::kInvalidArgument);
    return made.status().ToString();
  };
  KubernetesStoreConfig config;
  EXPECT_THAT(error_of(config), HasSubstr("server.url"));
  config.server.url = "kubernetes:6443";
  EXPECT_THAT(error_of(config), HasSubstr("no way to authenticate"));
  config.server.auth = KubernetesTokenAuth{};
  EXPECT_THAT(error_of(config), HasSubstr("needs a token"));
  config.server.auth = KubernetesCertificateAuth{};
  EXPECT_THAT(error_of(config), HasSubstr("needs a certificate"));
  config.server.tls.client_certificate_file = "/c";
  EXPECT_THAT(error_of(config), HasSubstr("must be one such as https://"));
  config.server.url = "https://user@host";
  EXPECT_THAT(error_of(config), HasSubstr("without user"));
  // A kubeconfig's server, say: its bearer token would travel in clear.
  config.server.tls.skip_verify = true;
  for (const char* url : {"http://host", "http://127.evil.example:6443", "http://localhost.evil"}) {
    config.server.url = url;
    EXPECT_THAT(error_of(config), HasSubstr("without TLS")) << url;
  }
  config.server.url = "https://host";
  config.remote_namespace = "a/b";
  EXPECT_THAT(error_of(config), HasSubstr("remoteNamespace 'a/b'"));
  config.remote_namespace = "team";
  config.service_account = {.name = "..", .name_space = "team", .audiences = {}};
  EXPECT_THAT(error_of(config), HasSubstr("serviceAccount"));
}

}  // namespace
}  // namespace secretfs::providers
