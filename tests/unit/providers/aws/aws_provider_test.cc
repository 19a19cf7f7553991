// The provider against a server that answers as the test says: throttling, outages, a second
// region, a clock that is wrong. tests/integration/aws asks moto.

#include "providers/aws/aws_provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "tests/fakes/http_test_server.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::providers {
namespace {

using absl::StatusCode;
using fakes::HttpTestServer;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Value(const std::string& name, const std::string& value) {
  return Format(R"({{"ARN":"arn:{0}","Name":"{0}","VersionId":"v","SecretString":"{1}"}})", name,
                value);
}

// One region: answers each action as it was told, else 400.
class Region {
 public:
  void Answer(const std::string& action, int status, const std::string& body) {
    HttpTestServer::Response response;
    response.status = status;
    response.body = body;
    Answer(action, [response](const HttpTestServer::Request&) { return response; });
  }
  void Answer(const std::string& action, HttpTestServer::Handler handler) {
    const std::lock_guard lock(mutex_);
    answers_[action] = std::move(handler);
  }
  std::string Url() const { return server_.Url(""); }
  std::vector<std::string> Actions() const {
    std::vector<std::string> actions;
    for (const auto& request : server_.requests()) actions.push_back(ActionOf(request));
    return actions;
  }
  HttpTestServer& server() { return server_; }

 private:
  static std::string ActionOf(const HttpTestServer::Request& request) {
    const std::string target = request.header("x-amz-target");
    return target.substr(std::min(target.find('.'), target.size() - 1) + 1);
  }
  HttpTestServer::Response Handle(const HttpTestServer::Request& request) {
    const std::lock_guard lock(mutex_);
    const auto found = answers_.find(ActionOf(request));
    if (found != answers_.end()) return found->second(request);
    HttpTestServer::Response response;
    response.status = 400;
    return response;
  }
  std::mutex mutex_;
  std::map<std::string, HttpTestServer::Handler> answers_;
  HttpTestServer server_{
      [this](const HttpTestServer::Request& request) { return Handle(request); }};
};

class AwsProviderTest : public ::testing::Test {
 protected:
  AwsStoreConfig Config() {
    AwsStoreConfig config;
    config.region = "eu-central-1";
    config.endpoint = first_.Url();
    AwsStaticAuth keys;
    keys.access_key_id = Inline("AKID");
    keys.secret_access_key = Inline("planted-secret");
    config.auth = keys;
    return config;
  }
  AwsStoreConfig WithFailover() {
    AwsStoreConfig config = Config();
    config.failover_region = "eu-west-1";
    config.failover_endpoint = second_.Url();
    return config;
  }
  static CredentialSource Inline(std::string_view text) {
    CredentialSource source;
    source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
    return source;
  }
  absl::StatusOr<std::shared_ptr<Provider>> TryMake(const AwsStoreConfig& config) {
    AwsSurroundings surroundings;
    surroundings.variable =
        [variables = variables_](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
    return MakeAwsProvider(config, context_, clock_, clock_, surroundings);
  }
  Provider& Make(const AwsStoreConfig& config) {
    auto provider = TryMake(config);
    EXPECT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
    return *provider_;
  }
  template <typename T>
  T Wait(asio::awaitable<T> coroutine) {
    auto future = asio::co_spawn(context_, std::move(coroutine), asio::use_future);
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (future.wait_for(seconds(0)) != std::future_status::ready) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("no end");
      context_.restart();
      context_.run_for(std::chrono::milliseconds(2));
    }
    return future.get();
  }
  using Result = absl::StatusOr<SecretPtr>;
  std::vector<Result> FetchAll(Provider& provider, std::vector<SecretRef> refs) {
    return Wait(provider.Fetch(std::move(refs), {clock_.Now() + seconds(10)}));
  }
  Result Fetch(Provider& provider, const std::string& key, const std::string& version = {}) {
    return std::move(FetchAll(provider, {{key, version}}).at(0));
  }
  static std::string Text(const Result& result) {
    if (!result.ok()) return result.status().ToString();
    return std::string((*result)->value.ExposeAsText());
  }

