// A thin, typed skin over SQLite: the only home of sqlite3.h. Errors are classified once, here:
// kAlreadyExists (a uniqueness or foreign-key constraint), kUnavailable (busy), kDataLoss (a
// damaged file), kResourceExhausted (disk full), else kInternal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace cedana::sqlite {

class Database;

// One prepared statement: bind 1-based, Step until false, read 0-based columns. One thread.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& Bind(int index, absl::string_view text);
  Statement& Bind(int index, const std::string& text);
  Statement& Bind(int index, const char* text);
  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, int value) { return Bind(index, static_cast<int64_t>(value)); }
  Statement& Bind(int index, uint32_t value) { return Bind(index, static_cast<int64_t>(value)); }
  Statement& Bind(int index, uint64_t value) { return Bind(index, static_cast<int64_t>(value)); }
  Statement& Bind(int index, bool value) { return Bind(index, static_cast<int64_t>(value)); }
  Statement& BindBlob(int index, absl::string_view bytes);
  Statement& BindNull(int index);

  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // For a statement without rows.
  absl::Status Run();
  // Ready to bind and step anew, for statements that are kept.
  void Reset();

  int64_t Int(int column) const;
  std::string Text(int column) const;  // blobs too
  bool IsNull(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  sqlite3* db_;
  sqlite3_stmt* statement_;
};

// One connection; one thread at a time (the owner brings the lock).
class Database {
 public:
  // Opens or creates with mode 0600, WAL, synchronous=FULL, foreign keys on, 5 s busy timeout.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  absl::Status Execute(const char* sql);  // one or more statements without parameters
  absl::StatusOr<Statement> Prepare(const char* sql);
  int64_t changes() const;  // rows changed by the last statement

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

// BEGIN IMMEDIATE … COMMIT; rolls back when destroyed without Commit.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& db);
  Transaction(Transaction&& other) noexcept : db_(other.db_) { other.db_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  absl::Status Commit();

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

}  // namespace cedana::sqlite
