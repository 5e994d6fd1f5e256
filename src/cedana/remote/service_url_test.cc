#include "cedana/remote/service_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cedana::remote {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(ServiceUrl, OnlySchemeHostAndPortCount) {
  EXPECT_EQ(*ParseServiceUrl("https://Storage.Example.com/v1"), "https://storage.example.com");
  EXPECT_EQ(*ParseServiceUrl(" HTTPS://a:8443/v1?x=1#y \n"), "https://a:8443");
  EXPECT_EQ(*ParseServiceUrl("http://127.0.0.1:7070/v1/"), "http://127.0.0.1:7070");
}

TEST(ServiceUrl, PlainHttpIsForLoopbackOnly) {
  for (const char* url :
       {"http://localhost", "http://LOCALHOST:1", "http://127.9.8.7", "http://[::1]:7070"}) {
    EXPECT_TRUE(ParseServiceUrl(url).ok()) << url;
  }
  for (const char* url :
       {"http://example.com", "http://10.0.0.1:80", "http://127.0.0.1.example.com",
        "http://localhost.example.com", "http://[::2]", "http://127.0.1", "http://0177.0.0.1",
        "http://128.0.0.1", "http://127.0.0.256"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseServiceUrl(url).status())) << url;
  }
  EXPECT_THAT(std::string(ParseServiceUrl("http://example.com").status().message()),
              AllOf(HasSubstr("connection.url"), HasSubstr("https://")));
}

TEST(ServiceUrl, NonsenseIsRefused) {
  for (const char* url : {"", "127.0.0.1:7070", "ftp://a", "https://", "https://:80",
                          "https://a:port", "https://a:0", "https://a:70000", "https://u:p@a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseServiceUrl(url).status())) << url;
  }
  EXPECT_THAT(std::string(ParseServiceUrl("https://user:hush@a").status().message()),
              Not(HasSubstr("hush")));
}

TEST(ServiceUrl, GrantsKeepTheSameRule) {
  EXPECT_EQ(*ResolveGrantUrl("http://127.0.0.1:7070", "/v3/objects/a/b?sig=x"),
            "http://127.0.0.1:7070/v3/objects/a/b?sig=x");
  EXPECT_EQ(*ResolveGrantUrl("https://a", "https://b/c?sig=x"), "https://b/c?sig=x");
  const absl::Status status = ResolveGrantUrl("https://a", "http://b/c?sig=secret").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace cedana::remote
