#include "storage/api/tar_layout.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace cedana::api {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kNameMax = 100;
constexpr uint64_t kOctalSizeMax = 077777777777;  // 11 octal digits: 8 GiB - 1

std::string Padding(uint64_t bytes) {
  return std::string((kBlock - bytes % kBlock) % kBlock, '\0');
}

void PutOctal(char* field, size_t width, uint64_t value) {
  field[--width] = '\0';
  while (width > 0) {
    field[--width] = static_cast<char>('0' + value % 8);
    value /= 8;
  }
}

std::string Header(const std::string& name, char type, int mode, uint64_t size) {
  std::string block(kBlock, '\0');
  char* const at = block.data();
  std::copy_n(name.data(), std::min(name.size(), kNameMax), at);  // a whole field has no NUL
  PutOctal(at + 100, 8, static_cast<uint64_t>(mode));
  PutOctal(at + 108, 8, 0);  // uid
  PutOctal(at + 116, 8, 0);  // gid
  PutOctal(at + 124, 12, size > kOctalSizeMax ? 0 : size);
  PutOctal(at + 136, 12, 0);      // mtime
  std::memset(at + 148, ' ', 8);  // checksum, counted as spaces
  at[156] = type;
  constexpr absl::string_view kMagic(
      "ustar\0"
      "00",
      8);  // POSIX: ends in NUL, then version 00
  std::copy_n(kMagic.data(), kMagic.size(), at + 257);
  uint32_t sum = 0;
  for (const char c : block) sum += static_cast<uint8_t>(c);
  PutOctal(at + 148, 7, sum);
  return block;
}

// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
std::string PaxRecord(const std::string& key, const std::string& value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (absl::StrCat(length).size() + rest != length) ++length;
  return absl::StrCat(length, " ", key, "=", value, "\n");
}

std::string FileHeader(const transfer::ImageFile& file) {
  std::string pax;
  if (file.name.size() > kNameMax) pax += PaxRecord("path", file.name);
  if (file.bytes > kOctalSizeMax) pax += PaxRecord("size", absl::StrCat(file.bytes));
  std::string out;
  if (!pax.empty()) {
    absl::StrAppend(&out, Header("././@PaxHeader", 'x', 0644, pax.size()), pax,
                    Padding(pax.size()));
  }
  return out + Header(file.name, '0', 0644, file.bytes);
}

}  // namespace

std::vector<TarPiece> LayOutTar(const std::vector<transfer::ImageFile>& files) {
  std::vector<TarPiece> pieces;
  std::string literal = Header(".", '5', 0755, 0);
  const auto flush = [&] {
    const uint64_t bytes = literal.size();
    pieces.push_back({std::move(literal), "", bytes});
    literal.clear();
  };
  for (const transfer::ImageFile& file : files) {
    literal += FileHeader(file);
    if (file.bytes == 0) continue;
    flush();
    pieces.push_back({"", file.name, file.bytes});
    literal = Padding(file.bytes);
  }
  literal.append(2 * kBlock, '\0');
  flush();
  return pieces;
}

uint64_t TarBytes(const std::vector<TarPiece>& pieces) {
  uint64_t bytes = 0;
  for (const TarPiece& piece : pieces) bytes += piece.bytes;
  return bytes;
}

}  // namespace cedana::api
