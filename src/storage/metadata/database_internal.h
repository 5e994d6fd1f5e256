// SQLite as the catalog uses it: connections that keep their prepared statements, one writer whose
// transactions are grouped, readers apart. Only this folder includes it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "core/base/ids.h"
#include "core/sqlite/database.h"

namespace cedana::metadata {

// One connection; used by one thread at a time.
class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& file);
  absl::Status Execute(const char* sql) { return database_->Execute(sql); }

 private:
  friend class Query;
  explicit Connection(std::unique_ptr<sqlite::Database> database)
      : database_(std::move(database)) {}

  const std::unique_ptr<sqlite::Database> database_;
  // Keyed by the text's address: every statement is a literal of this folder. Destroyed before the
  // database.
  absl::flat_hash_map<const char*, std::vector<sqlite::Statement>> idle_;
};

struct Blob {
  absl::string_view bytes;
};

// One run of a statement. The first error sticks, ends Step and is told by status().
class Query {
 public:
  // `sql`: a string literal.
  Query(Connection& connection, const char* sql);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  // Binds the next parameters, in order.
  template <typename... Args>
  Query& Bind(const Args&... args) {
    if (status_.ok()) (BindOne(args), ...);
    return *this;
  }
  // True when there is a row.
  bool Step();
  // Runs a statement to its end.
  absl::Status Run();
  absl::Status status() const { return status_; }
  // Rows changed by the last Run.
  int64_t changes() const { return connection_.database_->changes(); }

  int64_t Int(int column) const { return statement_->Int(column); }
  bool IsNull(int column) const { return statement_->IsNull(column); }
  std::string Bytes(int column) const { return statement_->Text(column); }  // text or blob
  template <typename IdType>
  IdType Id(int column) const {
    const std::string bytes = Bytes(column);
    return bytes.size() == IdType::kBytes
               ? IdType::FromBytes(reinterpret_cast<const uint8_t*>(bytes.data()))
               : IdType();
  }

 private:
  template <typename T>
  void BindOne(const T& value) {
    statement_->Bind(++bound_, value);
  }
  void BindOne(std::nullptr_t) { statement_->BindNull(++bound_); }
  void BindOne(const Blob& blob) { statement_->BindBlob(++bound_, blob.bytes); }
  template <typename Tag>
  void BindOne(const base::Id<Tag>& id) {
    statement_->BindBlob(++bound_, absl::string_view(reinterpret_cast<const char*>(id.data()), 16));
  }

  Connection& connection_;
  const char* const sql_;
  std::optional<sqlite::Statement> statement_;
  int bound_ = 0;
  absl::Status status_;
};

// The catalog's file. Thread-safe.
class Database {
 public:
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& file);

  // Runs `body` in a write transaction and returns when it is durable. Calls that wait at the same
  // time share one transaction (one fsync), each in its own savepoint: an error undoes that body
  // only. Every body sees all earlier ones.
  absl::Status Write(const std::function<absl::Status(Connection&)>& body);
  // Runs `body` on a snapshot.
  absl::Status Read(const std::function<absl::Status(Connection&)>& body);

 private:
  struct Waiter {
    const std::function<absl::Status(Connection&)>* body;
    absl::Status result;
    bool done = false;
  };
  Database(std::string file, std::unique_ptr<Connection> writer)
      : file_(std::move(file)), writer_(std::move(writer)) {}
  void RunGroup(const std::vector<Waiter*>& group);
  absl::StatusOr<std::unique_ptr<Connection>> TakeReader();

  const std::string file_;
  const std::unique_ptr<Connection> writer_;  // used by the caller that leads a group
  absl::Mutex mutex_;
  bool leading_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Connection>> readers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::metadata
