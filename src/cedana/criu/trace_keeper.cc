// No C library below: the keeper has CRIU's thread-local memory, errno in it, while CRIU runs.
#include "cedana/criu/trace_keeper_internal.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/ptrace.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <bit>

namespace cedana::criu_hold {
namespace {

// How long what CRIU has begun may take to come to its end. Instructions that end in a breakpoint
// need microseconds, a command to CRIU's program milliseconds; a machine in need of memory more.
constexpr int64_t kSettleNs = 2'000'000'000;
// A program that waits for a command may have one in its socket that it has not seen.
constexpr int64_t kCommandNs = 100'000'000;
constexpr int64_t kLookNs = 2'000'000;
constexpr int64_t kIdleNs = 1'000'000'000;

constexpr size_t kMaxTracees = 1 << 17;
constexpr size_t kMaxWords = 1 << 16;
constexpr size_t kExtendedSize = 16 << 10;  // AVX-512 and AMX: 11 KiB
constexpr size_t kStackSize = 64 << 10;

constexpr int kEventStop = 128;  // PTRACE_EVENT_STOP
constexpr int kAskSignal = SIGUSR1;
constexpr int kParentSignal = SIGUSR2;
constexpr size_t kMaskSize = 8;  // the kernel's sigset_t

long Kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename Type>
long Word(Type* pointer) {
  return std::bit_cast<long>(pointer);
}

template <typename Type>
Type* Pointer(long word) {
  return std::bit_cast<Type*>(word);
}

struct Tracee {
  pid_t tid;
  bool running;      // nobody has waited for a stop of it since it went on
  bool changed;      // by CRIU: what follows is as it was before
  bool breakpoints;  // in its debug registers
  int status;        // of its last stop
  int stop_signal;   // had stopped it, and CRIU has swallowed that
  long system_call;  // that it has entered last, if it is followed by system calls
  size_t registers_size;
  size_t extended_size;
  uint64_t mask;
  unsigned char* extended;
  alignas(user_regs_struct) unsigned char registers[sizeof(user_regs_struct)];
};

// A word of its memory that CRIU has overwritten.
struct Patch {
  pid_t tid;
  long address;
  long word;
};

enum class Ask : int { kPtrace, kWait, kEnd };

// CRIU writes a question and waits for `turn` to become kAnswered; the keeper's end, however it
// comes, makes it that as well (CLONE_CHILD_CLEARTID), but with no answer.
constexpr int kAnswered = 0;
constexpr int kAsked = 1;
std::atomic<int> turn{kAnswered};
Ask ask;
long arguments[4];
long answer;
bool answered;
std::atomic<bool> interrupted{false};  // CRIU had a signal while it waited

pid_t criu = 0;
pid_t keeper = 0;
Tracee* tracees = nullptr;
size_t tracee_count = 0;
Patch* patches = nullptr;
size_t patch_count = 0;

Tracee* Find(pid_t tid) {
  for (size_t i = 0; i < tracee_count; ++i) {
    if (tracees[i].tid == tid) return &tracees[i];
  }
  return nullptr;
}

void DropPatches(pid_t tid) {
  for (size_t i = patch_count; i-- > 0;) {
    if (patches[i].tid == tid) patches[i] = patches[--patch_count];
  }
}

// Its thread is let go of, or dead.
void Forget(Tracee* tracee) {
  DropPatches(tracee->tid);
  if (tracee->extended != nullptr) Kernel(SYS_munmap, Word(tracee->extended), kExtendedSize);
  *tracee = tracees[--tracee_count];
}

int64_t Now() {
  timespec now = {};
  Kernel(SYS_clock_gettime, CLOCK_MONOTONIC, Word(&now));
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Sleeps until a traced process has news, CRIU asks or ends, or the time is over. None of them is
// missed: their signals are blocked and stay pending. The signal, or -errno.
long Sleep(int64_t nanoseconds) {
  const uint64_t wanted =
      1ULL << (kAskSignal - 1) | 1ULL << (kParentSignal - 1) | 1ULL << (SIGCHLD - 1);
  const timespec limit = {nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  return Kernel(SYS_rt_sigtimedwait, Word(&wanted), 0, Word(&limit), kMaskSize);
}

bool CriuHasEnded() { return Kernel(SYS_getppid) != criu; }

// --- what CRIU asks for -------------------------------------------------------------------------

long Trace(long request, pid_t tid, long address, long data) {
  return Kernel(SYS_ptrace, request, tid, address, data);
}

bool IsPoke(long request) { return request == PTRACE_POKETEXT || request == PTRACE_POKEDATA; }

bool Changes(long request) {
  return IsPoke(request) || request == PTRACE_POKEUSR || request == PTRACE_SETREGS ||
         request == PTRACE_SETFPREGS || request == PTRACE_SETREGSET || request == PTRACE_SETSIGMASK;
}

bool IsDebugRegister(long offset) {
  return offset >= static_cast<long>(offsetof(user, u_debugreg)) &&
         offset < static_cast<long>(offsetof(user, u_debugreg) + sizeof(user::u_debugreg));
}

long NoteRegisters(Tracee* tracee) {
  iovec whole = {tracee->registers, sizeof(tracee->registers)};
  long result = Trace(PTRACE_GETREGSET, tracee->tid, NT_PRSTATUS, Word(&whole));
  if (result < 0) return result;
  tracee->registers_size = whole.iov_len;
  result = Trace(PTRACE_GETSIGMASK, tracee->tid, kMaskSize, Word(&tracee->mask));
  if (result < 0) return result;
  const long memory = Kernel(SYS_mmap, 0, kExtendedSize, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory < 0 && memory > -4096) return memory;
  tracee->extended = Pointer<unsigned char>(memory);
  iovec extended = {tracee->extended, kExtendedSize};
  // A processor without it has nothing to bring back.
  if (Trace(PTRACE_GETREGSET, tracee->tid, NT_X86_XSTATE, Word(&extended)) == 0) {
    tracee->extended_size = extended.iov_len;
  }
  tracee->changed = true;
  return 0;
}

long NotePatch(pid_t tid, long address, long word) {
  for (size_t i = 0; i < patch_count; ++i) {
    if (patches[i].tid != tid || patches[i].address != address) continue;
    // CRIU itself has put back what was there.
    if (patches[i].word == word) patches[i] = patches[--patch_count];
    return 0;
  }
  if (patch_count == kMaxWords) return -ENOMEM;
  long before = 0;
  const long result = Trace(PTRACE_PEEKDATA, tid, address, Word(&before));
  if (result == 0) patches[patch_count++] = {tid, address, before};
  return result;
}

// Before it is changed: what cannot be brought back is not touched.
long Note(Tracee* tracee, long request, long address, long data) {
  if (!tracee->changed) {
    const long result = NoteRegisters(tracee);
    if (result < 0) return result;
  }
  if (IsPoke(request)) return NotePatch(tracee->tid, address, data);
  if (request == PTRACE_POKEUSR && IsDebugRegister(address)) tracee->breakpoints = true;
  return 0;
}

long AskedTrace(long request, pid_t tid, long address, long data) {
  if (request == PTRACE_SEIZE && tracee_count == kMaxTracees) return -ENOMEM;
  Tracee* tracee = Find(tid);
  if (tracee != nullptr && Changes(request)) {
    const long noted = Note(tracee, request, address, data);
    if (noted < 0) return noted;
  }
  const long result = Trace(request, tid, address, data);
  if (result < 0) return result;
  if (request == PTRACE_SEIZE) {
    tracees[tracee_count] = Tracee{};
    tracees[tracee_count].tid = tid;
    tracees[tracee_count++].running = true;
  } else if (tracee == nullptr) {
    return result;
  } else if (request == PTRACE_CONT || request == PTRACE_SYSCALL || request == PTRACE_SINGLESTEP ||
             request == PTRACE_LISTEN) {
    tracee->running = true;
    if (data == tracee->stop_signal) tracee->stop_signal = 0;  // passed on, not swallowed
  } else if (request == PTRACE_DETACH) {
    Forget(tracee);
  }
  return result;
}

bool IsSystemCallStop(int status) { return WSTOPSIG(status) == (SIGTRAP | 0x80); }

ptrace_syscall_info SystemCall(pid_t tid) {
  ptrace_syscall_info info;
  memset(&info, 0, sizeof(info));
  if (Trace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), Word(&info)) <= 0) {
    info.op = PTRACE_SYSCALL_INFO_NONE;
  }
  return info;
}

void Stopped(pid_t tid, int status) {
  Tracee* tracee = Find(tid);
  if (tracee == nullptr) return;
  if (!WIFSTOPPED(status)) return Forget(tracee);
  tracee->running = false;
  tracee->status = status;
  if (IsSystemCallStop(status)) {
    const ptrace_syscall_info info = SystemCall(tid);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
      tracee->system_call = static_cast<long>(info.entry.nr);
  }
  const int signal = WSTOPSIG(status);
  if (signal == SIGSTOP || signal == SIGTSTP) tracee->stop_signal = signal;
}

long AskedWait(pid_t pid, int* status, int options, long usage) {
  while (true) {
    int news = 0;
    const long result = Kernel(SYS_wait4, pid, Word(&news), options | WNOHANG, usage);
    if (result > 0) {
      Stopped(static_cast<pid_t>(result), news);
      if (status != nullptr) *status = news;
    }
    if (result != 0 || (options & WNOHANG) != 0) return result;
    if (interrupted || CriuHasEnded()) return -EINTR;
    Sleep(kIdleNs);
  }
}

// CRIU learns by SIGCHLD that its program in a process has crashed, and that signal is ours now.
void TellCriu() {
  siginfo_t news;
  memset(&news, 0, sizeof(news));
  constexpr int kOptions = WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL;
  if (Kernel(SYS_waitid, P_ALL, 0, Word(&news), kOptions, 0) != 0 || news.si_pid == 0) return;
  Kernel(SYS_tgkill, criu, criu, SIGCHLD);
}

// --- CRIU has ended -----------------------------------------------------------------------------

// Waiting for a command: what CRIU's program in a process does between two of them.
bool WaitsForCommand(pid_t tid) {
  char path[48] = "/proc/";
  char digits[16];
  size_t count = 0;
  for (pid_t rest = tid; rest != 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  size_t end = 6;
  while (count != 0) path[end++] = digits[--count];
  constexpr char kFile[] = "/syscall";
  for (const char c : kFile) path[end++] = c;
  const long fd = Kernel(SYS_open, Word(path), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;  // it is gone
  char text[4] = {};
  const long size = Kernel(SYS_read, fd, Word(text), 3);
  Kernel(SYS_close, fd);
  static_assert(SYS_recvfrom == 45 && SYS_recvmsg == 47);
  return size == 3 && text[0] == '4' && (text[1] == '5' || text[1] == '7') && text[2] == ' ';
}

void SetRegisters(const Tracee& tracee) {
  iovec whole = {const_cast<unsigned char*>(tracee.registers), tracee.registers_size};
  Trace(PTRACE_SETREGSET, tracee.tid, NT_PRSTATUS, Word(&whole));
}

// Waits for the stop that we have asked it for, in which the kernel has nothing under way for it:
// set in another one, registers of an interrupted system call would not start that again. False:
// it is dead, or was let go of with a signal of its own.
bool BringToStop(const Tracee& tracee, int64_t limit) {
  Trace(PTRACE_INTERRUPT, tracee.tid, 0, 0);
  Trace(PTRACE_CONT, tracee.tid, 0, 0);
  while (Now() < limit) {
    int status = 0;
    const long result = Kernel(SYS_wait4, tracee.tid, Word(&status), WNOHANG | __WALL, 0);
    if (result < 0 || (result > 0 && !WIFSTOPPED(status))) return false;
    if (result == 0) {
      Sleep(kLookNs);
    } else if (status >> 16 == kEventStop) {
      return true;
    } else if (WSTOPSIG(status) == SIGTRAP) {
      Trace(PTRACE_CONT, tracee.tid, 0, 0);
    } else {
      Trace(PTRACE_SETSIGMASK, tracee.tid, kMaskSize, Word(&tracee.mask));
      Trace(PTRACE_DETACH, tracee.tid, 0, WSTOPSIG(status));
      return false;
    }
  }
  return false;
}

void ClearBreakpoints(const Tracee& tracee) {
  if (!tracee.breakpoints) return;
  Trace(PTRACE_POKEUSR, tracee.tid, offsetof(user, u_debugreg[7]), 0);
}

void Restore(const Tracee& tracee, int64_t limit) {
  for (size_t i = 0; i < patch_count; ++i) {
    if (patches[i].tid != tracee.tid) continue;
    Trace(PTRACE_POKEDATA, tracee.tid, patches[i].address, patches[i].word);
  }
  ClearBreakpoints(tracee);
  if (SystemCall(tracee.tid).op == PTRACE_SYSCALL_INFO_ENTRY) {
    // A system call of CRIU's program, which must not happen any more.
    Trace(PTRACE_POKEUSR, tracee.tid, offsetof(user, regs.orig_rax), -1);
  } else {
    SetRegisters(tracee);
  }
  if (!BringToStop(tracee, limit)) return;
  SetRegisters(tracee);
  if (tracee.extended_size != 0) {
    iovec extended = {tracee.extended, tracee.extended_size};
    Trace(PTRACE_SETREGSET, tracee.tid, NT_X86_XSTATE, Word(&extended));
  }
  Trace(PTRACE_SETSIGMASK, tracee.tid, kMaskSize, Word(&tracee.mask));
  if (tracee.stop_signal != 0) Kernel(SYS_kill, tracee.tid, tracee.stop_signal);
  Trace(PTRACE_DETACH, tracee.tid, 0, 0);
}

// Stopped in the middle of CRIU's program, which knows its way back and leaves no descriptor behind
// on it. The way ends with the return from a signal's frame.
bool IsInProgram(const Tracee& tracee) {
  if (IsSystemCallStop(tracee.status)) {
    return tracee.system_call != SYS_rt_sigreturn ||
           SystemCall(tracee.tid).op == PTRACE_SYSCALL_INFO_ENTRY;
  }
  if (tracee.status >> 16 == kEventStop) {
    user_regs_struct now;
    memset(&now, 0, sizeof(now));
    iovec whole = {&now, sizeof(now)};
    if (Trace(PTRACE_GETREGSET, tracee.tid, NT_PRSTATUS, Word(&whole)) < 0) return false;
    if (whole.iov_len != sizeof(now)) return false;
    return now.rip != reinterpret_cast<const user_regs_struct*>(tracee.registers)->rip;
  }
  siginfo_t why;
  memset(&why, 0, sizeof(why));
  // CRIU's breakpoint right before that return.
  return Trace(PTRACE_GETSIGINFO, tracee.tid, 0, Word(&why)) == 0 && why.si_signo == SIGTRAP &&
         why.si_code == TRAP_HWBKPT;
}

// Restores what stands still; true when nothing else is on its way to a stop.
bool RestoreStopped(int64_t limit) {
  bool settled = true;
  for (size_t i = tracee_count; i-- > 0;) {
    if (!tracees[i].changed) continue;
    const pid_t tid = tracees[i].tid;
    if (tracees[i].running) {
      int status = 0;
      const long result = Kernel(SYS_wait4, tid, Word(&status), WNOHANG | __WALL, 0);
      if (result == tid) {
        Stopped(tid, status);
        if (!WIFSTOPPED(status)) continue;
      } else {
        settled = settled && (result < 0 || WaitsForCommand(tid));
        continue;
      }
    }
    if (IsInProgram(tracees[i])) {
      ClearBreakpoints(tracees[i]);
      Trace(PTRACE_SYSCALL, tid, 0, 0);
      tracees[i].running = true;
      settled = false;
      continue;
    }
    Restore(tracees[i], limit);
    Forget(&tracees[i]);
  }
  return settled;
}

bool AnyIsRunning() {
  for (size_t i = 0; i < tracee_count; ++i) {
    if (tracees[i].changed && tracees[i].running) return true;
  }
  return false;
}

// What is left after this was never changed, or runs CRIU's program, which sees the end of its
// socket when the keeper ends, and takes its process back to where it was. The kernel lets go of
// both.
void RestoreAll() {
  const int64_t limit = Now() + kSettleNs;
  while (!RestoreStopped(limit) && Now() < limit) Sleep(kLookNs);
  if (AnyIsRunning()) {
    const int64_t command = Now() + kCommandNs;
    while (Now() < command) Sleep(kLookNs);
    while (!RestoreStopped(limit) && Now() < limit) Sleep(kLookNs);
  }
  for (size_t i = 0; i < tracee_count; ++i) {
    const Tracee& tracee = tracees[i];
    if (!tracee.changed && !tracee.running && tracee.stop_signal != 0) {
      Kernel(SYS_kill, tracee.tid, tracee.stop_signal);
    }
  }
}

// --- the keeper ---------------------------------------------------------------------------------

void Answer() {
  if (ask == Ask::kPtrace) {
    answer = AskedTrace(arguments[0], static_cast<pid_t>(arguments[1]), arguments[2], arguments[3]);
  } else {
    answer = AskedWait(static_cast<pid_t>(arguments[0]), Pointer<int>(arguments[1]),
                       static_cast<int>(arguments[2]), arguments[3]);
  }
  answered = true;
  turn.store(kAnswered);
  Kernel(SYS_futex, Word(&turn), FUTEX_WAKE, 1);
}

int Keep(void*) {
  Kernel(SYS_prctl, PR_SET_PDEATHSIG, kParentSignal);
  // Whoever ends all that is called `criu` does not end us.
  Kernel(SYS_prctl, PR_SET_NAME, Word("cedana-keeper"));
  while (!CriuHasEnded()) {
    if (turn.load() == kAsked) {
      if (ask == Ask::kEnd) break;
      Answer();
    } else if (Sleep(kIdleNs) == SIGCHLD && turn.load() != kAsked) {
      TellCriu();
    }
  }
  RestoreAll();
  Kernel(SYS_exit, 0);
  return 0;
}

long Reserve(size_t size) {
  return Kernel(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

bool Failed(long result) { return result < 0 && result > -4096; }

class BlockSignals {
 public:
  explicit BlockSignals(uint64_t mask) {
    Kernel(SYS_rt_sigprocmask, SIG_BLOCK, Word(&mask), Word(&before_), kMaskSize);
  }
  ~BlockSignals() { Kernel(SYS_rt_sigprocmask, SIG_SETMASK, Word(&before_), 0, kMaskSize); }

 private:
  uint64_t before_ = 0;
};

void Start() {
  criu = static_cast<pid_t>(Kernel(SYS_getpid));
  const long memory = Reserve(kMaxTracees * sizeof(Tracee));
  const long more = Reserve(kMaxWords * sizeof(Patch));
  const long stack = Reserve(kStackSize);
  if (Failed(memory) || Failed(more) || Failed(stack)) return;
  tracees = Pointer<Tracee>(memory);
  patches = Pointer<Patch>(more);
  const BlockSignals block(~uint64_t{0});
  const int started =
      clone(Keep, Pointer<char>(stack) + kStackSize, CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID,
            nullptr, nullptr, nullptr, &turn);
  if (started > 0) keeper = started;
}

bool InCriu() { return keeper > 0 && Kernel(SYS_getpid) == criu; }

bool KeeperHasEnded() {
  siginfo_t news;
  memset(&news, 0, sizeof(news));
  constexpr int kOptions = WEXITED | WNOHANG | WNOWAIT | __WALL;
  return Kernel(SYS_waitid, P_PID, keeper, Word(&news), kOptions, 0) != 0 || news.si_pid != 0;
}

// -ESRCH when the keeper has ended: nothing is traced any more.
long AskKeeper(Ask what, long a, long b, long c, long d) {
  // Its handler waits for processes, which must not come in between.
  const BlockSignals block(1ULL << (SIGCHLD - 1));
  ask = what;
  arguments[0] = a;
  arguments[1] = b;
  arguments[2] = c;
  arguments[3] = d;
  answered = false;
  interrupted = false;
  turn.store(kAsked);
  if (Kernel(SYS_tgkill, keeper, keeper, kAskSignal) != 0) keeper = -1;
  while (keeper > 0 && turn.load() == kAsked) {
    const timespec limit = {0, 100'000'000};
    const long slept = Kernel(SYS_futex, Word(&turn), FUTEX_WAIT, kAsked, Word(&limit));
    if (slept == -EINTR) {
      interrupted = true;
      Kernel(SYS_tgkill, keeper, keeper, kAskSignal);
    } else if (slept == -ETIMEDOUT && KeeperHasEnded()) {
      break;  // before it was asked
    }
  }
  if (answered) return answer;
  keeper = -1;
  return -ESRCH;
}

// CRIU's own exit: it was done with all, or leaves by an error with something changed.
__attribute__((destructor)) void End() {
  if (InCriu()) AskKeeper(Ask::kEnd, 0, 0, 0, 0);
}

}  // namespace

long KeptPtrace(long request, pid_t pid, void* address, void* data) {
  if (request == PTRACE_SEIZE && keeper == 0) Start();
  if (!InCriu() || (request != PTRACE_SEIZE && Find(pid) == nullptr)) {
    return Trace(request, pid, Word(address), Word(data));
  }
  return AskKeeper(Ask::kPtrace, request, pid, Word(address), Word(data));
}

long KeptWait(pid_t pid, int* status, int options, void* usage) {
  // Any process: by __WALL CRIU means those that it traces (and the keeper, a child of it, must not
  // be waited for); its handler of SIGCHLD asks for both kinds, and does not wait.
  const bool traced = pid > 0 ? Find(pid) != nullptr : pid == -1 && (options & __WALL) != 0;
  const bool both = pid == -1 && !traced && (options & WNOHANG) != 0 && tracee_count != 0;
  if (InCriu() && (traced || both)) {
    const long result = AskKeeper(Ask::kWait, pid, Word(status), options, Word(usage));
    if (traced || result > 0) return result;
  }
  return Kernel(SYS_wait4, pid, Word(status), options, Word(usage));
}

}  // namespace cedana::criu_hold
