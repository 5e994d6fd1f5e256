#include "core/objstore/credentials.h"

#include <map>
#include <set>

#include "absl/base/const_init.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "core/base/environment.h"
#include "core/base/fd.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/status.h"

namespace cedana::objstore {
namespace {

constexpr size_t kFileBytesMax = 64u << 10;

absl::Status Bad(absl::string_view text) { return absl::InvalidArgumentError(text); }

// The members of one section of an ini file.
std::map<std::string, std::string> IniSection(absl::string_view text, absl::string_view section) {
  std::map<std::string, std::string> members;
  bool inside = false;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      inside = line == absl::StrCat("[", section, "]");
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (!inside || parts.second.empty()) continue;
    members[absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts.first))] =
        std::string(absl::StripAsciiWhitespace(parts.second));
  }
  return members;
}

// What goes into a header or a URL as it is.
absl::Status CheckToken(absl::string_view name, absl::string_view value) {
  if (value.empty()) return Bad(absl::StrCat("credentials: ", name, " is missing"));
  for (const char c : value) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return Bad(absl::StrCat("credentials: ", name, " has a byte that cannot be sent"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Credentials> Checked(S3Credentials s3) {
  CEDANA_RETURN_IF_ERROR(CheckToken("access_key_id", s3.access_key_id));
  CEDANA_RETURN_IF_ERROR(CheckToken("secret_access_key", s3.secret_access_key));
  if (!s3.session_token.empty()) {
    CEDANA_RETURN_IF_ERROR(CheckToken("session_token", s3.session_token));
  }
  Credentials credentials;
  credentials.s3 = std::move(s3);
  return credentials;
}

absl::StatusOr<Credentials> Checked(GcsCredentials gcs) {
  CEDANA_RETURN_IF_ERROR(CheckToken("client_email", gcs.client_email));
  if (!absl::StrContains(gcs.private_key, "PRIVATE KEY-----")) {
    return Bad("credentials: private_key is not a PEM key");
  }
  Credentials credentials;
  credentials.gcs = std::move(gcs);
  return credentials;
}

absl::StatusOr<Credentials> Checked(AzureCredentials azure) {
  if (azure.key.empty() == azure.sas.empty()) return Bad("credentials: need one of key and sas");
  if (!azure.key.empty()) {
    CEDANA_RETURN_IF_ERROR(CheckToken("account", azure.account));
    std::string bytes;
    if (!absl::Base64Unescape(azure.key, &bytes)) return Bad("credentials: key is not base64");
  } else {
    CEDANA_RETURN_IF_ERROR(CheckToken("sas", azure.sas));
    if (azure.sas[0] == '?') azure.sas.erase(0, 1);
    if (!absl::StrContains(azure.sas, "sig=")) return Bad("credentials: sas has no signature");
  }
  Credentials credentials;
  credentials.azure = std::move(azure);
  return credentials;
}

absl::StatusOr<Credentials> ParseJsonCredentials(Dialect dialect, const std::string& text) {
  const absl::StatusOr<base::Json> json = base::ParseJson(text);
  if (!json.ok() || !json->is_object()) return Bad("credentials: not a JSON object");
  const auto member = [&](absl::string_view name) { return base::StringOr(*json, name, ""); };
  switch (dialect) {
    case Dialect::kS3:
      return Checked(S3Credentials{member("access_key_id"), member("secret_access_key"),
                                   member("session_token")});
    case Dialect::kGcs:
      if (member("type") != "service_account") {
        return Bad("credentials: \"type\" must be \"service_account\", for only its key can sign");
      }
      return Checked(GcsCredentials{member("client_email"), member("private_key")});
    case Dialect::kAzure:
      return Checked(AzureCredentials{member("account"), member("key"), member("sas")});
    case Dialect::kDirectory:
      break;
  }
  return Credentials{};
}

// Their modes are not always the operator's choice (mounts of secrets, say), so such a file is
// used, and said once.
void WarnWhereOthersCanRead(const std::string& path) {
  const absl::Status status = base::CheckPrivate(path);
  if (!absl::IsPermissionDenied(status)) return;
  static absl::Mutex mutex(absl::kConstInit);
  static auto& said = *new std::set<std::string>();
  const absl::MutexLock lock(&mutex);
  if (said.insert(path).second) base::LogWarn("credentials", {{"error", status.message()}});
}

absl::StatusOr<Credentials> FromFile(Dialect dialect, const std::string& path,
                                     const std::string& profile) {
  const absl::StatusOr<std::string> text = base::ReadFile(path, kFileBytesMax);
  if (!text.ok()) return base::Annotate(text.status(), "credentials");
  WarnWhereOthersCanRead(path);
  absl::StatusOr<Credentials> credentials = ParseCredentials(dialect, *text, profile);
  if (!credentials.ok()) return base::Annotate(credentials.status(), path);
  return credentials;
}

absl::Status None(absl::string_view where) {
  return absl::UnauthenticatedError(
      absl::StrCat("no credentials: give credentials=/path, or set ", where));
}

std::string Variable(const char* name) { return base::GetEnv(name).value_or(""); }

absl::StatusOr<Credentials> FromEnvironment(const StoreUrl& url) {
  switch (url.dialect) {
    case Dialect::kS3:
      if (const std::string id = Variable("AWS_ACCESS_KEY_ID"); !id.empty()) {
        return Checked(
            S3Credentials{id, Variable("AWS_SECRET_ACCESS_KEY"), Variable("AWS_SESSION_TOKEN")});
      }
      if (const std::string path = Variable("AWS_SHARED_CREDENTIALS_FILE"); !path.empty()) {
        return FromFile(url.dialect, path, base::GetEnv("AWS_PROFILE").value_or("default"));
      }
      return None("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    case Dialect::kGcs:
      if (const std::string path = Variable("GOOGLE_APPLICATION_CREDENTIALS"); !path.empty()) {
        return FromFile(url.dialect, path, "");
      }
      return None("GOOGLE_APPLICATION_CREDENTIALS");
    case Dialect::kAzure: {
      AzureCredentials azure{Variable("AZURE_STORAGE_ACCOUNT"), Variable("AZURE_STORAGE_KEY"),
                             Variable("AZURE_STORAGE_SAS_TOKEN")};
      if (azure.account.empty()) azure.account = url.account;
      if (!azure.key.empty()) azure.sas.clear();
      if (!azure.key.empty() || !azure.sas.empty()) return Checked(std::move(azure));
      return None("AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY");
    }
    case Dialect::kDirectory:
      break;
  }
  return Credentials{};
}

}  // namespace

absl::StatusOr<Credentials> ParseCredentials(Dialect dialect, const std::string& text,
                                             const std::string& profile) {
  const absl::string_view stripped = absl::StripAsciiWhitespace(text);
  if (absl::StartsWith(stripped, "{")) return ParseJsonCredentials(dialect, text);
  if (dialect == Dialect::kAzure && absl::StrContains(stripped, "sig=")) {
    return Checked(AzureCredentials{.sas = std::string(stripped)});
  }
  if (dialect != Dialect::kS3) return Bad("credentials: not a JSON object");
  std::map<std::string, std::string> members = IniSection(text, profile);
  if (members.empty()) return Bad(absl::StrCat("credentials: no section [", profile, "]"));
  return Checked(S3Credentials{members["aws_access_key_id"], members["aws_secret_access_key"],
                               members["aws_session_token"]});
}

absl::StatusOr<Credentials> LoadCredentials(const StoreUrl& url) {
  if (url.dialect == Dialect::kDirectory) return Credentials{};
  if (!url.credentials_file.empty()) return FromFile(url.dialect, url.credentials_file, "default");
  return FromEnvironment(url);
}

}  // namespace cedana::objstore
