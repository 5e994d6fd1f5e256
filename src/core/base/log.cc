#include "core/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace cedana::base {
namespace {

std::atomic<LogFormat> g_format = LogFormat::kText;

// Set once by InitLog, before a program starts its threads.
std::string& Program() {
  static auto& program = *new std::string("cedana");
  return program;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> kLogger = [] {
    auto made = std::make_shared<spdlog::logger>("cedana",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    return made;
  }();
  return *kLogger;
}

bool NeedsQuotes(absl::string_view value) {
  return value.empty() || value.find_first_of(" \"=\n\t") != absl::string_view::npos;
}

std::string TextLine(absl::string_view event, std::initializer_list<LogField> fields) {
  std::string line(event);
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key, "=");
    if (NeedsQuotes(field.value)) {
      line += nlohmann::json(field.value)
                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    } else {
      line += field.value;
    }
  }
  return line;
}

}  // namespace

std::string JsonLogLine(LogLevel level, absl::string_view event,
                        std::initializer_list<LogField> fields) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3S%Ez", absl::Now(), absl::UTCTimeZone());
  line["program"] = Program();
  line["process"] = ::getpid();  // "pid" is that of jobs
  line["level"] = std::string(spdlog::level::to_string_view(ToSpdlog(level)).data());
  line["event"] = event;
  for (const LogField& field : fields) {
    const std::string key(field.key);
    int64_t number = 0;
    if (field.number && absl::SimpleAtoi(field.value, &number)) {
      line[key] = number;
    } else {
      line[key] = field.value;
    }
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void InitLog(absl::string_view program, LogLevel level, LogFormat format) {
  g_format = format;
  Program() = std::string(program);
  Logger().set_level(ToSpdlog(level));
  Logger().flush_on(spdlog::level::trace);
  if (format == LogFormat::kJson) {
    Logger().set_pattern("%v");
  } else {
    Logger().set_pattern(absl::StrCat("%Y-%m-%dT%H:%M:%S.%e ", program, "[%P] %l %v"));
  }
}

LogLevel ParseLogLevel(absl::string_view name) {
  if (name == "trace") return LogLevel::kTrace;
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn" || name == "warning") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  if (name == "off" || name == "disabled") return LogLevel::kOff;
  return LogLevel::kInfo;
}

LogFormat ParseLogFormat(absl::string_view name) {
  return name == "json" ? LogFormat::kJson : LogFormat::kText;
}

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  if (!Logger().should_log(ToSpdlog(level))) return;
  const std::string line =
      g_format == LogFormat::kJson ? JsonLogLine(level, event, fields) : TextLine(event, fields);
  Logger().log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace cedana::base
