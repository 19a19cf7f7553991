#pragma once

// TLS certificates made at run time for tests: an authority, and certificates that it signs.
// Nothing is kept; every object has new keys (P-256, valid for an hour unless asked otherwise). Not
// thread-safe.

#include <memory>
#include <string>
#include <vector>

namespace secretfs::fakes {

struct CertificateAndKey {
  std::string certificate;  // PEM
  std::string key;          // PEM, not encrypted
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "secretfs test authority");
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  // PEM of the authority's own certificate.
  const std::string& certificate() const { return certificate_; }

  // A server's or client's certificate. Each of `names` is a subject alternative name as OpenSSL
  // writes it: "DNS:example.test", "IP:127.0.0.1".
  CertificateAndKey Issue(const std::string& common_name,
                          const std::vector<std::string>& names = {"IP:127.0.0.1",
                                                                   "DNS:localhost"}) const;
  // One that ran out a minute ago.
  CertificateAndKey IssueExpired(const std::string& common_name,
                                 const std::vector<std::string>& names = {"IP:127.0.0.1",
                                                                          "DNS:localhost"}) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::string certificate_;
};

// A server's certificate that no authority signed.
CertificateAndKey SelfSigned(const std::string& common_name,
                             const std::vector<std::string>& names = {"IP:127.0.0.1",
                                                                      "DNS:localhost"});

}  // namespace secretfs::fakes
