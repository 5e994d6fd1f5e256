// A cedana-storage of its own for a test: an empty folder, any free port, killed at the end, or
// when the thread that started it ends.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cedana::integration {

class ServiceProcess {
 public:
  // `flags`: more flags of `serve`. Returns once it listens.
  static absl::StatusOr<std::unique_ptr<ServiceProcess>> Start(const std::string& data_dir,
                                                               std::vector<std::string> flags = {});
  ~ServiceProcess() { Kill(); }

  const std::string& url() const { return url_; }
  // Of the organisation `default`.
  std::string token() const;
  // kill -9, and waits until it is gone.
  void Kill();
  // The same folder at the same address again.
  absl::Status Restart();
  // Runs an administrative command of the program against this service; returns its output.
  absl::StatusOr<std::string> Admin(const std::vector<std::string>& arguments) const;

 private:
  absl::Status Spawn(const std::string& listen);

  std::string data_dir_;
  std::vector<std::string> flags_;
  std::string url_;
  pid_t pid_ = -1;
};

}  // namespace cedana::integration