  std::map<std::string, std::string> variables_;
  Region first_, second_;
  asio::io_context context_;
  fakes::ManualClock clock_;
  std::shared_ptr<Provider> provider_;
};

TEST_F(AwsProviderTest, DescriptionsThatCannotWorkAreRefusedAtOnce) {
  const auto refused = [this](const std::function<void(AwsStoreConfig&)>& change) {
    AwsStoreConfig config = Config();
    change(config);
    const auto provider = TryMake(config);
    EXPECT_EQ(provider.status().code(), StatusCode::kInvalidArgument);
    return provider.status().ToString();
  };
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.region = ""; }), HasSubstr("AWS_REGION"));
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.region = "x/y"; }), HasSubstr("x/y"));
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.endpoint = "here"; }), HasSubstr("endpoint"));
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.role = "reader"; }), HasSubstr("arn:aws:iam"));
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.external_id = "x"; }), HasSubstr("externalID"));
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.failover_region = c.region; }),
              HasSubstr("another"));
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.auth = AwsStaticAuth{}; }), HasSubstr("secret"));
  EXPECT_THAT(refused([](AwsStoreConfig& c) { c.auth = AwsWebIdentityAuth{}; }),
              HasSubstr("token"));
  variables_["AWS_REGION"] = "eu-north-1";
  AwsStoreConfig config = Config();
  config.region = "";
  EXPECT_TRUE(TryMake(config).ok());
}

TEST_F(AwsProviderTest, RequestsAreSignedForTheServiceAndNameIt) {
  first_.Answer("GetSecretValue", 200, Value("a", "x"));
  EXPECT_EQ(Text(Fetch(Make(Config()), "a")), "x");
  const HttpTestServer::Request request = first_.server().requests().at(0);
  EXPECT_EQ(request.method + " " + request.target, "POST /");
  EXPECT_EQ(request.header("content-type"), "application/x-amz-json-1.1");
  EXPECT_EQ(request.header("x-amz-target"), "secretsmanager.GetSecretValue");
  EXPECT_EQ(request.body, R"({"SecretId":"a"})");
  EXPECT_THAT(request.header("authorization"),
              AllOf(HasSubstr("AWS4-HMAC-SHA256 Credential=AKID/20270115/eu-central-1/"
                              "secretsmanager/aws4_request"),
                    HasSubstr("SignedHeaders=content-type;host;x-amz-date;x-amz-target")));
}

TEST_F(AwsProviderTest, TheEnvironmentNamesEndpoints) {
  AwsStoreConfig config = Config();
  config.endpoint = "";
  variables_["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = second_.Url();
  variables_["AWS_ENDPOINT_URL"] = first_.Url();
  second_.Answer("GetSecretValue", 200, Value("a", "second"));
  EXPECT_EQ(Text(Fetch(Make(config), "a")), "second");
}

TEST_F(AwsProviderTest, ThrottlingIsToldWithItsPause) {
  first_.Answer("GetSecretValue", [](const HttpTestServer::Request&) {
    HttpTestServer::Response response;
    response.status = 400;
    response.body = R"({"__type":"ThrottlingException","message":"planted-word"})";
    response.headers = {{"Retry-After", "3"}};
    return response;
  });
  const Result result = Fetch(Make(Config()), "a");
  EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfter(result.status()), seconds(3));
  EXPECT_THAT(result.status().ToString(),
              AllOf(HasSubstr("AWS Secrets Manager in eu-central-1, GetSecretValue of 'a'"),
                    Not(HasSubstr("planted"))));
}

