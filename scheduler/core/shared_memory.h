#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace coexec::scheduler {

// A file descriptor that is closed when it goes.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// A counter that one process raises and another waits for.
class Event {
 public:
  Event();
  explicit Event(Descriptor fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }
  void Signal() const;
  void Clear() const;
  // Waits until signalled or until timeout_ms has passed (-1: without limit).
  void Wait(int timeout_ms) const;

 private:
  Descriptor fd_;
};

// Anonymous memory that another process can map. Its size is sealed, so that no process can
// pull pages from under another. Pages are taken from the operating system when first touched.
class SharedMemory {
 public:
  static SharedMemory Create(const std::string& name, int64_t bytes);
  // Takes over a descriptor that came from Create. Throws std::system_error when it cannot be
  // mapped and std::invalid_argument when its size is not sealed.
  static SharedMemory Attach(Descriptor fd, bool writable);
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&&) = delete;
  ~SharedMemory();

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  int fd() const { return fd_.get(); }
  // Gives the whole pages inside [offset, offset + bytes) back; they read as zero afterwards.
  void Punch(int64_t offset, int64_t bytes) const;

 private:
  SharedMemory(Descriptor fd, int64_t bytes, bool writable);

  Descriptor fd_;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace coexec::scheduler
