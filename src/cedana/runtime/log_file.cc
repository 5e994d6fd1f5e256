#include "cedana/runtime/log_file.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

// Has the rights of a user for files while it lives. For single-threaded programs.
class ActAs {
 public:
  explicit ActAs(const SpawnUser& user)
      : active_(::geteuid() == 0 && user.uid != 0), gid_before_(::getegid()) {
    if (!active_) return;
    before_.resize(static_cast<size_t>(std::max(0, ::getgroups(0, nullptr))));
    ok_ = ::getgroups(static_cast<int>(before_.size()), before_.data()) >= 0 &&
          ::setgroups(user.groups.size(), user.groups.data()) == 0 && ::setegid(user.gid) == 0 &&
          ::seteuid(user.uid) == 0;
  }
  ~ActAs() {
    if (!active_) return;
    // Going back to root cannot fail; going on as anybody else would be worse than the end.
    if (::seteuid(0) != 0 || ::setegid(gid_before_) != 0 ||
        ::setgroups(before_.size(), before_.data()) != 0) {
      ::_exit(1);
    }
  }
  ActAs(const ActAs&) = delete;
  bool ok() const { return ok_; }

 private:
  bool active_;
  gid_t gid_before_;
  bool ok_ = true;
  std::vector<gid_t> before_;
};

}  // namespace

absl::StatusOr<base::UniqueFd> OpenLogFile(const std::string& path, const SpawnUser& user,
                                           bool* created) {
  // O_NONBLOCK for the open only: that of a FIFO nobody reads would never return.
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const std::string what = absl::StrCat("cannot open the log ", path);
  base::UniqueFd fd(::open(path.c_str(), kFlags | O_EXCL | O_NOFOLLOW, 0644));
  if (created != nullptr) *created = fd.valid();
  if (fd.valid()) {
    if (::fchmod(fd.get(), 0644) != 0 || ::fchown(fd.get(), user.uid, user.gid) != 0) {
      return base::ErrnoStatus(errno, what);
    }
  } else {
    if (errno != EEXIST) return base::ErrnoStatus(errno, what);
    const ActAs acting(user);
    if (!acting.ok()) return base::ErrnoStatus(errno, what);
    fd.Reset(::open(path.c_str(), kFlags, 0644));
    if (!fd.valid()) return base::ErrnoStatus(errno, what);
  }
  if (::fcntl(fd.get(), F_SETFL, O_APPEND) != 0) return base::ErrnoStatus(errno, what);
  return fd;
}

}  // namespace cedana::runtime
