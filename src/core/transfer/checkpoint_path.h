// The one place where a checkpoint's path is judged. A path is relative, `a/b/c`; the names under
// which /v2 shows a checkpoint (`a/b/c.tar.lz4`) are the same path with a suffix.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::transfer {

// The path as the catalog keeps it: one leading '/' dropped, the suffixes of archive views taken
// off until none is left (so that normalising twice changes nothing). kInvalidArgument: empty, over
// 1024 bytes, a segment that is empty, `.`, `..` or over 255 bytes, control characters, not UTF-8.
absl::StatusOr<std::string> NormalisePath(absl::string_view text);

// The path of an uploaded file: '/' and then its name, which is exact, suffixes included. No
// checkpoint's path starts so: `x.tar` uploaded and a checkpoint `x` are two things. One leading
// '/' makes no difference here either, so a path of this form stays what it is.
absl::StatusOr<std::string> NormaliseFile(absl::string_view text);
inline bool IsFilePath(absl::string_view path) { return !path.empty() && path[0] == '/'; }

// As NormalisePath, but suffixes stay, one trailing '/' is dropped, and empty is allowed (the
// root).
absl::StatusOr<std::string> NormaliseFolder(absl::string_view text);

// The suffix of an archive view at the end of `text`: ".tar", ".tar.gz", …, or empty.
absl::string_view ViewSuffix(absl::string_view text);

// The suffix under which a checkpoint of this compression is listed.
absl::string_view SuffixOfCodec(absl::string_view codec);

}  // namespace cedana::transfer