TEST_F(AwsProviderTest, AnOutageOfABatchIsOneRequest) {
  first_.Answer("BatchGetSecretValue", 503, "");
  for (const Result& result : FetchAll(Make(Config()), {{"a", ""}, {"b", ""}})) {
    EXPECT_EQ(result.status().code(), StatusCode::kUnavailable);
  }
  EXPECT_THAT(first_.Actions(), ElementsAre("BatchGetSecretValue"));
}

TEST_F(AwsProviderTest, ABatchMayComeInPages) {
  first_.Answer("BatchGetSecretValue", [](const HttpTestServer::Request& request) {
    HttpTestServer::Response response;
    const bool more = request.body.find("page-two") != std::string::npos;
    response.body =
        more ? Format(R"({{"SecretValues":[{}]}})", Value("b", "2"))
             : Format(R"({{"SecretValues":[{}],"NextToken":"page-two"}})", Value("a", "1"));
    return response;
  });
  const auto results = FetchAll(Make(Config()), {{"a", ""}, {"b", ""}});
  EXPECT_EQ(Text(results[0]) + Text(results[1]), "12");
  EXPECT_EQ(first_.Actions().size(), 2u);
}

TEST_F(AwsProviderTest, AClockThatIsWrongIsCorrectedByTheServers) {
  // The server's clock is two hours behind ours. It accepts what is nearly its own time.
  first_.Answer("GetSecretValue", [](const HttpTestServer::Request& request) {
    HttpTestServer::Response response;
    response.headers = {{"Date", "Fri, 15 Jan 2027 07:00:00 GMT"}};
    if (request.header("x-amz-date") == "20270115T070000Z") {
      response.body = Value("a", "in time");
    } else {
      response.status = 400;
      response.body = R"({"__type":"InvalidSignatureException"})";
    }
    return response;
  });
  Provider& provider = Make(Config());
  EXPECT_EQ(Text(Fetch(provider, "a")), "in time");
  EXPECT_EQ(first_.Actions().size(), 2u);
  EXPECT_EQ(Text(Fetch(provider, "b")), "in time");
  EXPECT_EQ(first_.Actions().size(), 3u) << "what was learned is kept";
}

