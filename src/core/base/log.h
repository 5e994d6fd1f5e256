// Logging: one event per line on stderr, key=value, units in the key. Only edges log (daemon,
// service, command line); libraries return errors. Thread-safe.
//
//   base::Log(base::LogLevel::kInfo, "dump committed", {{"job", name}, {"bytes", size}});
#pragma once

#include <initializer_list>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cedana::base {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kText, kJson };

struct LogField {
  absl::string_view key;
  std::string value;
  LogField(absl::string_view k, const absl::AlphaNum& v) : key(k), value(v.Piece()) {}
};

// Call once at the start of a program; until then level info, text.
void InitLog(absl::string_view program, LogLevel level, LogFormat format);
// "trace" … "error", "off"; unknown names are kInfo.
LogLevel ParseLogLevel(absl::string_view name);

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields = {});
inline void LogInfo(absl::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, event, fields);
}
inline void LogWarn(absl::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarn, event, fields);
}
inline void LogError(absl::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, event, fields);
}

}  // namespace cedana::base
