#include "scheduler/core/shared_memory.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace coexec::scheduler {
namespace {

constexpr int64_t kPageBytes = 4096;

[[noreturn]] void Fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Event::Event() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_.get() < 0) Fail("eventfd");
}

void Event::Signal() const {
  const uint64_t one = 1;
  // It fails only when the counter is full, and then the reader is awake anyway.
  [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof one);
}

void Event::Clear() const {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd_.get(), &count, sizeof count);
}

void Event::Wait(int timeout_ms) const {
  pollfd wanted = {fd_.get(), POLLIN, 0};
  poll(&wanted, 1, timeout_ms);
}

SharedMemory::SharedMemory(Descriptor fd, int64_t bytes, bool writable)
    : fd_(std::move(fd)), bytes_(bytes) {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* mapped = mmap(nullptr, static_cast<size_t>(bytes), protection, MAP_SHARED, fd_.get(), 0);
  if (mapped == MAP_FAILED) Fail("cannot map " + std::to_string(bytes) + " bytes");
  data_ = static_cast<std::byte*>(mapped);
}

SharedMemory SharedMemory::Create(const std::string& name, int64_t bytes) {
  if (bytes <= 0) throw std::invalid_argument(name + ": its size must be positive");
  bytes = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  Descriptor fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd.get() < 0) Fail("memfd_create " + name);
  if (ftruncate(fd.get(), bytes) != 0) Fail("cannot size " + name);
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    Fail("cannot seal " + name);
  }
  return SharedMemory(std::move(fd), bytes, true);
}

SharedMemory SharedMemory::Attach(Descriptor fd, bool writable) {
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) Fail("shared memory");
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    throw std::invalid_argument("shared memory: its size is not sealed");
  }
  return SharedMemory(std::move(fd), info.st_size, writable);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(bytes_));
}

void SharedMemory::Punch(int64_t offset, int64_t bytes) const {
  const int64_t begin = (offset + kPageBytes - 1) / kPageBytes * kPageBytes;
  const int64_t end = (offset + bytes) / kPageBytes * kPageBytes;
  if (begin >= end) return;
  fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin, end - begin);
}

}  // namespace coexec::scheduler
