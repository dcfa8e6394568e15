#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace coexec::kernels {

// A file mapped read-only. What was read can be dropped again: the pages belong to the file.
class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  // Throws std::system_error when the file cannot be opened or mapped.
  explicit MappedFile(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  // Lets the operating system take back the pages read so far.
  void Drop() const;

 private:
  const std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace coexec::kernels
