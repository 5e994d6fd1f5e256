#include "cedana/plugin/storage_url.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace cedana::plugin {
namespace {

constexpr size_t kSchemeBytesMax = 32;
constexpr char kFileScheme[] = "file";

std::string SchemeOf(absl::string_view text) {
  const std::string scheme = absl::AsciiStrToLower(text);
  return scheme == "gs" ? "gcs" : scheme;
}

bool IsScheme(absl::string_view text) {
  return !text.empty() && text.size() <= kSchemeBytesMax && absl::ascii_isalpha(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-'; });
}

}  // namespace

std::string StorageUrl::ToString() const {
  return absl::StrCat(scheme, scheme == kFileScheme ? ":///" : "://", path);
}

StorageUrl StorageUrl::Parent() const {
  const size_t slash = path.rfind('/');
  return {scheme, slash == std::string::npos ? "" : path.substr(0, slash)};
}

StorageUrl StorageUrl::Child(absl::string_view name) const {
  return {scheme, absl::StrCat(path, "/", name)};
}

absl::StatusOr<StorageUrl> ParseStorageUrl(absl::string_view text) {
  const size_t mark = text.find("://");
  if (mark == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\" is not a storage URL: give one like cedana://my-checkpoints (--dir, or ",
        "checkpoint.dir); folders of this machine are not supported yet"));
  }
  const absl::string_view scheme = text.substr(0, mark);
  if (!IsScheme(scheme)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" has no valid scheme: give one like cedana://my-checkpoints"));
  }
  const std::string name = SchemeOf(scheme);
  absl::string_view path = text.substr(mark + 3);
  if (name == kFileScheme && !absl::StartsWith(path, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" needs an absolute path: file:///", path));
  }
  absl::ConsumePrefix(&path, "/");
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" names no place: give one like ",
                                                   StorageUrl{name, "my-checkpoints"}.ToString()));
  }
  return StorageUrl{name, std::string(path)};
}

}  // namespace cedana::plugin
