// Decoders of the libraries that the common tools are made of.
#pragma once

#include <gtest/gtest.h>
#include <isa-l/igzip_lib.h>
#include <lz4frame.h>
#include <zstd.h>

#include <string>

#include "core/codec/stream.h"

namespace cedana::codec {

// Checks the container's checksum, and that nothing follows it.
inline std::string Inflate(const std::string& in, size_t size, uint32_t container) {
  inflate_state state;
  isal_inflate_init(&state);
  state.crc_flag = container;
  std::string out(size + 1, '\0');
  state.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(in.data()));
  state.avail_in = static_cast<uint32_t>(in.size());
  state.next_out = reinterpret_cast<uint8_t*>(out.data());
  state.avail_out = static_cast<uint32_t>(out.size());
  EXPECT_EQ(isal_inflate(&state), ISAL_DECOMP_OK);
  EXPECT_EQ(state.block_state, ISAL_BLOCK_FINISH);
  EXPECT_EQ(state.avail_in, 0u);
  out.resize(out.size() - state.avail_out);
  return out;
}

inline std::string ExpandLz4(const std::string& in, size_t size) {
  LZ4F_dctx* context = nullptr;
  LZ4F_createDecompressionContext(&context, LZ4F_VERSION);
  std::string out(size + 1, '\0');
  size_t taken = 0;
  size_t made = 0;
  size_t left = 1;
  while (left != 0 && taken < in.size()) {
    size_t in_size = in.size() - taken;
    size_t out_size = out.size() - made;
    left = LZ4F_decompress(context, out.data() + made, &out_size, in.data() + taken, &in_size,
                           nullptr);
    EXPECT_FALSE(LZ4F_isError(left));
    taken += in_size;
    made += out_size;
  }
  EXPECT_EQ(left, 0u);
  EXPECT_EQ(taken, in.size());
  LZ4F_freeDecompressionContext(context);
  out.resize(made);
  return out;
}

// A whole stream of at most `size` bytes.
inline std::string ExpandStream(Container container, const std::string& in, size_t size) {
  switch (container) {
    case Container::kGzip:
      return Inflate(in, size, ISAL_GZIP);
    case Container::kZlib:
      return Inflate(in, size, ISAL_ZLIB);
    case Container::kLz4:
      return ExpandLz4(in, size);
    case Container::kZstd: {
      std::string out(size + 1, '\0');
      const size_t made = ZSTD_decompress(out.data(), out.size(), in.data(), in.size());
      EXPECT_FALSE(ZSTD_isError(made));
      out.resize(ZSTD_isError(made) ? 0 : made);
      return out;
    }
  }
  return "";
}

}  // namespace cedana::codec
