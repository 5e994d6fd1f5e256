// Logging: one event per line on stderr, key=value or JSON, units in the key. Only edges log
// (daemon, service, command line); libraries return errors. Thread-safe.
//
//   base::Log(base::LogLevel::kInfo, "dump committed", {{"job", name}, {"bytes", size}});
//
//   2026-01-02T03:04:05.678 cedana[4711] info dump committed job=train bytes=1048576
//   {"time":"2026-01-02T03:04:05.678+00:00","program":"cedana","process":4711,"level":"info",
//    "event":"dump committed","job":"train","bytes":1048576}
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cedana::base {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kText, kJson };

struct LogField {
  absl::string_view key;
  std::string value;
  bool number = false;  // in JSON without quotes
  LogField(absl::string_view k, const absl::AlphaNum& v) : key(k), value(v.Piece()) {}
  template <std::integral T>
  LogField(absl::string_view k, T v)
      : key(k), value(absl::StrCat(v)), number(!std::is_same_v<T, bool>) {}
};

// The line as Log writes it in JSON, without its end.
std::string JsonLogLine(LogLevel level, absl::string_view event,
                        std::initializer_list<LogField> fields);

// Call once at the start of a program; until then level info, text.
void InitLog(absl::string_view program, LogLevel level, LogFormat format);
// "trace" … "error", "off"; unknown names are kInfo.
LogLevel ParseLogLevel(absl::string_view name);
// "json", else text.
LogFormat ParseLogFormat(absl::string_view name);

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
