#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "scheduler/core/program.h"

namespace coexec::scheduler {

// One step that ran.
struct Span {
  int64_t start_us = 0;
  int64_t duration_us = 0;
  std::shared_ptr<const SegmentNames> names;
  uint32_t step = 0;
  uint32_t shared_by = 0;  // requests the run answered
  uint64_t request_id = 0;
};

// The last spans of one lane.
class Timeline {
 public:
  explicit Timeline(size_t spans_max) : spans_(spans_max) {}

  void Add(Span span) { spans_[count_++ % spans_.size()] = std::move(span); }
  // Oldest first, those that ended at `from_us` or later.
  std::vector<Span> Since(int64_t from_us) const {
    std::vector<Span> found;
    const size_t kept = count_ < spans_.size() ? count_ : spans_.size();
    for (size_t i = count_ - kept; i < count_; ++i) {
      const Span& span = spans_[i % spans_.size()];
      if (span.start_us + span.duration_us >= from_us) found.push_back(span);
    }
    return found;
  }

 private:
  std::vector<Span> spans_;
  size_t count_ = 0;
};

}  // namespace coexec::scheduler
