#include "kernels/program/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace coexec::kernels {

MappedFile::MappedFile(const std::string& path) {
  const auto fail = [&](int error) {
    throw std::system_error(error, std::generic_category(), path);
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(errno);
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    fail(error);
  }
  bytes_ = info.st_size;
  if (bytes_ > 0) {
    void* mapped = mmap(nullptr, static_cast<size_t>(bytes_), PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    close(fd);
    if (mapped == MAP_FAILED) fail(error);
    data_ = static_cast<const std::byte*>(mapped);
  } else {
    close(fd);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), static_cast<size_t>(bytes_));
}

void MappedFile::Drop() const {
  if (data_ != nullptr) {
    madvise(const_cast<std::byte*>(data_), static_cast<size_t>(bytes_), MADV_DONTNEED);
  }
}

}  // namespace coexec::kernels
