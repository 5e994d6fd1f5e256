#include "absl/strings/str_cat.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/image_request.h"
#include "cedana/criu/wire_internal.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr size_t kMagicBytes = 8;
constexpr size_t kStatsBytesMax = 64 << 10;

}  // namespace

// stats-dump: 8 bytes of magic, u32 length, StatsEntry { 1: DumpStatsEntry { 1: freezing_us,
// 2: frozen_us, … } }. A local file also when streaming; absent when the dump failed.
absl::StatusOr<DumpStats> ReadDumpStats(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/stats-dump");
  CEDANA_ASSIGN_OR_RETURN(const std::string file, base::ReadFile(path, kStatsBytesMax));
  const absl::Status malformed = absl::DataLossError(absl::StrCat(path, ": malformed"));
  if (file.size() < kMagicBytes + kLengthBytes) return malformed;
  const uint32_t length = DecodeLength(reinterpret_cast<const uint8_t*>(&file[kMagicBytes]));
  absl::string_view entry = absl::string_view(file).substr(kMagicBytes + kLengthBytes);
  if (length > entry.size()) return malformed;
  entry = entry.substr(0, length);
  absl::string_view dump;
  while (!entry.empty()) {
    WireField field;
    if (!TakeField(&entry, &field)) return malformed;
    if (field.number == 1 && field.is_bytes) dump = field.bytes;
  }
  if (dump.empty()) return malformed;
  DumpStats stats;
  while (!dump.empty()) {
    WireField field;
    if (!TakeField(&dump, &field)) return malformed;
    if (field.number == 1) stats.freezing_us = field.value;
    if (field.number == 2) stats.frozen_us = field.value;
  }
  return stats;
}

}  // namespace cedana::criu