TEST_F(AwsProviderTest, AWrongSignatureAtTheRightTimeIsNotRepeated) {
  first_.Answer("GetSecretValue", [](const HttpTestServer::Request&) {
    HttpTestServer::Response response;
    response.status = 400;
    response.headers = {{"Date", "Fri, 15 Jan 2027 09:00:00 GMT"}};
    response.body = R"({"__type":"InvalidSignatureException"})";
    return response;
  });
  EXPECT_EQ(Fetch(Make(Config()), "a").status().code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(first_.Actions().size(), 1u);
}

TEST_F(AwsProviderTest, TheSecondRegionIsForOutagesOnly) {
  second_.Answer("GetSecretValue", 200, Value("a", "from the second"));
  first_.Answer("GetSecretValue", 400, R"({"__type":"AccessDeniedException"})");
  EXPECT_EQ(Fetch(Make(WithFailover()), "a").status().code(), StatusCode::kPermissionDenied);
  first_.Answer("GetSecretValue", 400, R"({"__type":"ThrottlingException"})");
  EXPECT_EQ(Fetch(Make(WithFailover()), "a").status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(second_.Actions().empty());
  first_.Answer("GetSecretValue", 500, R"({"__type":"InternalServiceError"})");
  EXPECT_EQ(Text(Fetch(Make(WithFailover()), "a")), "from the second");
  EXPECT_THAT(second_.server().requests().at(0).header("authorization"), HasSubstr("/eu-west-1/"));
}

TEST_F(AwsProviderTest, ARegionThatFailedIsLeftAloneForAWhile) {
  first_.Answer("GetSecretValue", 500, "");
  second_.Answer("GetSecretValue", 200, Value("a", "from the second"));
  Provider& provider = Make(WithFailover());
  EXPECT_EQ(Text(Fetch(provider, "a")), "from the second");
  EXPECT_EQ(Text(Fetch(provider, "b")), "from the second");
  EXPECT_EQ(first_.Actions().size(), 1u);
  clock_.Advance(seconds(31));
  first_.Answer("GetSecretValue", 200, Value("a", "from the first"));
  EXPECT_EQ(Text(Fetch(provider, "c")), "from the first");
}

TEST_F(AwsProviderTest, OnlyTheFirstRegionSaysThatSomethingIsNotThere) {
  first_.Answer("GetSecretValue", 500, "");
  second_.Answer("GetSecretValue", 400, R"({"__type":"ResourceNotFoundException"})");
  Provider& provider = Make(WithFailover());
  EXPECT_EQ(Fetch(provider, "a").status().code(), StatusCode::kUnavailable);
  // Now the second is asked first; what it lacks is asked for in the first.
  EXPECT_EQ(Fetch(provider, "a").status().code(), StatusCode::kUnavailable);
  first_.Answer("GetSecretValue", 200, Value("a", "back"));
  EXPECT_EQ(Text(Fetch(provider, "a")), "back");
}

TEST_F(AwsProviderTest, NamesInTheSecondRegionMayDiffer) {
  AwsStoreConfig config = WithFailover();
  config.failover_names[{"a", "AWSPREVIOUS"}] = {"other", "AWSPREVIOUS"};
  first_.Answer("GetSecretValue", 503, "");
  second_.Answer("GetSecretValue", 200, Value("other", "x"));
  EXPECT_EQ(Text(Fetch(Make(config), "a", "AWSPREVIOUS")), "x");
  EXPECT_THAT(second_.server().requests().at(0).body, HasSubstr(R"("SecretId":"other")"));
}

TEST_F(AwsProviderTest, ListingsFailOverAndStayWhereTheyBegan) {
  first_.Answer("ListSecrets", 503, "");
  second_.Answer("ListSecrets", [](const HttpTestServer::Request& request) {
    HttpTestServer::Response response;
    const bool more = request.body.find("page-two") != std::string::npos;
    response.body = more ? R"({"SecretList":[{"Name":"b"}]})"
                         : R"({"SecretList":[{"Name":"a"}],"NextToken":"page-two"})";
    return response;
  });
  Provider& provider = Make(WithFailover());
  const RequestContext context{clock_.Now() + seconds(10)};
  auto page = Wait(provider.List("", "", context));
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->entries.at(0).name, "a");
  page = Wait(provider.List("", page->next_page, context));
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->entries.at(0).name, "b");
  EXPECT_EQ(page->next_page, "");
  EXPECT_EQ(first_.Actions().size(), 1u);
}

TEST_F(AwsProviderTest, NothingOnManyPagesIsNotFoundOnTheLast) {
  first_.Answer("ListSecrets", [](const HttpTestServer::Request& request) {
    HttpTestServer::Response response;
    const bool more = request.body.find("page-two") != std::string::npos;
    response.body = more ? R"({"SecretList":[]})" : R"({"SecretList":[],"NextToken":"page-two"})";
    return response;
  });
  Provider& provider = Make(Config());
  const RequestContext context{clock_.Now() + seconds(10)};
  const auto page = Wait(provider.List("app", "", context));
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(Wait(provider.List("app", page->next_page, context)).status().code(),
            StatusCode::kNotFound);
}

TEST_F(AwsProviderTest, AWebPageIsNoAnswer) {
  first_.Answer("GetSecretValue", 200, "<html>planted-word</html>");
  const Result result = Fetch(Make(Config()), "a");
  EXPECT_EQ(result.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(result.status().ToString(), Not(HasSubstr("planted")));
}

TEST_F(AwsProviderTest, AfterCloseNothingIsSent) {
  Provider& provider = Make(Config());
  Wait(provider.Close({clock_.Now() + seconds(10)}));
  EXPECT_EQ(Fetch(provider, "a").status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(first_.Actions().empty());
}

}  // namespace
}  // namespace secretfs::providers
