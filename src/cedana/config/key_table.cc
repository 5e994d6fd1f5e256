#include "cedana/config/key_table.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"

namespace cedana::config {
namespace {

constexpr KeyType kText = KeyType::kString;
constexpr KeyType kBool = KeyType::kBool;
constexpr KeyType kInt = KeyType::kInt;
constexpr KeyType kUint = KeyType::kUint;
constexpr KeyType kTime = KeyType::kDuration;
constexpr bool kSecret = true;
constexpr bool kUnused = true;
constexpr absl::string_view kWithoutEffect = " (accepted for compatibility, without effect)";

const std::vector<KeySpec>& Table() {
  // clang-format off
  static const auto& table = *new std::vector<KeySpec>{
      {"address", kText, "", {}, false, "the daemon's UNIX socket; empty: `/run/cedana.sock`. With `protocol` `tcp`: where commands find it; empty: `127.0.0.1:8080`"},
      {"aws.access_key_id", kText, "", {"AWS_ACCESS_KEY_ID"}, false, "access key of `s3://`"},
      {"aws.checksum", kBool, "true", {}, false, "uploads to `s3://` carry a CRC-32C; `false` where the server does not know that (`x-amz-checksum-crc32c`)"},
      {"aws.endpoint", kText, "", {"AWS_ENDPOINT"}, false, "S3 endpoint other than AWS's; implies path-style addresses, unless `aws.style` is set"},
      {"aws.region", kText, "", {"AWS_REGION"}, false, "region of `s3://`"},
      {"aws.secret_access_key", kText, "", {"AWS_SECRET_ACCESS_KEY"}, kSecret, "secret key of `s3://`"},
      {"aws.session_token", kText, "", {"AWS_SESSION_TOKEN"}, kSecret, "session token of temporary keys of `s3://`"},
      {"aws.style", kText, "", {}, false, "where the bucket of `s3://` stands: `virtual` in the host's name, `path` in the path; empty: as fits the endpoint"},
      {"azure.account", kText, "", {"AZURE_STORAGE_ACCOUNT"}, false, "storage account of `azure://`"},
      {"azure.endpoint", kText, "", {}, false, "Blob endpoint other than Azure's"},
      {"azure.key", kText, "", {"AZURE_STORAGE_KEY"}, kSecret, "account key of `azure://`"},
      {"azure.sas_token", kText, "", {"AZURE_STORAGE_SAS_TOKEN"}, kSecret, "SAS of `azure://`, instead of the account key"},
      {"checkpoint.async", kBool, "false", {}, false, "answer a dump before its upload has ended", kUnused},
      {"checkpoint.commit_timeout", kTime, "30s", {}, false, "how long a frozen process waits for the commit's answer before it runs on"},
      {"checkpoint.compression", kText, "none", {}, false, "`none`, `lz4`, `zstd`, `gzip` or `zlib`"},
      {"checkpoint.dir", kText, "/tmp", {}, false, "where dumps go without `--dir`, such as `cedana://my-checkpoints`, and where jobs are looked for besides what the daemon has recorded"},
      {"checkpoint.memory_limit", kUint, "256", {}, false, "MiB for everything in flight in the daemon, at least 128; from 256 on two dumps or restores run at once and each gets half, below one at a time"},
      {"checkpoint.resume_timeout", kTime, "10m", {}, false, "how long the upload behind a running process may go without progress"},
      {"checkpoint.stream_memory_limit", kUint, "0", {}, false, "MB of spool that a dump may use on top of `checkpoint.memory_limit`", kUnused},
      {"checkpoint.streams", kInt, "0", {}, false, "parallel pipelines; 0: one per core"},
      {"client.wait_for_ready", kBool, "false", {"CEDANA_WAIT_FOR_READY"}, false, "commands wait for the daemon instead of failing at once"},
      {"connection.auth_token", kText, "", {"CEDANA_AUTH_TOKEN"}, kSecret, "token of the storage service"},
      {"connection.ca_file", kText, "", {}, false, "file with the certificate of a private authority (PEM)"},
      {"connection.cluster_id", kText, "", {"CEDANA_CLUSTER_ID"}, false, "cluster that this host belongs to", kUnused},
      {"connection.url", kText, "", {"CEDANA_URL"}, false, "the storage service, such as `https://storage.example.com`; a path in it is ignored"},
      {"criu.binary_path", kText, "", {}, false, "CRIU to use; empty: the installed plugin `criu`, then `criu` in `PATH`"},
      {"criu.leave_running", kBool, "false", {}, false, "dumps leave the process running"},
      {"criu.log_level", kInt, "2", {}, false, "of CRIU's own log: 2 errors, 3 warnings, 4 everything", kUnused},
      {"criu.manage_cgroups", kText, "ignore", {}, false, "CRIU's handling of cgroups", kUnused},
      {"db.path", kText, "/var/lib/cedana/cedana.db", {}, false, "the daemon's job table"},
      {"db.remote", kBool, "false", {"CEDANA_REMOTE"}, false, "keep the job table with the service", kUnused},
      {"gcs.credentials_file", kText, "", {"GOOGLE_APPLICATION_CREDENTIALS"}, false, "key file of a service account (JSON) for `gcs://`"},
      {"gcs.endpoint", kText, "", {}, false, "endpoint other than Google's"},
      {"gpu.debug", kBool, "false", {}, false, "debugging output of the GPU plugin", kUnused},
      {"gpu.dedup_enabled", kBool, "false", {}, false, "store equal GPU memory once", kUnused},
      {"gpu.log_dir", kText, "/tmp", {}, false, "logs of the GPU plugin", kUnused},
      {"gpu.pool_size", kInt, "0", {}, false, "GPU controllers kept ready", kUnused},
      {"gpu.shm_size", kInt, "8589934592", {}, false, "bytes of shared memory of a GPU controller", kUnused},
      {"gpu.sock_dir", kText, "/tmp", {}, false, "sockets of the GPU plugin", kUnused},
      {"gpu.templates_enabled", kBool, "false", {}, false, "templates of the GPU plugin", kUnused},
      {"log_format", kText, "text", {}, false, "of the daemon's log: `text`, or `json`: one object on each line"},
      {"log_level", kText, "info", {}, false, "of the daemon: `trace`, `debug`, `info`, `warn`, `error` or `off`"},
      {"log_level_no_server", kText, "warn", {}, false, "the same for every command except `daemon start`"},
      {"metrics", kBool, "false", {"CEDANA_METRICS_ENABLED"}, false, "export metrics", kUnused},
      {"plugins.bin_dir", kText, "/usr/local/bin", {}, false, "programs of installed plugins"},
      {"plugins.builds", kText, "release", {"CEDANA_PLUGINS_BUILD"}, false, "`release` or `alpha`", kUnused},
      {"plugins.lib_dir", kText, "/usr/local/lib", {}, false, "shared objects of installed plugins"},
      {"plugins.local_search_path", kText, "", {}, false, "folders, joined by `:`, that `plugin install` looks in first"},
      {"profiling.detailed", kBool, "true", {}, false, "with profiling: the detailed table too", kUnused},
      {"profiling.enabled", kBool, "false", {}, false, "print where the time went", kUnused},
      {"profiling.path", kText, "", {}, false, "write the same as JSON to this file", kUnused},
      {"profiling.precision", kText, "auto", {}, false, "`auto`, `ns`, `us`, `ms` or `s`", kUnused},
      {"protocol", kText, "unix", {}, false, "`unix`. `tcp` is for commands alone, where something forwards to the daemon's socket: a daemon refuses to start with it"},
      {"run_dir", kText, "/run/cedana", {}, false, "sockets of shims and running operations"},
      {"slurm.db_host", kText, "", {}, false, "accounting database of Slurm", kUnused},
      {"slurm.db_name", kText, "slurm_acct_db", {}, false, "its name", kUnused},
      {"slurm.db_port", kInt, "3306", {}, false, "its port", kUnused},
      {"slurm.db_socket", kText, "", {}, false, "its socket", kUnused},
      {"slurm.unprivileged", kBool, "false", {}, false, "Slurm jobs without root", kUnused},
      {"socket.group", kText, "", {}, false, "group that owns the daemon's socket; empty: root's. Whoever may open it has root's power over jobs"},
      {"socket.mode", kText, "0600", {}, false, "mode of the daemon's socket, octal"},
      {"storage.key_file", kText, "", {}, false, "file with the key (64 hex digits) that seals checkpoints in `s3://`, `gcs://`, `azure://` and `file://`; empty: the key lies in the bucket"},
  };
  // clang-format on
  return table;
}

absl::Status WrongType(const KeySpec& spec, absl::string_view type) {
  return absl::InvalidArgumentError(absl::StrCat(spec.key, " must be ", type));
}

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

absl::string_view TypeName(KeyType type) {
  switch (type) {
    case KeyType::kString:
      return "text";
    case KeyType::kBool:
      return "bool";
    case KeyType::kInt:
    case KeyType::kUint:
      return "integer";
    case KeyType::kDuration:
      return "duration";
  }
  return "";
}

}  // namespace

std::span<const KeySpec> KnownKeys() { return Table(); }

const KeySpec* FindKey(absl::string_view key) {
  const std::string lower = absl::AsciiStrToLower(key);
  for (const KeySpec& spec : Table()) {
    if (spec.key == lower) return &spec;
  }
  return nullptr;
}

absl::string_view NearestKey(absl::string_view key) {
  const std::string lower = absl::AsciiStrToLower(key);
  // Somebody who writes "auth_token" means "connection.auth_token": a missing section is one error.
  const auto distance = [&lower](const KeySpec& spec) {
    const size_t whole = EditDistance(lower, spec.key);
    const size_t dot = spec.key.find('.');
    if (dot == absl::string_view::npos) return whole;
    return std::min(whole, 1 + EditDistance(lower, spec.key.substr(dot + 1)));
  };
  return std::min_element(
             Table().begin(), Table().end(),
             [&](const KeySpec& a, const KeySpec& b) { return distance(a) < distance(b); })
      ->key;
}

std::vector<std::string> EnvNames(const KeySpec& spec) {
  std::vector<std::string> names{
      absl::StrCat("CEDANA_", absl::AsciiStrToUpper(absl::StrReplaceAll(spec.key, {{".", "_"}})))};
  for (absl::string_view alias : spec.env_aliases) names.emplace_back(alias);
  return names;
}

absl::StatusOr<base::Json> ParseValue(const KeySpec& spec, absl::string_view text) {
  switch (spec.type) {
    case KeyType::kString:
      return base::Json(std::string(text));
    case KeyType::kBool: {
      bool value = false;
      if (!absl::SimpleAtob(text, &value)) return WrongType(spec, "true or false");
      return base::Json(value);
    }
    case KeyType::kInt: {
      int64_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return WrongType(spec, "an integer");
      return base::Json(value);
    }
    case KeyType::kUint: {
      int64_t value = 0;
      if (!absl::SimpleAtoi(text, &value) || value < 0) {
        return WrongType(spec, "an integer that is not negative");
      }
      return base::Json(value);
    }
    case KeyType::kDuration: {
      absl::Duration value;
      if (!absl::ParseDuration(text, &value) || value < absl::ZeroDuration()) {
        return WrongType(spec, "a duration such as 30s or 10m");
      }
      return base::Json(std::string(text));
    }
  }
  return WrongType(spec, "of a known type");
}

absl::StatusOr<base::Json> CoerceValue(const KeySpec& spec, const base::Json& value) {
  if (value.is_null()) return ParseValue(spec, spec.default_text);
  if (value.is_string()) return ParseValue(spec, value.get<std::string>());
  const bool number = spec.type == KeyType::kInt || spec.type == KeyType::kUint;
  if ((spec.type == KeyType::kBool && value.is_boolean()) ||
      (number && value.is_number_integer())) {
    return ParseValue(spec, base::DumpJson(value));
  }
  if (spec.type == KeyType::kString) return WrongType(spec, "text in quotes");
  if (spec.type == KeyType::kDuration) return WrongType(spec, "a duration such as \"30s\"");
  return WrongType(spec, number ? "an integer" : "true or false");
}

std::string KeyTableMarkdown() {
  std::string table =
      "| key | type | default | environment | meaning |\n| --- | --- | --- | --- | --- |\n";
  for (const KeySpec& spec : Table()) {
    const std::string fallback =
        spec.default_text.empty() ? "empty" : absl::StrCat("`", spec.default_text, "`");
    absl::StrAppend(&table, "| `", spec.key, "` | ", TypeName(spec.type), " | ", fallback, " | `",
                    absl::StrJoin(EnvNames(spec), "`, `"), "` | ", spec.help,
                    spec.secret ? " (secret)" : "", spec.unused ? kWithoutEffect : "", " |\n");
  }
  return table;
}

}  // namespace cedana::config
