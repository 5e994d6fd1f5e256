// Tells ThreadSanitizer about absl::Mutex and absl::CondVar. Debian's abseil is built without the
// sanitizer, so TSan sees no order between a lock and the next and reports every guarded member
// as a race. `make tsan` builds this as a shared object and preloads it into the unit tests: each
// function below takes the place of abseil's, brackets the real one with TSan's annotations, and
// changes nothing else.
//
// Conditions given to Await run inside abseil's Unlock or wait, under the lock, but at a moment
// when TSan has it released already: their reads are ignored.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"

// Weak, because ctest, which is preloaded as well, has no TSan.
#pragma weak __tsan_mutex_destroy
#pragma weak __tsan_mutex_pre_lock
#pragma weak __tsan_mutex_post_lock
#pragma weak __tsan_mutex_pre_unlock
#pragma weak __tsan_mutex_post_unlock
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line) __attribute__((weak));
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line) __attribute__((weak));

namespace absl {
ABSL_NAMESPACE_BEGIN
namespace {

// Some of the functions below call others of them in turn: only the outermost tells TSan.
thread_local int depth = 0;

// The lock's state as TSan knows it changes around a call of the real function.
class Annotated {
 public:
  Annotated(void* mutex, bool releases, bool acquires, unsigned flags = 0)
      : mutex_(mutex), releases_(releases), acquires_(acquires), flags_(flags) {
    if (depth++ > 0 || __tsan_mutex_pre_lock == nullptr) return;
    if (releases_) __tsan_mutex_pre_unlock(mutex_, flags_);
    if (releases_ && acquires_) __tsan_mutex_post_unlock(mutex_, flags_);
    if (acquires_) __tsan_mutex_pre_lock(mutex_, flags_);
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  }
  ~Annotated() {
    if (--depth > 0 || __tsan_mutex_pre_lock == nullptr) return;
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    if (acquires_) __tsan_mutex_post_lock(mutex_, flags_, 0);
    if (releases_ && !acquires_) __tsan_mutex_post_unlock(mutex_, flags_);
  }
  Annotated(const Annotated&) = delete;
  Annotated& operator=(const Annotated&) = delete;

  void Failed() { flags_ |= __tsan_mutex_try_lock_failed; }

 private:
  void* mutex_;
  bool releases_;
  bool acquires_;
  unsigned flags_;
};

}  // namespace

// A member function's real version, looked up once by its mangled name (as a plain function that
// takes `this` first, which is how the ABI passes it).
#define REAL(type, name) static const auto real = reinterpret_cast<type>(dlsym(RTLD_NEXT, name))

#define MUTEX_CALL(method, mangled, releases, acquires, flags)     \
  void Mutex::method() {                                           \
    REAL(void (*)(Mutex*), "_ZN4absl7debian35Mutex" mangled "Ev"); \
    Annotated annotated(this, releases, acquires, flags);          \
    real(this);                                                    \
  }
MUTEX_CALL(Lock, "4Lock", false, true, 0)
MUTEX_CALL(Unlock, "6Unlock", true, false, 0)
MUTEX_CALL(ReaderLock, "10ReaderLock", false, true, __tsan_mutex_read_lock)
MUTEX_CALL(ReaderUnlock, "12ReaderUnlock", true, false, __tsan_mutex_read_lock)

bool Mutex::TryLock() {
  REAL(bool (*)(Mutex*), "_ZN4absl7debian35Mutex7TryLockEv");
  Annotated annotated(this, false, true, __tsan_mutex_try_lock);
  const bool locked = real(this);
  if (!locked) annotated.Failed();
  return locked;
}

Mutex::~Mutex() {
  REAL(void (*)(Mutex*), "_ZN4absl7debian35MutexD1Ev");
  if (__tsan_mutex_destroy != nullptr) __tsan_mutex_destroy(this, __tsan_mutex_not_static);
  real(this);
}

void Mutex::LockWhen(const Condition& condition) {
  REAL(void (*)(Mutex*, const Condition&), "_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE");
  Annotated annotated(this, false, true);
  real(this, condition);
}

void Mutex::Await(const Condition& condition) {
  REAL(void (*)(Mutex*, const Condition&), "_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
  Annotated annotated(this, true, true);
  real(this, condition);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, absl::Duration timeout) {
  REAL(bool (*)(Mutex*, const Condition&, absl::Duration),
       "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  Annotated annotated(this, true, true);
  return real(this, condition, timeout);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, absl::Time deadline) {
  REAL(bool (*)(Mutex*, const Condition&, absl::Time),
       "_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  Annotated annotated(this, true, true);
  return real(this, condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  REAL(void (*)(CondVar*, Mutex*), "_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  Annotated annotated(mutex, true, true);
  real(this, mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, absl::Duration timeout) {
  REAL(bool (*)(CondVar*, Mutex*, absl::Duration),
       "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  Annotated annotated(mutex, true, true);
  return real(this, mutex, timeout);
}

bool CondVar::WaitWithDeadline(Mutex* mutex, absl::Time deadline) {
  REAL(bool (*)(CondVar*, Mutex*, absl::Time),
       "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  Annotated annotated(mutex, true, true);
  return real(this, mutex, deadline);
}

ABSL_NAMESPACE_END
}  // namespace absl
