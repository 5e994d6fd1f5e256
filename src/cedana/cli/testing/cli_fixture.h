// Runs the whole command line in this process, against a fake daemon, and keeps what it wrote.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cedana/cli/testing/fake_daemon.h"
#include "core/base/fd.h"

namespace cedana::cli {

class CliTest : public testing::Test {
 protected:
  struct Result {
    int code = 0;
    std::string out;
    std::string err;
  };

  CliTest();
  ~CliTest() override;

  // Without the program's name. `input` is all of stdin; with `terminal` stderr counts as one.
  Result Cedana(std::vector<std::string> arguments, const std::string& input = "",
                bool terminal = false);

  FakeDaemon& daemon() { return *daemon_; }
  void StopDaemon() { daemon_.reset(); }
  const std::string& folder() const { return folder_; }
  std::string socket() const { return folder_ + "/cedana.sock"; }
  // What `daemon start` was given.
  std::string started_db;
  // When set, stdin stays open: it is this pipe's reading end.
  int stdin_fd = -1;

 private:
  std::string folder_;
  std::unique_ptr<FakeDaemon> daemon_;
};

}  // namespace cedana::cli
