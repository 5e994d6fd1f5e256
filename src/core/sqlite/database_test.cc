#include "core/sqlite/database.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "core/base/status.h"
#include "gtest/gtest.h"

namespace cedana::sqlite {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_), nullptr);
    path_ = std::string(folder_) + "/t.db";
    db_ = *Database::Open(path_);
    ASSERT_TRUE(db_->Execute("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER)").ok());
  }
  void TearDown() override {
    db_.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) unlink((path_ + suffix).c_str());
    rmdir(folder_);
  }
  char folder_[32] = "/tmp/sqlite_test.XXXXXX";
  std::string path_;
  std::unique_ptr<Database> db_;
};

TEST_F(DatabaseTest, BindsStepsAndReads) {
  ASSERT_TRUE(db_->Prepare("INSERT INTO t VALUES (?, ?)")->Bind(1, "a").Bind(2, 7).Run().ok());
  auto query = *db_->Prepare("SELECT k, v FROM t");
  ASSERT_TRUE(*query.Step());
  EXPECT_EQ(query.Text(0), "a");
  EXPECT_EQ(query.Int(1), 7);
  EXPECT_FALSE(*query.Step());
}

TEST_F(DatabaseTest, AConstraintIsAlreadyExists) {
  ASSERT_TRUE(db_->Execute("INSERT INTO t VALUES ('a', 1)").ok());
  EXPECT_EQ(db_->Execute("INSERT INTO t VALUES ('a', 2)").code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(DatabaseTest, AnUncommittedTransactionIsUndone) {
  {
    auto transaction = *Transaction::Begin(*db_);
    ASSERT_TRUE(db_->Execute("INSERT INTO t VALUES ('a', 1)").ok());
  }
  auto query = *db_->Prepare("SELECT count(*) FROM t");
  ASSERT_TRUE(*query.Step());
  EXPECT_EQ(query.Int(0), 0);
}

TEST_F(DatabaseTest, TheFileIsPrivate) {
  struct stat st {};
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace cedana::sqlite
