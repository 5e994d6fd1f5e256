#include "storage/metadata/database_internal.h"

#include <algorithm>

#include "core/base/status.h"

namespace cedana::metadata {
namespace {

constexpr size_t kGroupMax = 64;
constexpr size_t kIdleReadersMax = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& file) {
  CEDANA_ASSIGN_OR_RETURN(auto database, sqlite::Database::Open(file));
  return std::unique_ptr<Connection>(new Connection(std::move(database)));
}

Query::Query(Connection& connection, const char* sql) : connection_(connection), sql_(sql) {
  std::vector<sqlite::Statement>& idle = connection.idle_[sql];
  if (!idle.empty()) {
    statement_.emplace(std::move(idle.back()));
    idle.pop_back();
    return;
  }
  absl::StatusOr<sqlite::Statement> prepared = connection.database_->Prepare(sql);
  if (prepared.ok()) {
    statement_.emplace(*std::move(prepared));
  } else {
    status_ = prepared.status();
  }
}

Query::~Query() {
  if (!statement_.has_value()) return;
  statement_->Reset();
  connection_.idle_[sql_].push_back(*std::move(statement_));
}

bool Query::Step() {
  if (!status_.ok()) return false;
  absl::StatusOr<bool> row = statement_->Step();
  if (!row.ok()) status_ = row.status();
  return row.ok() && *row;
}

absl::Status Query::Run() {
  while (Step()) {
  }
  return status_;
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& file) {
  CEDANA_ASSIGN_OR_RETURN(auto writer, Connection::Open(file));
  return std::unique_ptr<Database>(new Database(file, std::move(writer)));
}

absl::Status Database::Write(const std::function<absl::Status(Connection&)>& body) {
  Waiter waiter{&body};
  const auto my_turn = [&]()
                           ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return waiter.done || !leading_; };
  absl::MutexLock lock(&mutex_);
  waiters_.push_back(&waiter);
  while (true) {
    mutex_.Await(absl::Condition(&my_turn));
    if (waiter.done) return waiter.result;
    // Nobody leads: this caller runs the front of the queue for everybody in it. With more than a
    // group waiting it may not be in it itself, and waits or leads again.
    leading_ = true;
    const auto count = static_cast<ptrdiff_t>(std::min(waiters_.size(), kGroupMax));
    const std::vector<Waiter*> group(waiters_.begin(), waiters_.begin() + count);
    waiters_.erase(waiters_.begin(), waiters_.begin() + count);
    mutex_.Unlock();
    RunGroup(group);
    mutex_.Lock();
    for (Waiter* member : group) member->done = true;
    leading_ = false;
  }
}

void Database::RunGroup(const std::vector<Waiter*>& group) {
  absl::Status status = writer_->Execute("BEGIN IMMEDIATE");
  for (Waiter* member : group) {
    if (!status.ok()) break;
    status = writer_->Execute("SAVEPOINT body");
    if (!status.ok()) break;
    member->result = (*member->body)(*writer_);
    if (!member->result.ok()) status = writer_->Execute("ROLLBACK TO body");
    if (status.ok()) status = writer_->Execute("RELEASE body");
  }
  if (status.ok()) status = writer_->Execute("COMMIT");
  if (status.ok()) return;
  // Nothing of this group happened. (ROLLBACK fails when SQLite has rolled back by itself.)
  writer_->Execute("ROLLBACK").IgnoreError();
  for (Waiter* member : group) member->result = status;
}

absl::StatusOr<std::unique_ptr<Connection>> Database::TakeReader() {
  {
    absl::MutexLock lock(&mutex_);
    if (!readers_.empty()) {
      auto reader = std::move(readers_.back());
      readers_.pop_back();
      return reader;
    }
  }
  CEDANA_ASSIGN_OR_RETURN(auto reader, Connection::Open(file_));
  CEDANA_RETURN_IF_ERROR(reader->Execute("PRAGMA query_only=ON"));
  return reader;
}

absl::Status Database::Read(const std::function<absl::Status(Connection&)>& body) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Connection> reader, TakeReader());
  CEDANA_RETURN_IF_ERROR(reader->Execute("BEGIN"));
  const absl::Status status = body(*reader);
  CEDANA_RETURN_IF_ERROR(reader->Execute("ROLLBACK"));
  absl::MutexLock lock(&mutex_);
  if (readers_.size() < kIdleReadersMax) readers_.push_back(std::move(reader));
  return status;
}

}  // namespace cedana::metadata
