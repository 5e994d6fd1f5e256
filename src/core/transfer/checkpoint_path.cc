#include "core/transfer/checkpoint_path.h"

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::transfer {
namespace {

constexpr absl::string_view kSuffixes[] = {".tar", ".tar.gz", ".tar.lz4", ".tar.zlib", ".tar.zst"};

// Bytes of the UTF-8 sequence that `text` starts with, 0 when it is malformed: overlong forms,
// surrogates and values past U+10FFFF included, for two spellings of one name must not exist.
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (byte(0) < 0x80) return 1;
  size_t length = 0;
  uint32_t value = 0;
  uint32_t least = 0;
  if ((byte(0) & 0xE0) == 0xC0) {
    length = 2, value = byte(0) & 0x1F, least = 0x80;
  } else if ((byte(0) & 0xF0) == 0xE0) {
    length = 3, value = byte(0) & 0x0F, least = 0x800;
  } else if ((byte(0) & 0xF8) == 0xF0) {
    length = 4, value = byte(0) & 0x07, least = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    value = value << 6 | (byte(i) & 0x3F);
  }
  if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 0;
  if (value < 0xA0) return 0;  // C1 control characters
  return length;
}

absl::Status CheckCharacters(absl::string_view path) {
  while (!path.empty()) {
    const size_t length = SequenceLength(path);
    if (length == 0) return absl::InvalidArgumentError("path: not clean UTF-8");
    const auto first = static_cast<uint8_t>(path[0]);
    if (first < 0x20 || first == 0x7F) {
      return absl::InvalidArgumentError("path: has a control character");
    }
    path.remove_prefix(length);
  }
  return absl::OkStatus();
}

absl::Status CheckSegments(absl::string_view path) {
  for (absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment.empty()) return absl::InvalidArgumentError("path: has an empty segment");
    if (segment == "." || segment == "..") {
      return absl::InvalidArgumentError("path: `.` and `..` are not allowed");
    }
    if (segment.size() > base::kPathSegmentBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("path: a segment is longer than ", base::kPathSegmentBytesMax, " bytes"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPath(absl::string_view path) {
  if (path.size() > base::kCheckpointPathBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("path: longer than ", base::kCheckpointPathBytesMax, " bytes"));
  }
  CEDANA_RETURN_IF_ERROR(CheckCharacters(path));
  return CheckSegments(path);
}

}  // namespace

absl::string_view ViewSuffix(absl::string_view text) {
  for (absl::string_view suffix : kSuffixes) {
    if (absl::EndsWith(text, suffix)) return suffix;
  }
  return "";
}

absl::string_view SuffixOfCodec(absl::string_view codec) {
  if (codec == "gzip") return ".tar.gz";
  if (codec == "lz4") return ".tar.lz4";
  if (codec == "zlib") return ".tar.zlib";
  if (codec == "zstd") return ".tar.zst";
  return ".tar";
}

absl::StatusOr<std::string> NormalisePath(absl::string_view text) {
  absl::ConsumePrefix(&text, "/");
  if (text.empty()) return absl::InvalidArgumentError("path: empty");
  CEDANA_RETURN_IF_ERROR(CheckPath(text));
  for (absl::string_view suffix = ViewSuffix(text); !suffix.empty(); suffix = ViewSuffix(text)) {
    text.remove_suffix(suffix.size());
  }
  if (text.empty() || absl::EndsWith(text, "/")) {
    return absl::InvalidArgumentError("path: no name before the suffix");
  }
  CEDANA_RETURN_IF_ERROR(CheckSegments(text));
  return std::string(text);
}

absl::StatusOr<std::string> NormaliseFile(absl::string_view text) {
  absl::ConsumePrefix(&text, "/");
  if (text.empty()) return absl::InvalidArgumentError("path: empty");
  CEDANA_RETURN_IF_ERROR(CheckPath(text));
  return absl::StrCat("/", text);
}

absl::StatusOr<std::string> NormaliseFolder(absl::string_view text) {
  absl::ConsumePrefix(&text, "/");
  if (text.empty()) return std::string();
  absl::ConsumeSuffix(&text, "/");
  CEDANA_RETURN_IF_ERROR(CheckPath(text));
  return std::string(text);
}

}  // namespace cedana::transfer
